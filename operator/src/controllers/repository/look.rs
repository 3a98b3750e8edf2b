//! What retention makes of a repository's snapshots, by what is known on the hub and in the repository.

use super::policies::{Policies, policies};
use crate::{context::Context, controllers::window::zone_of, hub_cache::ReadFrom};
use jiff::{Timestamp, tz::TimeZone};
use kube::ResourceExt as _;
use p861_core::{
    conditions::ConditionUpdate,
    protection::{
        choose,
        retention::{
            ForgetReason, KnownSnapshot, Listed, RetentionPlan, Terms,
            known::{KnownFacts, asked, known},
            ledger::{self, Ledger, Ledgers},
            stays_although_asked,
        },
    },
    runs::BackupFinding,
};
use p861_crds::{Backup, BackupRepository, ConditionType, Reason, common::RunPhase};
use p861_runs::{
    error::{Category, Error, Result},
    repository,
};
use std::collections::{BTreeMap, BTreeSet};

/// What was found.
pub struct Look {
    /// What it was found by.
    pub facts: KnownFacts,
    /// The snapshots, by application.
    pub known: BTreeMap<String, Vec<KnownSnapshot>>,
    /// What becomes of them.
    pub plans: BTreeMap<String, RetentionPlan>,
    /// By which policies.
    pub policies: Policies,
    /// What all districts have in the repository's ledger, and its tag; none if there is no ledger yet.
    ledgers: (Ledgers, Option<String>),
}

/// Looks at a repository. The Backups are listed before the snapshots: what is sealed meanwhile is there, and not missing.
pub async fn look(context: &Context, repository: &BackupRepository, from: ReadFrom, now: Timestamp) -> Result<Look> {
    let (namespace, name) = (repository.namespace().unwrap_or_default(), repository.name_any());
    let policies = policies(context, from, &namespace, &name).await?;
    let zone = zone(context, &namespace).await?;
    let (backups, restores) = (from.list(context, &namespace).await?, from.list(context, &namespace).await?);
    let (drills, tickets) = (from.list(context, &namespace).await?, from.list(context, &namespace).await?);
    let catalogue = repository::catalogue(&context.hub, &namespace, &name).await?;
    let ledgers = ledgers(context, &namespace, &name).await?;
    let ledger = ledgers.0.districts.get(&namespace).cloned().unwrap_or_default();
    let facts = KnownFacts { district: namespace, catalogue, backups, restores, drills, tickets, ledger };
    let known = known(&facts);
    let plan = |(application, snapshots): (&String, &Vec<KnownSnapshot>)| {
        let retention = policies.get(application).and_then(|(_, retention)| *retention);
        (application.clone(), RetentionPlan::of(snapshots, &Terms { retention, zone: zone.clone() }, now))
    };
    let plans = known.iter().map(plan).collect();
    Ok(Look { facts, known, plans, policies, ledgers })
}

/// The time zone of a district.
pub async fn zone(context: &Context, namespace: &str) -> Result<TimeZone> {
    let name = zone_of(context, namespace).await?;
    TimeZone::get(&name).map_err(|error| Error::invalid(Reason::Invalid, format!("time zone {name} of the District can't be used: {error}")))
}

/// What the repository remembers of its snapshots. While it can't be read nothing is forgotten.
async fn ledgers(context: &Context, namespace: &str, name: &str) -> Result<(Ledgers, Option<String>)> {
    let store = repository::open_store(&context.hub, namespace, name).await?;
    let (body, tag) = match store.get_with_tag(ledger::KEY).await {
        Ok((body, tag)) => (body, Some(tag)),
        Err(error) if error.is_missing() => return Ok((Ledgers::default(), None)),
        Err(error) => return Err(repository::vault(&format!("read {} of repository {name}", ledger::KEY), &error)),
    };
    let read = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("{} of repository {name} can't be read ({error}): put it back from a copy of the repository, or delete it", ledger::KEY);
        Error::Stated { reason: Reason::Damaged, message, category: Category::NeedsPerson }
    });
    Ok((read?, tag))
}

