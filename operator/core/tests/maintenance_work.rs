//! The steps of a change: what they promise whatever happens, and what people's words mean to them.

use jiff::SignedDuration;
use p861_core::{
    engine::{OnFailure, Plan},
    ids::SiteName,
    maintenance::{
        ticket::Planned,
        work::{self, Affected, ComponentOf, WorkFacts},
    },
    platform::bundle,
    runs::Action,
};
use p861_crds::{
    ApplicationSpec, MaintenanceTicketSpec,
    common::ActionKind,
    maintenance::ticket::{TicketAction, TicketActionKind},
    platform::platform::Component,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn application(checks: usize) -> ApplicationSpec {
    let checks: Vec<Value> = (0..checks).map(|number| json!({"name": format!("c{number}"), "tcp": {"serviceName": "s", "port": 80}})).collect();
    serde_json::from_value(json!({"department": "d", "namespaces": ["shinan-portal"], "checks": checks})).expect("a spec")
}

fn ticket(work: Value, rollback: &str, backup: &str, silence: &str) -> MaintenanceTicketSpec {
    serde_json::from_value(json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low",
        "affects": {"applicationRefs": [{"name": "portal"}]},
        "change": {"class": "Normal", "work": work, "rollback": {"policy": rollback}, "backup": backup, "silence": silence, "plan": {"en": "so"}}}))
    .expect("a ticket")
}

fn drain() -> Value {
    json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "n1"}})
}

fn compiled(spec: &MaintenanceTicketSpec, application: &ApplicationSpec, alertmanagers: &[&str]) -> Plan<Action> {
    let affected = [Affected { name: "portal", spec: application, site: &"a".into(), last_backup: Some(SignedDuration::from_mins(4)) }];
    let sites: Vec<SiteName> = alertmanagers.iter().map(|site| (*site).into()).collect();
    let facts = WorkFacts {
        ticket: "chg-1",
        namespace: "shinan",
        district: Some("shinan"),
        spec,
        planned: Planned::default(),
        applications: &affected,
        alertmanagers: &sites,
        component: None,
    };
    work::compile(&facts).expect("compiles")
}

fn upgrade_of(declared: &str, rollback: &str) -> Result<Plan<Action>, String> {
    let work = json!({"upgradeComponent": {"component": "cache", "version": "7.2.6", "watchFor": "1m"}});
    let spec = ticket(work, rollback, "Skip", "None");
    let component: Component =
        serde_json::from_value(json!({"name": "cache", "version": declared, "bundle": {"configMapRef": {"name": "cache"}}})).expect("a component");
    let server = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: redis, namespace: shinan-cache}\n".to_owned();
    let bundle = bundle::read(&BTreeMap::from([("a".to_owned(), server)]), |_| true).expect("a bundle");
    let sites = [SiteName::from("standby"), SiteName::from("primary")];
    let source = component.bundle.as_ref().expect("a bundle");
    let component = ComponentOf { declared: &component, source, bundle: &bundle, sites: &sites };
    let facts = WorkFacts {
        ticket: "chg-1",
        namespace: "shinan",
        district: Some("shinan"),
        spec: &spec,
        planned: Planned::default(),
        applications: &[],
        alertmanagers: &[],
        component: Some(component),
    };
    work::compile(&facts).map_err(|error| error.to_string())
}

fn ids(plan: &Plan<Action>) -> Vec<&str> {
    plan.steps().iter().map(|step| step.id.as_str()).collect()
}

#[test]
fn a_drain_looks_backs_up_and_silences_first_waits_for_hands_and_looks_afterwards() {
    let plan = compiled(&ticket(drain(), "OnFailure", "Affected", "Affected"), &application(1), &["a", "b"]);
    assert_eq!(
        ids(&plan),
        [
            "backup/portal",
            "inspect/a/n1",
            "silence/a",
            "silence/b",
            "cordon/a/n1",
            "drain/a/n1",
            "manual",
            "uncordon/a/n1",
            "check/portal/c0",
            "end-silence/a",
            "end-silence/b"
        ]
    );
    let cordon = plan.steps().iter().find(|step| step.id.as_str() == "cordon/a/n1").expect("a cordon");
    let before: Vec<&str> = cordon.dependencies().map(p861_core::engine::StepId::as_str).collect();
    assert_eq!(before, ["backup/portal", "inspect/a/n1", "silence/a", "silence/b"], "nothing is touched before it is backed up and looked at");
}

