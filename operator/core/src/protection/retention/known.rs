//! What is known of the snapshots of a repository: from the repository itself, and from the objects on the hub.

use super::{Asked, Flaw, Hold, KnownSnapshot, ledger::Ledger};
use crate::{
    ids::SnapshotId,
    protection::choose::{self, CataloguedPoint},
};
use jiff::Timestamp;
use p861_crds::{
    Backup, Drill, MaintenanceTicket, ObjectMeta, Restore,
    common::{ActionKind, RunPhase},
    names::{KEEP, TICKET_LABEL},
};
use std::collections::BTreeMap;

/// The answer of an action Forget that means the snapshot also as the newest, or the newest of its level.
pub const EVEN_NEWEST: &str = "newest";

/// What a district has on the hub, and in one of its repositories.
#[derive(Clone, Debug, Default)]
pub struct KnownFacts {
    /// The district's namespace on the hub.
    pub district: String,
    /// The sealed snapshots of the repository, of whichever district.
    pub catalogue: Vec<CataloguedPoint>,
    /// All Backups.
    pub backups: Vec<Backup>,
    /// All Restores.
    pub restores: Vec<Restore>,
    /// All Drills.
    pub drills: Vec<Drill>,
    /// All tickets.
    pub tickets: Vec<MaintenanceTicket>,
    /// What the repository remembers of snapshots whose Backups may have left the hub.
    pub ledger: Ledger,
}

/// What a person has asked of a Backup's snapshot: that it goes, unless a later Abort has taken that back.
pub fn asked(backup: &Backup) -> Option<Asked> {
    let mut asked = None;
    for action in &backup.spec.actions {
        match action.action {
            ActionKind::Forget => {
                let even_newest = action.answer.as_deref() == Some(EVEN_NEWEST);
                asked = Some(Asked { by: action.by.clone(), reason: action.reason.clone(), even_newest });
            }
            ActionKind::Abort => asked = None,
            _ => {}
        }
    }
    asked
}

/// The district's snapshots, by application. Those of other districts, and those that say no district, are left out: nobody here may judge them.
pub fn known(facts: &KnownFacts) -> BTreeMap<String, Vec<KnownSnapshot>> {
    let of_snapshot: BTreeMap<&str, &Backup> =
        facts.backups.iter().filter_map(|backup| Some((backup.status.as_ref()?.snapshot_id.as_deref()?, backup))).collect();
    let mut by_application: BTreeMap<String, Vec<KnownSnapshot>> = BTreeMap::new();
    for catalogued in facts.catalogue.iter().filter(|catalogued| catalogued.district.as_deref() == Some(facts.district.as_str())) {
        let backup = of_snapshot.get(catalogued.point.snapshot.as_str()).copied();
        by_application.entry(catalogued.application.clone()).or_default().push(of_one(catalogued, backup, &facts.ledger));
    }
    for (application, snapshots) in &mut by_application {
        hold_used(facts, application, snapshots);
    }
    by_application
}

fn of_one(catalogued: &CataloguedPoint, backup: Option<&Backup>, ledger: &Ledger) -> KnownSnapshot {
    let point = &catalogued.point;
    let status = backup.and_then(|backup| backup.status.as_ref());
    let remembered = ledger.of(&point.snapshot);
    let proven = status.and_then(|status| status.verification.as_ref()).map(|proof| (proof.level, proof.verified_time.0));
    let until = backup.map_or(remembered.keep_until, |backup| backup.spec.keep_until_time.as_ref().map(|time| time.0));
    let mut holds: Vec<Hold> = until.map(Hold::Until).into_iter().collect();
    holds.extend(backup.filter(|backup| is_marked(&backup.metadata)).map(|_| Hold::Marked));
    KnownSnapshot {
        snapshot: point.snapshot.clone(),
        backup: point.backup.clone(),
        time: point.time,
        proof: proven.or(remembered.proof),
        flaw: flaw(catalogued, backup),
        holds,
        asked: backup.and_then(asked),
    }
}

fn is_marked(metadata: &ObjectMeta) -> bool {
    let says = |marks: &Option<BTreeMap<String, String>>| marks.as_ref().and_then(|marks| marks.get(KEEP)).is_some_and(|value| value == "true");
    says(&metadata.labels) || says(&metadata.annotations)
}

