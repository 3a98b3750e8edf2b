//! `p861 drill run`

use super::super::{Context, known, start::started};
use crate::{
    args::{DrillKind, DrillRun},
    error::{Failure, Result},
    exit::ExitStatus,
    hub::{Hub, create_run},
    text::{self, Bilingual, Language},
};
use p861_core::{
    platform::district::{active_site, sites_of_plan},
    recovery::drill::LONGEST_DRILL,
    time::{human_duration, print_duration},
};
use p861_crds::{District, Drill, DrillSpec, LocalizedText, ObjectReference, RecoveryPlan, Time, recovery::drill::RecoveryPoint};

/// Starts a drill and watches it.
pub async fn run(context: &Context<'_>, what: &DrillRun) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let plan = hub.get_here::<RecoveryPlan>(&what.plan).await?.object;
    if let Some(site) = &what.site {
        known::site(hub, site).await?;
    }
    let drill = Drill::new("", spec(hub, printer.language, what)?);
    let created = create_run(hub, &what.plan, drill).await?;
    let (home, standby) = sites(&plan, hub.district.as_ref());
    let words = match what.kind {
        DrillKind::Tabletop => text::tabletop_announced(&what.plan),
        DrillKind::Isolated => text::drill_announced(&what.plan, what.site.as_deref().or(standby.as_deref()), home.as_deref()),
    };
    let keeps = what.kind == DrillKind::Isolated && what.keep_for.is_some_and(|time| !time.is_zero());
    let words = if keeps { both_lines(&words, &kept(hub, &created)) } else { words };
    started(context, &created, &words).await
}

/// One text under the other.
fn both_lines(first: &Bilingual, second: &Bilingual) -> Bilingual {
    Bilingual { zh: format!("{}\n{}", first.zh, second.zh), en: format!("{}\n{}", first.en, second.en) }
}

/// How long the copy stands, and what removes it earlier.
fn kept(hub: &Hub, drill: &Drill) -> Bilingual {
    text::copy_kept(&drill.spec.keep_for.0, &hub.typed(&format!("p861 drill cleanup {}", kube::ResourceExt::name_any(drill))))
}

/// The spec that was typed.
pub fn spec(hub: &Hub, language: Language, what: &DrillRun) -> Result<DrillSpec> {
    let not_after_time = match &what.not_after {
        Some(text) => Some(Time(hub.clock.parse(text).ok_or_else(|| Failure::usage(text::not_a_time("--not-after", text)))?)),
        None => None,
    };
    let keep_for = match what.keep_for {
        Some(duration) if duration > LONGEST_DRILL => {
            return Err(Failure::usage(text::kept_too_long(&human_duration(duration), &human_duration(LONGEST_DRILL))));
        }
        Some(duration) => print_duration(duration).map_err(|error| Failure::usage(Bilingual::same(error.to_string())))?,
        None => "0s".into(),
    };
    Ok(DrillSpec {
        plan_ref: ObjectReference::new(&what.plan),
        r#type: what.kind.into(),
        site_ref: what.site.clone().map(ObjectReference::new),
        recovery_point: RecoveryPoint { not_after_time },
        scenario: what.scenario.clone().map(|scenario| localized(scenario, language)),
        participants: Vec::new(),
        keep_for: keep_for.into(),
        deadline: "4h".into(),
        from_epoch: None,
        requested_by: None,
        actions: Vec::new(),
    })
}

/// A text in the language in which it was typed.
fn localized(text: String, language: Language) -> LocalizedText {
    match language {
        Language::Zh => LocalizedText { zh: Some(text), en: None },
        Language::En => LocalizedText { zh: None, en: Some(text) },
    }
}

/// Where a plan's applications run, and where they would be recovered, as far as plan and district say.
pub fn sites(plan: &RecoveryPlan, district: Option<&District>) -> (Option<String>, Option<String>) {
    let known = district.and_then(|district| sites_of_plan(plan.status.as_ref(), &plan.spec, district).ok());
    match (known, &plan.spec.sites) {
        (Some(sites), _) => (Some(sites.active.into()), Some(sites.target.into())),
        (None, stated) => {
            let home = stated.as_ref().map(|sites| sites.home_site_ref.name.clone());
            let of_district = district.and_then(|district| active_site(plan.status.as_ref(), Some(&plan.spec), district).ok().map(String::from));
            let active = plan.status.as_ref().and_then(|status| status.active_site.clone());
            (of_district.or(active).or(home), stated.as_ref().and_then(|sites| sites.standby_site_refs.first()).map(|site| site.name.clone()))
        }
    }
}
