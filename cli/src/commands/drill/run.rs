//! `p861 drill run`

use super::super::{Context, known, start::started};
use crate::{
    args::{DrillKind, DrillRun},
    error::{Failure, Result},
    exit::ExitStatus,
    hub::{Hub, create_run},
    text::{self, Bilingual, Language},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use p861_core::{
    platform::district::{active_site, sites_of_plan},
    recovery::{drill::LONGEST_DRILL, objectives::misses_rpo},
    time::{human_duration, print_duration},
};
use p861_crds::{Application, District, Drill, DrillSpec, LocalizedText, ObjectReference, RecoveryPlan, Time, recovery::drill::RecoveryPoint};

/// Starts a drill and watches it.
pub async fn run(context: &Context<'_>, what: &DrillRun) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let plan = hub.get_here::<RecoveryPlan>(&what.plan).await?.object;
    if let Some(site) = &what.site {
        known::site(hub, site).await?;
    }
    let drill = Drill::new("", spec(hub, printer.language, what)?);
    if what.kind == DrillKind::Isolated {
        warn_of_old_points(context, &plan, drill.spec.recovery_point.not_after_time.as_ref().map(|time| time.0)).await?;
    }
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

/// An application that a drill can't recover within its RPO, whatever it does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missed {
    application: String,
    /// Age of the newest recovery point that may be used.
    age: SignedDuration,
    rpo: SignedDuration,
    /// Whether a backup that is taken now would help.
    by_backup: bool,
}

/// The applications of a plan whose newest recovery point is older than their RPO. `not_after` is the latest recovery point that was asked for.
fn missed(plan: &RecoveryPlan, applications: &[Application], not_after: Option<Timestamp>, now: Timestamp) -> Vec<Missed> {
    let members = plan.spec.groups.iter().flat_map(|group| &group.members).map(|member| &member.application_ref.name);
    let one = |name: &String| {
        let application = applications.iter().find(|application| application.name_any() == *name)?;
        let newest = application.status.as_ref()?.last_backup.as_ref()?.recovery_point_time.0;
        let asked = not_after.filter(|asked| *asked < newest);
        let by_backup = not_after.is_none_or(|asked| misses_rpo(&application.spec, asked, now).is_none());
        let (age, rpo) = misses_rpo(&application.spec, asked.unwrap_or(newest), now)?;
        Some(Missed { application: name.clone(), age, rpo, by_backup })
    };
    members.filter_map(one).collect()
}

/// Says, before a drill starts, which objective it can't meet, and what helps. Who may not list the applications is told by the drill's result.
async fn warn_of_old_points(context: &Context<'_>, plan: &RecoveryPlan, not_after: Option<Timestamp>) -> Result<()> {
    let (hub, printer) = (&context.hub, context.printer);
    let applications = match hub.list_here::<Application>("").await {
        Ok(applications) => applications.items,
        Err(failure) if failure.is_forbidden => return Ok(()),
        Err(failure) => return Err(failure),
    };
    for Missed { application, age, rpo, by_backup } in missed(plan, &applications, not_after, Timestamp::now()) {
        printer.warn(&if by_backup { text::rpo_missed(&application, age, rpo, hub.place()) } else { text::rpo_missed_by_choice(&application, age, rpo) });
    }
    Ok(())
}

/// One text under the other.
fn both_lines(first: &Bilingual, second: &Bilingual) -> Bilingual {
    Bilingual { zh: format!("{}\n{}", first.zh, second.zh), en: format!("{}\n{}", first.en, second.en) }
}

/// How long the copy stands, and what removes it earlier.
fn kept(hub: &Hub, drill: &Drill) -> Bilingual {
    text::copy_kept(&drill.spec.keep_for.0, &hub.typed(&format!("p861 drill cleanup {}", drill.name_any())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn application(name: &str, criticality: &str, point: Option<&str>) -> Application {
        let status = point.map_or(json!({}), |time| json!({"lastBackup": {"name": "b", "recoveryPointTime": time}}));
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name},
            "spec": {"department": "d", "criticality": criticality, "namespaces": [name]}, "status": status}))
        .expect("an application")
    }

    fn plan() -> RecoveryPlan {
        let members = ["approval", "portal", "new", "gone"].map(|name| json!({"applicationRef": {"name": name}}));
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "RecoveryPlan", "metadata": {"name": "core"},
            "spec": {"repositoryRef": {"name": "main"}, "groups": [{"name": "all", "members": members}]}}))
        .expect("a plan")
    }

    #[test]
    fn an_application_whose_newest_backup_is_older_than_its_rpo_is_named_before_the_drill() {
        let now: Timestamp = "2026-11-24T01:00:00Z".parse().expect("a time");
        let applications = [
            application("approval", "Critical", Some("2026-11-24T00:38:00Z")),
            application("portal", "Ordinary", Some("2026-11-24T00:38:00Z")),
            application("new", "Critical", None),
            application("of-no-plan", "Critical", Some("2026-11-01T00:00:00Z")),
        ];
        let minutes = SignedDuration::from_mins;
        let approval = |age: i64, by_backup: bool| vec![Missed { application: "approval".into(), age: minutes(age), rpo: minutes(15), by_backup }];
        let at = |time: &str| Some(time.parse::<Timestamp>().expect("a time"));
        assert_eq!(missed(&plan(), &applications, None, now), approval(22, true));
        assert_eq!(missed(&plan(), &applications, at("2026-11-24T00:50:00Z"), now), approval(22, true), "a newer one may be used");
        assert_eq!(missed(&plan(), &applications, at("2026-11-24T00:20:00Z"), now), approval(40, false), "a new backup would not be used");
        assert!(missed(&plan(), &applications, None, now - minutes(10)).is_empty(), "it is within the RPO");
    }
}