fn flaw(catalogued: &CataloguedPoint, backup: Option<&Backup>) -> Option<Flaw> {
    let phase = backup.and_then(|backup| backup.status.as_ref()).and_then(|status| status.phase);
    let has_failed = phase.is_some_and(|phase| phase.is_end() && phase != RunPhase::Succeeded);
    if backup.is_some_and(choose::is_damaged) {
        Some(Flaw::Damaged)
    } else if catalogued.is_partial || has_failed {
        Some(Flaw::Partial)
    } else if catalogued.is_half_restored || backup.is_some_and(choose::is_half_restored) {
        Some(Flaw::HalfRestored)
    } else {
        None
    }
}

/// Holds what runs use that have not ended.
fn hold_used(facts: &KnownFacts, application: &str, snapshots: &mut [KnownSnapshot]) {
    let mut hold = |by: String, of: &dyn Fn(&KnownSnapshot) -> bool| {
        for known in snapshots.iter_mut().filter(|known| of(known)) {
            known.holds.push(Hold::InUse(by.clone()));
        }
    };
    let goes_on = |phase: Option<RunPhase>| !phase.is_some_and(RunPhase::is_end);
    for backup in facts.backups.iter().filter(|backup| goes_on(backup.status.as_ref().and_then(|status| status.phase))) {
        let name = name_of(&backup.metadata);
        hold(format!("backup {name}"), &|known| known.backup == name);
    }
    for restore in facts.restores.iter().filter(|restore| goes_on(restore.status.as_ref().and_then(|status| status.phase))) {
        let (source, name) = (&restore.spec.source, name_of(&restore.metadata));
        let chosen = restore.status.as_ref().and_then(|status| status.backup.as_deref());
        let named = chosen.or(source.backup_ref.as_ref().map(|reference| reference.name.as_str()));
        let by_id = source.snapshot.as_ref().map(|snapshot| snapshot.id.as_str());
        hold(format!("restore {name}"), &|known| Some(known.backup.as_str()) == named || by_id.is_some_and(|id| known.snapshot.as_str().starts_with(id)));
        let will_choose = chosen.is_none() && source.application_ref.as_ref().is_some_and(|reference| reference.name == application);
        if let Some(limit) = source.not_after_time.as_ref().filter(|_| will_choose) {
            hold_not_after(&facts.catalogue, application, limit.0, &format!("restore {name}"), &mut hold);
        }
    }
    for drill in facts.drills.iter().filter(|drill| goes_on(drill.status.as_ref().and_then(|status| status.phase))) {
        let used: Vec<&str> = drill.status.iter().flat_map(|status| &status.applications).filter_map(|used| used.backup.as_deref()).collect();
        let by = format!("drill {}", name_of(&drill.metadata));
        hold(by.clone(), &|known| used.contains(&known.backup.as_str()));
        // Whose it is stands in its plan, which may change: what any of its applications may need is held.
        if let Some(limit) = drill.spec.recovery_point.not_after_time.as_ref().filter(|_| used.is_empty()) {
            hold_not_after(&facts.catalogue, application, limit.0, &by, &mut hold);
        }
    }
    for ticket in facts.tickets.iter().filter(|ticket| !has_ended(ticket)) {
        let name = name_of(&ticket.metadata);
        let of_ticket = |backup: &&Backup| backup.metadata.labels.as_ref().and_then(|labels| labels.get(TICKET_LABEL)).is_some_and(|label| label == name);
        let asked_by: Vec<&str> = facts.backups.iter().filter(of_ticket).map(|backup| name_of(&backup.metadata)).collect();
        let taken: Vec<&str> = ticket.status.iter().flat_map(|status| &status.backups).map(String::as_str).collect();
        hold(format!("ticket {name}"), &|known| [&asked_by, &taken].iter().any(|names| names.contains(&known.backup.as_str())));
    }
}

/// Holds the newest that a run may choose which wants none newer than `limit`.
fn hold_not_after(
    catalogue: &[CataloguedPoint],
    application: &str,
    limit: Timestamp,
    by: &str,
    hold: &mut impl FnMut(String, &dyn Fn(&KnownSnapshot) -> bool),
) {
    let whole = catalogue.iter().filter(|other| other.application == application && !other.is_partial && !other.is_half_restored);
    let newest = whole.filter(|other| other.point.time <= limit).max_by_key(|other| (other.point.time, other.point.snapshot.clone()));
    if let Some(newest) = newest {
        let chosen: &SnapshotId = &newest.point.snapshot;
        hold(by.to_owned(), &|known| known.snapshot == *chosen);
    }
}

