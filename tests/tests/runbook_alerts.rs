//! Every alert fires by its real cause in a real Prometheus, arrives through a real Alertmanager as a ticket, and ends when what its runbook says under
//! Mitigation was done. The operator runs as its own program beside an API server; all causes are there at once, as in a bad night.
#![allow(clippy::print_stdout, reason = "it says how far it came")]

mod causes;
mod night;

use crate::support::pages::pages;
use causes::Cause;
use night::Night;
use std::{collections::BTreeSet, time::Instant};

/// Alerts that become no ticket: what tells of tickets would tell of itself, and without an operator nobody opens one.
const NO_TICKET: [&str; 3] = ["P861TicketOverdue", "P861OperatorDown", "P861NoLeader"];

/// What `make test` sees of the night: one alert of each family, chosen so that cause and end go different ways through the operator.
const FAMILIES: [(&str, &str); 5] = [
    // An application whose backup is late, and that is backed up.
    ("backup", "P861BackupOverdue"),
    // A plan whose drill is late, and that is drilled.
    ("drill", "P861DrillOverdue"),
    // A site whose token has ended, and that gets another.
    ("site", "P861SiteUnreachable"),
    // A repository whose key was changed, and that gets it back.
    ("repository", "P861RepositoryNotReady"),
    // A roster with a gap, and that is filled.
    ("maintenance", "P861DutyUncovered"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a few minutes of waiting: tests/all.sh runs it beside the other suites"]
async fn one_alert_of_each_family_fires_by_its_cause_becomes_a_ticket_and_ends_as_its_runbook_says() {
    let mut night = Night::begin().await;
    let chosen: Vec<Cause> = causes::all().into_iter().filter(|cause| FAMILIES.iter().any(|(_, alert)| *alert == cause.alert)).collect();
    assert_eq!(chosen.len(), FAMILIES.len(), "each family's alert has its cause");
    // In the whole night a cause of its own keeps this application without a backup for a while; here nothing would end that.
    night.p861(night::DISTRICT, &["backup", "now", "volume", "--repository", "cellar"]);
    see_through(&mut night, &chosen).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of an hour: make soak"]
async fn every_alert_fires_by_its_cause_becomes_a_ticket_and_ends_as_its_runbook_says() {
    let mut night = Night::begin().await;
    see_through(&mut night, &causes::all()).await;
    see_through(&mut night, &causes::last()).await;
}

#[test]
fn every_alert_has_its_cause_in_the_night_and_ends_by_words_of_its_runbook() {
    let causes: Vec<Cause> = causes::all().into_iter().chain(causes::last()).collect();
    let pages = pages();
    let alerts: BTreeSet<&str> = pages.keys().map(String::as_str).collect();
    assert_eq!(causes.iter().map(|cause| cause.alert).collect::<BTreeSet<_>>(), alerts, "every alert has its cause here");
    for Cause { alert, runbook, .. } in &causes {
        let (_, mitigation) = pages[*alert].sections.iter().find(|(head, _)| head == "Mitigation").expect("a mitigation");
        assert!(mitigation.contains(runbook), "runbooks/{alert}.md says nowhere under Mitigation: {runbook}");
    }
}

/// All of them happen, are seen, are mended, and are over.
async fn see_through(night: &mut Night, causes: &[Cause]) {
    night.since = Instant::now();
    for cause in causes {
        println!("{} is caused", cause.alert);
        (cause.happens)(night).await;
    }
    for cause in causes {
        night.until_has_fired(cause.alert, cause.labels).await;
        if !NO_TICKET.contains(&cause.alert) {
            night.until_ticket(cause.alert, "Firing").await;
        }
        println!("{} has fired", cause.alert);
    }
    for cause in causes {
        println!("{}: what its runbook says", cause.alert);
        (cause.mitigated)(night).await;
    }
    for cause in causes.iter().filter(|cause| cause.alert != causes::DRILL_FAILED) {
        night.until_over(cause.alert).await;
        if !NO_TICKET.contains(&cause.alert) {
            night.until_ticket(cause.alert, "Resolved").await;
        }
        println!("{} is over", cause.alert);
    }
}
