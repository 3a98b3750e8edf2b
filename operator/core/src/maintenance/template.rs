//! Templates of changes: whether a change of class Standard keeps within the template that it names.
//!
//! What a template states, the change has exactly so; its limits say what of it may vary. A Standard change that doesn't keep within its template, whose template is
//! gone or another than at its opening, or whose requester has published the template, is treated as a Normal one: it needs an approval. This is judged in each pass
//! until the work begins, the last time right before that.

mod version;

use crate::{canonical, conditions::ConditionUpdate, time::parse_duration};
use jiff::SignedDuration;
use p861_crds::{
    ChangeTemplate, ChangeTemplateSpec, ConditionType, Duration, LocalizedText, MaintenanceTicketSpec, MaintenanceTicketStatus, ObjectReference, Reason,
    maintenance::{
        change::{Change, ChangeBackup, ChangeSilence, DrainNode, UpgradeComponent, Work},
        template::{TemplateBundle, TemplateDrain, TemplateNodes, TemplateUpgrade, TemplateWork},
        ticket::{Affected, PinnedTemplate, TicketActionKind},
        window::ChangeClass,
    },
    platform::platform::Bundle,
};
use std::collections::BTreeSet;

/// The digest of a template: of its work, its limits and its publisher.
pub fn digest(spec: &ChangeTemplateSpec) -> String {
    canonical::digest(&serde_json::json!(spec))
}

/// Whether a template can be used.
pub fn ready(spec: &ChangeTemplateSpec) -> ConditionUpdate {
    if let Some((reason, message)) = fault(spec) {
        return ConditionUpdate::bad(ConditionType::Ready, reason, message);
    }
    let publisher = spec.published_by.as_deref().unwrap_or_default();
    ConditionUpdate::good(ConditionType::Ready, Reason::Valid, format!("published by {publisher}, who can't open Standard changes by it"))
}

/// What is wrong with a template.
fn fault(spec: &ChangeTemplateSpec) -> Option<(Reason, String)> {
    if spec.published_by.as_deref().is_none_or(str::is_empty) {
        return Some((Reason::Nameless, "its author is unknown: is the admission policy p861-publisher in force?".into()));
    }
    let TemplateWork { upgrade_component, drain_node, manual: _ } = &spec.work;
    let durations = upgrade_component.iter().flat_map(|upgrade| [&upgrade.healthy_within, &upgrade.watch_for]);
    let mut durations = durations.chain(drain_node.iter().map(|drain| &drain.deadline)).chain(&spec.expected_duration);
    let of_versions = || upgrade_component.as_ref().and_then(|upgrade| version::fault(&upgrade.versions));
    let of_durations = || durations.find_map(|text| parse_duration(&text.0).err()).map(|error| error.to_string());
    of_versions().or_else(of_durations).map(|fault| (Reason::Invalid, fault))
}

/// Why a change of class Standard is treated as a Normal one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotStandard {
    /// It names no template, or one that isn't there.
    Missing(Option<String>),
    /// The template isn't the one of its opening.
    Changed(PinnedTemplate),
    /// The template can't be used, and why.
    NotReady(String, String),
    /// Its requester has published the template.
    OwnTemplate(String),
    /// Nobody knows who its requester is.
    Nameless,
    /// It doesn't keep within the template; each difference in words.
    Outside(String, Vec<String>),
}

impl NotStandard {
    /// The reason of the condition Approved.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing(_) => Reason::TemplateMissing,
            Self::Changed(_) => Reason::TemplateChanged,
            Self::NotReady(..) => Reason::TemplateNotReady,
            Self::OwnTemplate(_) => Reason::RequesterCannotApprove,
            Self::Nameless => Reason::Nameless,
            Self::Outside(..) => Reason::OutsideTemplate,
        }
    }

    /// What keeps it from being a Standard change, for people.
    pub fn message(&self) -> String {
        match self {
            Self::Missing(None) => "it names no template".into(),
            Self::Missing(Some(name)) => format!("template {name} isn't there, or was withdrawn"),
            Self::Changed(pinned) => format!("template {} is another than at its opening: look at it, and open the change anew", pinned.name),
            Self::NotReady(name, why) => format!("template {name} can't be used: {why}"),
            Self::OwnTemplate(name) => format!("template {name} was published by the one who asks for the change"),
            Self::Nameless => "the change's author is unknown: is the admission policy p861-identity in force?".into(),
            Self::Outside(name, differences) => format!("template {name} doesn't permit it: {}", differences.join("; ")),
        }
    }
}

/// The class of a change that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassStanding {
    /// It.
    pub class: ChangeClass,
    /// The template, as it was at the opening.
    pub pinned: Option<PinnedTemplate>,
    /// Why a Standard change is treated as a Normal one.
    pub refused: Option<NotStandard>,
}

impl ClassStanding {
    /// Of a class that needs no template.
    pub fn of(class: ChangeClass) -> Self {
        Self { class, pinned: None, refused: None }
    }