fn has_ended(ticket: &MaintenanceTicket) -> bool {
    let Some(status) = &ticket.status else { return false };
    status.phase.is_some_and(p861_crds::maintenance::ticket::TicketPhase::is_end) && status.work_phase.is_none_or(RunPhase::is_end)
}

fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::{choose::RecoveryPoint, retention::ledger::Remembered};
    use p861_crds::protection::backup::VerificationLevel;
    use serde_json::{Value, json};

    fn time(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).expect("a time")
    }

    fn point(application: &str, backup: &str, hour: i64, district: Option<&str>) -> CataloguedPoint {
        CataloguedPoint {
            application: application.into(),
            point: RecoveryPoint {
                backup: backup.into(),
                snapshot: format!("id-{backup}").as_str().into(),
                time: time(hour),
                repository: "main".into(),
                level: None,
                site: None,
            },
            is_partial: backup.contains("partial"),
            is_half_restored: backup.contains("half"),
            district: district.map(str::to_owned),
        }
    }

    fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: Value, status: Value) -> K {
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec, "status": status});
        serde_json::from_value(document).expect("an object")
    }

    fn backup(name: &str, status: Value) -> Backup {
        object("Backup", name, json!({"applicationRef": {"name": "a"}}), status)
    }

    fn facts() -> KnownFacts {
        let catalogue = ["one", "two", "partial", "half", "three"].iter().zip(1..).map(|(name, hour)| point("a", name, hour, Some("shinan"))).collect();
        KnownFacts { district: "shinan".into(), catalogue, ..KnownFacts::default() }
    }

    fn holds(facts: &KnownFacts) -> Vec<(String, Vec<Hold>)> {
        let held = known(facts).remove("a").unwrap_or_default().into_iter().filter(|known| !known.holds.is_empty());
        held.map(|known| (known.backup, known.holds)).collect()
    }

    #[test]
    fn only_snapshots_of_the_district_itself_are_known_and_each_with_its_flaw() {
        let mut facts = facts();
        facts.catalogue.push(point("a", "of-another", 9, Some("shibei")));
        facts.catalogue.push(point("a", "of-nobody", 9, None));
        facts.catalogue.push(point("b", "of-b", 9, Some("shinan")));
        let damaged = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "", "lastTransitionTime": "2026-11-15T00:00:00Z"}]);
        facts.backups = vec![
            backup("one", json!({"phase": "Succeeded", "snapshotID": "id-one", "conditions": damaged})),
            backup("two", json!({"phase": "Failed", "snapshotID": "id-two"})),
        ];
        let found = known(&facts);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        let flaws: Vec<_> = found["a"].iter().map(|known| (known.backup.as_str(), known.flaw)).collect();
        let expected =
            [("one", Some(Flaw::Damaged)), ("two", Some(Flaw::Partial)), ("partial", Some(Flaw::Partial)), ("half", Some(Flaw::HalfRestored)), ("three", None)];
        assert_eq!(flaws, expected);
    }

    #[test]
    fn what_the_hub_knows_counts_before_what_the_repository_remembers_and_that_counts_once_the_hub_has_lost_it() {
        let mut facts = facts();
        let proof = |level, hour| Some((level, time(hour)));
        let remembered = |level, until| Remembered { proof: proof(level, 5), keep_until: Some(time(until)) };
        facts.ledger.snapshots.insert("id-one".into(), remembered(VerificationLevel::Probed, 100));
        facts.ledger.snapshots.insert("id-three".into(), remembered(VerificationLevel::Probed, 100));
        let verification = json!({"level": "Stored", "verifiedTime": time(7).to_string()});
        facts.backups = vec![backup("three", json!({"phase": "Succeeded", "snapshotID": "id-three", "verification": verification}))];
        let of_a = known(&facts).remove("a").unwrap_or_default();
        let of = |name: &str| of_a.iter().find(|known| known.backup == name).map(|known| (known.proof, known.holds.clone()));
        assert_eq!(of("one"), Some((proof(VerificationLevel::Probed, 5), vec![Hold::Until(time(100))])));
        assert_eq!(of("three"), Some((proof(VerificationLevel::Stored, 7), vec![])));
    }

    #[test]
    fn what_runs_use_that_have_not_ended_is_held_by_them() {
        let in_use = |by: &str| vec![Hold::InUse(by.to_owned())];
        let restore = |source: Value, status: Value| KnownFacts { restores: vec![object("Restore", "back", json!({"source": source}), status)], ..facts() };
        let named = json!({"backupRef": {"name": "one"}});
        let newest = json!({"applicationRef": {"name": "a"}, "notAfterTime": time(2).to_string()});
        let cases = [
            ("nothing", facts(), None),
            ("a backup that goes on", KnownFacts { backups: vec![backup("three", json!({"phase": "Running"}))], ..facts() }, Some(("three", "backup three"))),
            ("a restore that names it", restore(named.clone(), json!({})), Some(("one", "restore back"))),
            ("one that has ended", restore(named, json!({"phase": "Failed"})), None),
            ("one that has chosen", restore(newest.clone(), json!({"backup": "one"})), Some(("one", "restore back"))),
            ("one that will choose", restore(newest, json!({})), Some(("two", "restore back"))),
            ("one of the newest", restore(json!({"applicationRef": {"name": "a"}}), json!({})), None),
            ("one of another application", restore(json!({"applicationRef": {"name": "b"}, "notAfterTime": time(2).to_string()}), json!({})), None),
            ("one of a snapshot", restore(json!({"snapshot": {"repositoryRef": {"name": "main"}, "id": "id-tw"}}), json!({})), Some(("two", "restore back"))),
        ];
        for (case, facts, expected) in cases {
            let expected: Vec<_> = expected.map(|(backup, by)| (backup.to_owned(), in_use(by))).into_iter().collect();
            assert_eq!(holds(&facts), expected, "{case}");
        }
    }

    #[test]
    fn a_drill_holds_what_it_uses_and_a_ticket_what_was_taken_for_it_until_they_have_ended() {
        let drill = |spec: Value, status: Value| -> Drill {
            let mut whole = json!({"planRef": {"name": "p"}, "type": "Isolated"});
            whole.as_object_mut().expect("a map").extend(spec.as_object().cloned().unwrap_or_default());
            object("Drill", "core-1", whole, status)
        };
        let uses = json!({"phase": "Running", "applications": [{"name": "a", "backup": "one"}]});
        let limit = json!({"recoveryPoint": {"notAfterTime": time(2).to_string()}});
        for (drill, expected) in [
            (drill(json!({}), uses.clone()), Some("one")),
            (drill(limit.clone(), uses), Some("one")),
            (drill(limit, json!({})), Some("two")),
            (drill(json!({}), json!({})), None),
        ] {
            let found = holds(&KnownFacts { drills: vec![drill], ..facts() });
            assert_eq!(found.iter().map(|(backup, _)| backup.as_str()).collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        }
        let ticket = |status: Value| -> MaintenanceTicket {
            object("MaintenanceTicket", "chg-1", json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low"}), status)
        };
        for (status, held) in [
            (json!({"phase": "InProgress", "backups": ["one"]}), true),
            (json!({"phase": "Closed", "workPhase": "Running", "backups": ["one"]}), true),
            (json!({"phase": "Closed", "workPhase": "Succeeded", "backups": ["one"]}), false),
        ] {
            let found = holds(&KnownFacts { tickets: vec![ticket(status.clone())], ..facts() });
            assert_eq!(found == [("one".to_owned(), vec![Hold::InUse("ticket chg-1".into())])], held, "{status}");
        }
    }

    #[test]
    fn a_person_keeps_a_snapshot_by_a_time_or_a_mark() {
        let mut kept = backup("one", json!({"phase": "Succeeded", "snapshotID": "id-one"}));
        kept.spec.keep_until_time = Some(p861_crds::Time(time(50)));
        kept.metadata.annotations = Some([(KEEP.to_owned(), "true".to_owned())].into());
        let found = holds(&KnownFacts { backups: vec![kept], ..facts() });
        assert_eq!(found, [("one".to_owned(), vec![Hold::Until(time(50)), Hold::Marked])]);
    }

    #[test]
    fn the_last_word_on_a_snapshot_counts() {
        let of = |actions: Value| asked(&object("Backup", "one", json!({"applicationRef": {"name": "a"}, "actions": actions}), json!({})));
        let forget = |answer: Option<&str>| json!({"action": "Forget", "reason": "test data", "by": "hong", "answer": answer});
        let expected = |even_newest| Some(Asked { by: Some("hong".into()), reason: Some("test data".into()), even_newest });
        assert_eq!(of(json!([])), None);
        assert_eq!(of(json!([forget(None)])), expected(false));
        assert_eq!(of(json!([forget(None), forget(Some("newest"))])), expected(true));
        assert_eq!(of(json!([forget(None), {"action": "Abort", "reason": "no"}])), None);
        assert_eq!(of(json!([{"action": "Abort", "reason": "no"}, forget(Some("yes"))])), expected(false));
    }
}