impl Look {
    /// Number of snapshots that go, and of these those that people have asked for.
    pub fn going(&self) -> (usize, usize) {
        let reasons = || self.plans.values().flat_map(RetentionPlan::going).map(|(_, reason)| reason);
        (reasons().count(), reasons().filter(|reason| matches!(reason, ForgetReason::Asked { .. })).count())
    }

    /// Has the repository remember what keeps its snapshots, if that has changed. Another district that does so at the same moment goes first: the next look does the rest.
    pub async fn remember(&self, context: &Context, name: &str) -> Result<()> {
        let (ledgers, tag) = &self.ledgers;
        let Some(renewed) = ledgers.with(&self.facts.district, Ledger::now(&self.known, &self.plans)) else { return Ok(()) };
        context.hub.leadership.ensure()?;
        let body = serde_json::to_vec(&renewed).map_err(|error| Error::Internal(format!("{} can't be written: {error}", ledger::KEY)))?;
        let store = repository::open_store(&context.hub, &self.facts.district, name).await?;
        let written = match tag {
            Some(tag) => store.put_if_match(ledger::KEY, body, tag).await,
            None => store.put_if_absent(ledger::KEY, body).await,
        };
        written.map(drop).map_err(|error| repository::vault(&format!("write {} of repository {name}", ledger::KEY), &error))
    }

    /// All snapshots, as people are shown them.
    pub fn listed(&self) -> Vec<Listed> {
        let of_application = |(application, plan): (&String, &RetentionPlan)| {
            let policy = self.policies.get(application).map(|(policy, _)| policy.clone());
            let listed = |judged: &_| Listed { application: application.clone(), policy: policy.clone(), judged: Clone::clone(judged) };
            plan.judged.iter().map(listed).collect::<Vec<_>>()
        };
        self.plans.iter().flat_map(of_application).collect()
    }

    /// Ids of the snapshots that Backups name and that are not in the repository.
    pub fn missing(&self, repository: &str) -> BTreeSet<String> {
        let there: BTreeSet<&str> = self.facts.catalogue.iter().map(|catalogued| catalogued.point.snapshot.as_str()).collect();
        let named = self.facts.backups.iter().filter_map(|backup| snapshot_in(backup, repository));
        named.filter(|id| !there.contains(id)).map(str::to_owned).collect()
    }

    /// What is found of Backups: their snapshots are gone, or there again; or stay, although somebody has asked that they go. `missing` are those that were missing at
    /// the look before, too: a store may forget to list something once.
    pub fn findings(&self, repository: &str, missing: &BTreeSet<String>) -> Vec<BackupFinding> {
        let lacking = self.missing(repository);
        self.facts.backups.iter().filter_map(|backup| self.finding(backup, repository, &lacking, missing)).collect()
    }

    fn finding(&self, backup: &Backup, repository: &str, lacking: &BTreeSet<String>, before: &BTreeSet<String>) -> Option<BackupFinding> {
        let id = snapshot_in(backup, repository)?;
        let (is_gone, is_lacking) = (choose::is_gone(backup), lacking.contains(id));
        let update = if is_lacking && !is_gone && before.contains(id) {
            let message = format!("snapshot {id} is not in repository {repository} any more, and not by this product");
            ConditionUpdate::bad(ConditionType::Kept, Reason::SnapshotMissing, message)
        } else if is_gone && !is_lacking {
            ConditionUpdate::good(ConditionType::Kept, Reason::Stored, "its snapshot is in the repository again")
        } else {
            let plan = self.plans.get(&backup.spec.application_ref.name)?;
            let judged = plan.judged.iter().find(|judged| judged.snapshot == *id && asked(backup).is_some())?;
            ConditionUpdate::good(ConditionType::Kept, Reason::ActionRefused, stays_although_asked(judged)?)
        };
        let conditions = backup.status.iter().flat_map(|status| &status.conditions);
        let mut told = conditions.filter(|condition| condition.type_ == update.kind);
        let is_told = told.any(|condition| condition.reason == update.reason && condition.message == update.message);
        let name = backup.metadata.name.clone()?;
        (!is_told).then_some(BackupFinding { backup: name, update, level: None })
    }
}