    /// Judges a change. `templates` are those of its namespace, then the city's. `source` is where the manifests of an upgrade come from, as its Platform declares it
    /// now. A change that has begun stays what it was.
    pub fn judge(
        spec: &MaintenanceTicketSpec,
        change: &Change,
        before: &MaintenanceTicketStatus,
        templates: &[ChangeTemplate],
        source: Option<&Bundle>,
    ) -> Self {
        if before.start_time.is_some() {
            return Self { class: before.change_class.unwrap_or(change.class), pinned: before.template.clone(), refused: None };
        }
        if change.class != ChangeClass::Standard {
            return Self::of(change.class);
        }
        let name = change.template_ref.as_ref().map(|template| template.name.as_str());
        let stands = |template: &&ChangeTemplate| template.metadata.deletion_timestamp.is_none();
        let found = name.and_then(|name| templates.iter().filter(stands).find(|template| template.metadata.name.as_deref() == Some(name)));
        let pinned = before.template.clone().or_else(|| found.map(pin));
        let refused = match (found, &pinned) {
            (Some(template), Some(pinned)) => not_standard(spec, change, template, pinned, source),
            _ => Some(NotStandard::Missing(name.map(str::to_owned))),
        };
        Self { class: if refused.is_some() { ChangeClass::Normal } else { ChangeClass::Standard }, pinned, refused }
    }
}

fn pin(template: &ChangeTemplate) -> PinnedTemplate {
    let (namespace, name) = (template.metadata.namespace.clone().unwrap_or_default(), template.metadata.name.clone().unwrap_or_default());
    PinnedTemplate { namespace, name, digest: digest(&template.spec), published_by: template.spec.published_by.clone() }
}

fn not_standard(
    spec: &MaintenanceTicketSpec,
    change: &Change,
    template: &ChangeTemplate,
    pinned: &PinnedTemplate,
    source: Option<&Bundle>,
) -> Option<NotStandard> {
    let name = || pinned.name.clone();
    if pin(template) != *pinned {
        return Some(NotStandard::Changed(pinned.clone()));
    }
    if let Some((_, why)) = fault(&template.spec) {
        return Some(NotStandard::NotReady(name(), why));
    }
    // A template is its publisher's agreement to such changes, and nobody agrees to his own.
    match spec.requested_by.as_deref() {
        None | Some("") => return Some(NotStandard::Nameless),
        requester if requester == template.spec.published_by.as_deref() => return Some(NotStandard::OwnTemplate(name())),
        Some(_) => {}
    }
    let differences = differences(&template.spec, spec, change, source);
    (!differences.is_empty()).then(|| NotStandard::Outside(name(), differences))
}

/// In what a change departs from a template and its limits; nothing if it keeps within them.
pub fn differences(template: &ChangeTemplateSpec, spec: &MaintenanceTicketSpec, change: &Change, source: Option<&Bundle>) -> Vec<String> {
    let ChangeTemplateSpec { title: _, work, affects, plan, backup, silence, blocking_alerts, rollback, expected_duration, published_by: _ } = template;
    // Every field of a change is named here, so that a new one can't be forgotten.
    let Change {
        class: _,
        template_ref: _,
        window_ref: _,
        work: asked,
        expected_duration: asked_duration,
        backup: asked_backup,
        silence: asked_silence,
        blocking_alerts: asked_alerts,
        plan: asked_plan,
        rollback: asked_rollback,
        rehearsal: _,
    } = change;
    let mut found = Differences::default();
    found.work(work, asked, source);
    found.affects("applicationRefs", affects.application_refs.as_deref(), &spec.affects.application_refs);
    found.affects("siteRefs", affects.site_refs.as_deref(), &spec.affects.site_refs);
    found.unless(same_text(plan.as_ref(), asked_plan.as_ref()), || "its plan is another".into());
    found.unless(!spec.actions.iter().any(|action| action.action == TicketActionKind::Plan), || "an action Plan has changed what is done".into());
    found.unless(*backup != ChangeBackup::Affected || *asked_backup == ChangeBackup::Affected, || "backup is Skip".into());
    found.unless(*silence != ChangeSilence::None || *asked_silence == ChangeSilence::None, || "silence is not None".into());
    for alert in blocking_alerts.iter().filter(|alert| !asked_alerts.contains(alert)) {
        found.unless(false, || format!("blockingAlerts lacks severity {}", alert.severity));
    }
    found.unless(rollback.policy == asked_rollback.policy, || format!("rollback.policy is {:?} instead of {:?}", asked_rollback.policy, rollback.policy));
    found.unless(same_text(rollback.plan.as_ref(), asked_rollback.plan.as_ref()), || "rollback.plan is another".into());
    let word = |duration: &Option<Duration>| duration.as_ref().map_or_else(|| "absent".to_owned(), ToString::to_string);
    found.unless(expected_duration == asked_duration, || format!("expectedDuration is {} instead of {}", word(asked_duration), word(expected_duration)));
    found.0
}