#[test]
fn fault_e25_a_node_is_looked_at_after_the_backups_and_drained_for_the_district_of_the_ticket_only() {
    let plan = compiled(&ticket(drain(), "OnFailure", "Affected", "Affected"), &application(1), &["a"]);
    let step = |id: &str| plan.steps().iter().find(|step| step.id.as_str() == id).expect("a step");
    let inspected: Vec<&str> = step("inspect/a/n1").dependencies().map(p861_core::engine::StepId::as_str).collect();
    assert_eq!(inspected, ["backup/portal"], "while a backup is taken, pods of others can come");
    let (Action::InspectNode { district: inspected, .. }, Action::Drain { district: drained, .. }) = (&step("inspect/a/n1").action, &step("drain/a/n1").action)
    else {
        panic!("{plan:?}")
    };
    assert!(drained.is_some() && drained == inspected, "{drained:?}");
}

#[test]
fn fault_e8_a_district_silences_nothing_of_a_site_but_its_own_alerts_and_the_node_that_may_be_drained() {
    let mut spec = ticket(drain(), "OnFailure", "Affected", "Affected");
    spec.affects.site_refs = vec![p861_crds::ObjectReference::new("a")];
    let of = |district: Option<&str>, namespace: &str| {
        let application = application(0);
        let affected = [Affected { name: "portal", spec: &application, site: &"a".into(), last_backup: None }];
        let (sites, applications) = ([SiteName::from("a")], if district.is_some() { &affected[..] } else { &[] });
        let mut spec = spec.clone();
        spec.affects.application_refs.retain(|_| district.is_some());
        let facts =
            WorkFacts { ticket: "chg-1", namespace, district, spec: &spec, planned: Planned::default(), applications, alertmanagers: &sites, component: None };
        let plan = work::compile(&facts).expect("compiles");
        let step = plan.steps().iter().find(|step| step.id.as_str() == "silence/a").expect("a silence");
        let Action::Silence { labels, .. } = &step.action else { panic!("{step:?}") };
        let before: Vec<String> = step.dependencies().map(ToString::to_string).collect();
        assert!(before.contains(&"inspect/a/n1".to_owned()), "of a node that may not be drained nothing is silenced: {before:?}");
        json!(labels)
    };
    let node = json!({"site": "a", "node": "n1"});
    assert_eq!(of(Some("shinan"), "shinan"), json!([{"district": "shinan", "application": "portal"}, {"district": "shinan", "site": "a"}, node]));
    assert_eq!(of(None, "p861-system"), json!([{"site": "a"}, node]), "a site is the city's");
}

#[test]
fn an_upgrade_is_watched_on_the_standby_before_the_primary_is_touched_and_taken_back_on_both() {
    let plan = upgrade_of("7.2.6", "OnFailure").expect("compiles");
    assert_eq!(
        ids(&plan),
        [
            "install/standby/cache",
            "health/standby/cache/deployment-redis",
            "watch/standby/cache",
            "install/primary/cache",
            "health/primary/cache/deployment-redis",
            "watch/primary/cache",
            "end-install/standby/cache",
            "end-install/primary/cache"
        ]
    );
    let before: Vec<&str> = plan.steps()[3].dependencies().map(p861_core::engine::StepId::as_str).collect();
    assert_eq!(before, ["watch/standby/cache"]);
    let installs = || plan.steps().iter().filter(|step| step.id.as_str().ends_with("/install"));
    assert!(installs().all(|step| matches!(&step.undo, Some(Action::RevertComponent { version, .. }) if version == "7.2.6")));
    assert!(upgrade_of("7.2.6", "Impossible").expect("compiles").steps().iter().all(|step| step.undo.is_none()));
}

