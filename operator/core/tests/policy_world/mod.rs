//! A district with policies, applications and a clock: what begins when, whatever is in the way.

mod random;
mod spread;
mod stories;

use jiff::{SignedDuration, Timestamp};
use p861_core::{
    conditions,
    protection::policy::{
        decide::{PolicyDecision, PolicyFacts, decide},
        due::Memory,
        standing::RepositoryStands,
    },
    runs::Limits,
    time::after,
};
use p861_crds::{Application, BackupPolicy, Reason, Time, common::RunPhase};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often the policies are looked at.
const EVERY: SignedDuration = SignedDuration::from_secs(10);

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn policy(name: &str, schedule: &str, more: &Value) -> BackupPolicy {
    let mut spec = json!({"repositoryRef": {"name": "main"}, "schedule": schedule, "jitter": "0s"});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupPolicy",
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}))
    .expect("a policy")
}

fn application(name: &str, policy: &str, rpo: &str) -> Application {
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"department": "d", "namespaces": [name], "backupPolicyRef": {"name": policy}, "objectives": {"rpo": rpo}},
        "status": {"activeSite": "primary", "conditions": [{"type": "Ready", "status": "True", "reason": "Resolved", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
    .expect("an application")
}

/// A district, and the time that its backups take.
struct World {
    facts: PolicyFacts,
    now: Timestamp,
    takes: SignedDuration,
    /// Backups that have not ended, and when each does.
    ends: BTreeMap<String, Timestamp>,
    /// Whoever began, at the time of the clock on the wall.
    begun: Vec<(Timestamp, String)>,
    /// What people were told of.
    told: Vec<(Timestamp, String)>,
    missed: usize,
    /// The most that were under way at once.
    most: usize,
}

impl World {
    fn new(now: &str, policies: Vec<BackupPolicy>, applications: Vec<Application>) -> Self {
        let facts = PolicyFacts {
            policies,
            applications,
            repositories: [("main".to_owned(), RepositoryStands::Ready { runs: 4 })].into(),
            zone: "Asia/Shanghai".into(),
            limits: Limits::default(),
            ..PolicyFacts::default()
        };
        let mut world = Self {
            facts,
            now: time(now),
            takes: SignedDuration::from_secs(30),
            ends: BTreeMap::new(),
            begun: Vec::new(),
            told: Vec::new(),
            missed: 0,
            most: 0,
        };
        world.restart();
        world
    }

    /// Another process goes on: nothing is remembered.
    fn restart(&mut self) {
        self.facts.memory = Memory { began: Some(self.now), ..Memory::default() };
    }

    /// One look at every policy, at the time that it is.
    fn look(&mut self) -> BTreeMap<String, PolicyDecision> {
        self.end_backups();
        let mut all = BTreeMap::new();
        for number in 0..self.facts.policies.len() {
            let policy = self.facts.policies[number].clone();
            let decision = decide(&policy, &self.facts, self.now);
            self.take(number, &decision);
            all.insert(policy.metadata.name.expect("a name"), decision);
        }
        self.most = self.most.max(self.ends.len());
        all
    }

    fn take(&mut self, number: usize, decision: &PolicyDecision) {
        let policy = &mut self.facts.policies[number];
        let mut status = decision.status.clone();
        status.conditions = conditions::apply(&status.conditions, &decision.conditions, None, self.now);
        policy.status = Some(status);
        let name = policy.metadata.name.clone().expect("a name");
        self.missed += decision.newly_missed;
        self.told.extend(decision.events.iter().map(|event| (self.now, event.note.clone())));
        self.facts.memory.told.extend(decision.told.iter().cloned());
        for start in &decision.starts {
            let exists = self.facts.backups.iter().any(|backup| backup.metadata.name.as_ref() == Some(&start.backup));
            assert!(!exists, "{} is begun twice", start.backup);
            let backup = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup",
                "metadata": {"name": start.backup, "creationTimestamp": format!("{:.0}", self.now)},
                "spec": {"applicationRef": {"name": start.application}, "policyRef": {"name": name}, "repositoryRef": {"name": "main"}},
                "status": {"phase": "Running", "repository": "main", "journal": {"location": "l", "sequence": 1, "token": 1}}});
            self.facts.backups.push(serde_json::from_value(backup).expect("a backup"));
            self.facts.memory.settled.insert(start.uid.clone(), start.slot);
            self.ends.insert(start.backup.clone(), after(self.now, self.takes));
            self.begun.push((self.now, start.backup.clone()));
        }
    }

    fn end_backups(&mut self) {
        let ended: Vec<String> = self.ends.iter().filter(|(_, end)| **end <= self.now).map(|(name, _)| name.clone()).collect();
        for name in ended {
            let end = self.ends.remove(&name).expect("it was there");
            let backup = self.facts.backups.iter_mut().find(|backup| backup.metadata.name.as_ref() == Some(&name)).expect("it is there");
            let began = backup.metadata.creation_timestamp.clone();
            let status = backup.status.get_or_insert_default();
            (status.phase, status.completion_time, status.recovery_point_time) = (Some(RunPhase::Succeeded), Some(Time(end)), began);
        }
    }

    /// Looks every so often until then.
    fn run(&mut self, until: &str, every: SignedDuration) {
        let until = time(until);
        while self.now <= until {
            self.look();
            self.now = after(self.now, every);
        }
    }

    /// The names of what has begun since the last time, without the application.
    fn begins(&mut self) -> Vec<String> {
        std::mem::take(&mut self.begun)
            .into_iter()
            .map(|(_, name)| name.rsplitn(3, '-').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("-"))
            .collect()
    }

    fn reason(&self, policy: usize) -> String {
        self.facts.policies[policy].status.as_ref().and_then(|status| status.conditions.first()).map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    fn not_ready(&mut self, name: &str, reason: Option<Reason>) {
        let application = self.facts.applications.iter_mut().find(|application| application.metadata.name.as_deref() == Some(name)).expect("it is there");
        let conditions = &mut application.status.as_mut().expect("a status").conditions;
        conditions[0].status = if reason.is_none() { "True".into() } else { "False".into() };
        conditions[0].reason = reason.unwrap_or(Reason::Resolved).to_string();
    }
}

fn one(schedule: &str, more: &Value) -> World {
    World::new("2026-11-24T00:00:05Z", vec![policy("p", schedule, more)], vec![application("a", "p", "90m")])
}