/// The snapshot of a backup that has ended, in this repository.
fn snapshot_in<'b>(backup: &'b Backup, repository: &str) -> Option<&'b str> {
    let status = backup.status.as_ref().filter(|status| status.repository.as_deref() == Some(repository))?;
    status.snapshot_id.as_deref().filter(|_| status.phase.is_some_and(RunPhase::is_end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::protection::choose::{CataloguedPoint, RecoveryPoint};
    use serde_json::{Value, json};

    fn time(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).expect("a time")
    }

    fn point(name: &str, hour: i64) -> CataloguedPoint {
        let snapshot = format!("id-{name}").as_str().into();
        let point = RecoveryPoint { backup: name.into(), snapshot, time: time(hour), repository: "main".into(), level: None, site: None };
        CataloguedPoint { application: "a".into(), point, is_partial: false, is_half_restored: false, district: Some("shinan".into()) }
    }

    fn backup(name: &str, kept: Value, actions: Value) -> Backup {
        let conditions = if kept.is_null() { json!([]) } else { json!([kept]) };
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name},
            "spec": {"applicationRef": {"name": "a"}, "actions": actions},
            "status": {"phase": "Succeeded", "repository": "main", "snapshotID": format!("id-{name}"), "conditions": conditions}}))
        .expect("a backup")
    }

    fn kept(status: &str, reason: &str, message: &str) -> Value {
        json!({"type": "Kept", "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-15T00:00:00Z"})
    }

    fn look(catalogue: Vec<CataloguedPoint>, backups: Vec<Backup>) -> Look {
        let facts = KnownFacts { district: "shinan".into(), catalogue, backups, ..KnownFacts::default() };
        let known = known(&facts);
        let terms = Terms { retention: None, zone: TimeZone::UTC };
        let plans = known.iter().map(|(application, snapshots)| (application.clone(), RetentionPlan::of(snapshots, &terms, time(9)))).collect();
        Look { facts, known, plans, policies: Policies::new(), ledgers: (Ledgers::default(), None) }
    }

    fn found(look: &Look, missing: &[&str]) -> Vec<(String, Option<bool>, String)> {
        let missing = missing.iter().map(|name| format!("id-{name}")).collect();
        let told = |finding: BackupFinding| (finding.backup, finding.update.status, finding.update.reason.to_string());
        look.findings("main", &missing).into_iter().map(told).collect()
    }

    #[test]
    fn a_snapshot_that_is_missing_is_told_of_at_the_second_look_and_taken_back_when_it_is_there_again() {
        let plain = || backup("one", Value::Null, json!([]));
        let missing = look(vec![point("two", 2)], vec![plain()]);
        assert_eq!(found(&missing, &[]), []);
        assert_eq!(missing.missing("main"), BTreeSet::from(["id-one".to_owned()]));
        assert_eq!(found(&missing, &["one"]), [("one".to_owned(), Some(false), "SnapshotMissing".to_owned())]);
        assert_eq!(found(&look(vec![], vec![backup("one", kept("False", "Forgotten", ""), json!([]))]), &["one"]), [], "that is told already");
        let again = look(vec![point("one", 1)], vec![backup("one", kept("False", "SnapshotMissing", ""), json!([]))]);
        assert_eq!(found(&again, &[]), [("one".to_owned(), Some(true), "Stored".to_owned())]);
        assert_eq!(found(&look(vec![point("one", 1)], vec![plain()]), &[]), [], "nothing is said of what is as it should be");
        assert_eq!(missing.missing("another"), BTreeSet::new(), "another repository's");
    }

    #[test]
    fn whoever_has_asked_is_answered_once_why_it_stays() {
        let forget = json!([{"action": "Forget", "reason": "test data", "by": "hong"}]);
        let points = || vec![point("one", 1), point("two", 2)];
        let asked = look(points(), vec![backup("two", Value::Null, forget.clone())]);
        let findings = asked.findings("main", &BTreeSet::new());
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].update.status, findings[0].update.reason.as_str()), (Some(true), "ActionRefused"));
        let told = kept("True", "ActionRefused", &findings[0].update.message);
        assert_eq!(found(&look(points(), vec![backup("two", told, forget.clone())]), &[]), [], "it was told");
        assert_eq!(found(&look(points(), vec![backup("one", Value::Null, forget)]), &[]), [], "it goes");
    }
}