#[test]
fn a_change_takes_as_long_as_its_last_backups_and_what_it_watches_or_as_people_say() {
    let of = |spec: &MaintenanceTicketSpec| work::takes(&compiled(spec, &application(1), &[]), spec.change.as_ref().expect("a change")).expect("a duration");
    let mut drain = ticket(drain(), "OnFailure", "Affected", "Affected");
    assert_eq!(of(&drain), SignedDuration::from_mins(4), "its backup");
    let expect = |spec: &mut MaintenanceTicketSpec, said: &str| spec.change.as_mut().expect("a change").expected_duration = Some(said.into());
    expect(&mut drain, "2h");
    assert_eq!(of(&drain), SignedDuration::from_hours(2), "hands are slower");
    expect(&mut drain, "1m");
    assert_eq!(of(&drain), SignedDuration::from_mins(1), "people know that the next backup is a short one");
    assert_eq!(upgrade_of("7.2.6", "OnFailure").expect("compiles").at_least(), SignedDuration::from_mins(2), "a minute on each site, one after the other");
}

#[test]
fn a_version_that_is_not_declared_any_more_is_not_installed() {
    let refused = upgrade_of("7.2.7", "OnFailure").expect_err("refused");
    assert!(refused.contains("declares cache 7.2.7") && refused.contains("open another"), "{refused}");
}

#[test]
fn hands_are_asked_for_and_what_they_break_only_people_take_back() {
    let plan = compiled(&ticket(json!({"manual": {}}), "OnFailure", "Skip", "None"), &application(2), &["a"]);
    assert_eq!(ids(&plan), ["manual", "check/portal/c0", "check/portal/c1"]);
    assert!(plan.steps()[0].needs_person.is_some());
    assert!(plan.steps().iter().skip(1).all(|step| step.on_failure == OnFailure::Continue));
}

#[test]
fn another_ticket_another_node_or_another_check_is_another_plan() {
    let of = |spec: &MaintenanceTicketSpec, checks| compiled(spec, &application(checks), &[]).digest().to_owned();
    let first = ticket(drain(), "OnFailure", "Affected", "Affected");
    let other = ticket(json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "n2"}}), "OnFailure", "Affected", "Affected");
    assert_eq!(of(&first, 1), of(&first, 1));
    assert_ne!(of(&first, 1), of(&other, 1));
    assert_ne!(of(&first, 1), of(&first, 2));
}

#[test]
fn a_name_that_nothing_can_have_is_refused_with_its_field() {
    for (work, says) in [
        (json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "../../secrets"}}), "spec.change.work.drainNode.nodeName is \"../../secrets\": a name has"),
        (json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "Node 1"}}), "spec.change.work.drainNode.nodeName is \"Node 1\": a name has"),
        (json!({"drainNode": {"siteRef": {"name": "a/b"}, "nodeName": "n1"}}), "spec.change.work.drainNode.siteRef.name is \"a/b\": a name has"),
        (json!({"upgradeComponent": {"component": "../x", "version": "1"}}), "spec.change.work.upgradeComponent.component is \"../x\": a name has"),
    ] {
        for silence in ["Affected", "None"] {
            let spec = ticket(work.clone(), "OnFailure", "Skip", silence);
            let (ticket, sites) = ("chg-1", [SiteName::from("a")]);
            let facts = WorkFacts {
                ticket,
                namespace: "shinan",
                district: Some("shinan"),
                spec: &spec,
                planned: Planned::default(),
                applications: &[],
                alertmanagers: &sites,
                component: None,
            };
            let error = work::compile(&facts).expect_err("refused").to_string();
            assert!(error.starts_with(says), "{work}: {error}");
        }
    }
}