/// Whether a text that the template states is the change's.
fn same_text(stated: Option<&LocalizedText>, asked: Option<&LocalizedText>) -> bool {
    stated.is_none() || stated == asked
}

/// Differences in words.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn unless(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.0.push(what());
        }
    }

    fn affects(&mut self, field: &str, stated: Option<&[ObjectReference]>, asked: &[ObjectReference]) {
        let Some(stated) = stated else { return };
        let names = |references: &[ObjectReference]| references.iter().map(|reference| reference.name.clone()).collect::<BTreeSet<_>>();
        let words = |names: BTreeSet<String>| if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") };
        let (stated, asked) = (names(stated), names(asked));
        self.unless(stated == asked, || format!("affects.{field} names {} instead of {}", words(asked), words(stated)));
    }

    fn work(&mut self, stated: &TemplateWork, asked: &Work, source: Option<&Bundle>) {
        let TemplateWork { upgrade_component, drain_node, manual } = stated;
        match (asked, upgrade_component, drain_node, manual) {
            (Work { upgrade_component: Some(asked), drain_node: None, manual: None }, Some(stated), ..) => self.upgrade(stated, asked, source),
            (Work { upgrade_component: None, drain_node: Some(asked), manual: None }, _, Some(stated), _) => self.drain(stated, asked),
            (Work { upgrade_component: None, drain_node: None, manual: Some(_) }, _, _, Some(_)) => {}
            _ => self.unless(false, || "its work is of another kind".into()),
        }
    }

    fn upgrade(&mut self, stated: &TemplateUpgrade, asked: &UpgradeComponent, source: Option<&Bundle>) {
        let TemplateUpgrade { components, versions, bundles, healthy_within, watch_for } = stated;
        let UpgradeComponent { component, version, healthy_within: asked_within, watch_for: asked_watch } = asked;
        self.unless(components.iter().any(|permitted| permitted.0 == *component), || {
            let names: Vec<&str> = components.iter().map(|permitted| permitted.0.as_str()).collect();
            format!("component {component} is none of {}", names.join(", "))
        });
        self.unless(version::contains(versions, version), || format!("version {version} is not one from {} to below {}", versions.at_least, versions.below));
        match source {
            Some(source) => self.unless(bundles.iter().any(|permitted| permits(permitted, source)), || format!("its manifests come from {source}")),
            None => self.unless(false, || "where its manifests come from is not known".into()),
        }
        self.at_most("healthyWithin", asked_within, healthy_within);
        let long_enough = lengths(asked_watch, watch_for).is_some_and(|(asked, least)| asked >= least);
        self.unless(long_enough, || format!("watchFor {asked_watch} is shorter than {watch_for}"));
    }

    fn drain(&mut self, stated: &TemplateDrain, asked: &DrainNode) {
        let TemplateDrain { nodes, deadline, delete_empty_dir_data, force } = stated;
        let DrainNode { site_ref, node_name, deadline: asked_deadline, delete_empty_dir_data: deletes, force: forces } = asked;
        let is_permitted = |TemplateNodes { site_ref: site, node_names }: &TemplateNodes| {
            site == site_ref && node_names.as_ref().is_none_or(|names| names.contains(node_name))
        };
        self.unless(nodes.iter().any(is_permitted), || format!("node {}/{node_name} is not one of its nodes", site_ref.name));
        self.at_most("deadline", asked_deadline, deadline);
        self.unless(*delete_empty_dir_data || !deletes, || "it deletes emptyDir data".into());
        self.unless(*force || !forces, || "it drains pods without a controller".into());
    }

    fn at_most(&mut self, field: &str, asked: &Duration, most: &Duration) {
        let short_enough = lengths(asked, most).is_some_and(|(asked, most)| asked <= most);
        self.unless(short_enough, || format!("{field} {asked} is longer than {most}"));
    }
}

/// None if one of them can't be read: then nothing is permitted.
fn lengths(asked: &Duration, limit: &Duration) -> Option<(SignedDuration, SignedDuration)> {
    Some((parse_duration(&asked.0).ok()?, parse_duration(&limit.0).ok()?))
}

fn permits(permitted: &TemplateBundle, source: &Bundle) -> bool {
    let TemplateBundle { image, digest, config_map_ref } = permitted;
    match (&source.oci, &source.config_map_ref) {
        (Some(oci), None) => image.as_ref() == Some(&oci.image) || digest.as_ref() == Some(&oci.digest),
        (None, Some(map)) => config_map_ref.as_ref() == Some(map),
        _ => false,
    }
}

/// The affected objects that a change by the template names, if the template states them.
pub fn stated_affects(template: &ChangeTemplateSpec) -> Affected {
    Affected {
        application_refs: template.affects.application_refs.clone().unwrap_or_default(),
        site_refs: template.affects.site_refs.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "template/tests.rs"]
mod tests;