#[test]
fn a_backup_of_a_long_name_keeps_to_the_length_of_a_label_and_differs_by_ticket() {
    let long = "a".repeat(60);
    let mut spec = ticket(drain(), "OnFailure", "Affected", "Affected");
    let (one, two) = (work::backup_name(&long, "chg-1", &spec), work::backup_name(&long, "chg-2", &spec));
    assert!(one.len() <= 63 && two.len() <= 63);
    assert_ne!(one, two);
    assert_eq!(work::backup_name("portal", "chg-1", &spec), "portal-chg-1");
    spec.actions.push(said(TicketActionKind::Reopen));
    assert_eq!(work::backup_name("portal", "chg-1", &spec), "portal-chg-1-2", "what was saved before the first attempt is not taken for the second's");
}

fn said(kind: TicketActionKind) -> TicketAction {
    TicketAction {
        action: kind,
        reason: Some("why".into()),
        note: None,
        reported: None,
        assignee: None,
        resolution: None,
        by: Some("li".into()),
        on_behalf_of: None,
    }
}

#[test]
fn done_answers_rollback_aborts_and_what_the_ticket_refused_says_nothing() {
    let all = [said(TicketActionKind::Acknowledge), said(TicketActionKind::Done), said(TicketActionKind::Note), said(TicketActionKind::RollBack)];
    let heard = work::actions(&all, 1, 4, &[1], None);
    let kinds: Vec<_> = heard.iter().map(|action| (action.action, action.step.as_deref())).collect();
    assert_eq!(kinds, [(ActionKind::Retry, None), (ActionKind::Abort, None)]);
    assert_eq!(work::actions(&all, 1, 2, &[], None)[0].step.as_deref(), Some("manual"));
    assert_eq!(work::actions(&all, 1, 1, &[], None), [], "what the ticket has not heard yet its steps have not either");
}

fn any_kind() -> impl Strategy<Value = TicketActionKind> {
    use TicketActionKind::{Acknowledge, Assign, Cancel, Done, Note, Plan, Reopen, Resolve, Resume, RollBack, Start, Suspend};
    prop::sample::select(vec![Acknowledge, Assign, Note, Plan, Start, Done, RollBack, Resolve, Suspend, Resume, Reopen, Cancel])
}

proptest! {
    /// What is closed is opened by the undo of the very step that closes it, and what is silenced is un-silenced in any case.
    #[test]
    fn nothing_outlives_the_work(rollback in prop::sample::select(vec!["OnFailure", "Manual", "Impossible"]), checks in 0_usize..4, sites in 0_usize..3) {
        let names = ["a", "b", "c"];
        let plan = compiled(&ticket(drain(), rollback, "Affected", "Affected"), &application(checks), &names[..sites]);
        for step in plan.steps() {
            match &step.action {
                Action::Cordon { site, node, owner } => {
                    let open = Action::Uncordon { site: site.clone(), node: node.clone(), owner: owner.clone() };
                    prop_assert_eq!(step.undo.as_ref(), Some(&open));
                    prop_assert!(plan.steps().iter().any(|other| other.action == open));
                }
                Action::Silence { site, owner, .. } => {
                    let end = Action::EndSilence { site: site.clone(), owner: owner.clone() };
                    prop_assert!(plan.steps().iter().any(|other| other.action == end && other.finally));
                }
                _ => {}
            }
        }
    }

    /// The steps read the list by position: what was said before keeps its place when more is said.
    #[test]
    fn what_was_said_keeps_its_place(kinds in prop::collection::vec(any_kind(), 0..12), first in 0_usize..4) {
        let all: Vec<TicketAction> = kinds.into_iter().map(said).collect();
        let whole = work::actions(&all, first, all.len(), &[], None);
        for observed in 0..=all.len() {
            let part = work::actions(&all, first, observed, &[], None);
            prop_assert_eq!(&whole[..part.len()], &part[..]);
            let refused: Vec<usize> = (0..observed).collect();
            prop_assert_eq!(work::actions(&all, first, observed, &refused, None).len(), part.len());
        }
    }
}
