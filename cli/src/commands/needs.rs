//! Open problems: bad conditions, unchecked objects, waiting runs, an operator that does not renew its lease. Pure.

use super::{
    list::full_name,
    page::{self, Reader, is_bad, says},
};
use crate::{
    format::Clock,
    hub::{Heartbeat, Kind, Run, typed},
    run::question,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    Application, Backup, BackupRepository, ChangeTemplate, Condition, ConditionType, District, Drill, DutyRoster, MaintenanceTicket, Platform, Reason,
    RecoveryPlan, Restore, Site,
    common::RunPhase,
    maintenance::ticket::{TicketPhase, TicketType},
};

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The object, as kubectl names it.
    pub object: String,
    /// The command line's word for its kind.
    pub noun: &'static str,
    /// Its name.
    pub name: String,
    /// The condition, or what it is instead.
    pub condition: String,
    /// Message, in the reader's language.
    pub said: String,
    /// The same in English, for programs.
    pub message: String,
    /// Command to type.
    pub command: Option<String>,
    /// Whether something is wrong, rather than waiting.
    pub bad: bool,
}

/// Everything that is looked at.
#[derive(Debug, Default)]
pub struct Objects {
    /// The district.
    pub district: Option<District>,
    /// Its sites.
    pub sites: Vec<Site>,
    /// Its repositories.
    pub repositories: Vec<BackupRepository>,
    /// Its applications.
    pub applications: Vec<Application>,
    /// Its plans.
    pub plans: Vec<RecoveryPlan>,
    /// Its platform, at most one.
    pub platforms: Vec<Platform>,
    /// Its backups.
    pub backups: Vec<Backup>,
    /// Its restores.
    pub restores: Vec<Restore>,
    /// Its drills.
    pub drills: Vec<Drill>,
    /// Its templates.
    pub templates: Vec<ChangeTemplate>,
    /// Its tickets.
    pub tickets: Vec<MaintenanceTicket>,
    /// Its rosters.
    pub rosters: Vec<DutyRoster>,
    /// The operator's sign of life, if it may be seen.
    pub heartbeat: Option<Heartbeat>,
}

/// How the needs are told.
pub struct Telling<'a> {
    /// The reader's language.
    pub language: Language,
    /// The options that lead to the district.
    pub place: &'a str,
    /// Now.
    pub clock: &'a Clock,
    /// Where the operator runs.
    pub operator_namespace: &'a str,
}

/// Open problems, the most general first.
pub fn needs(objects: &Objects, telling: &Telling<'_>) -> Vec<Need> {
    let mut list = List { telling, needs: Vec::new() };
    list.operator(objects.heartbeat);
    macro_rules! declared {
        ($objects:expr, $kinds:expr) => {
            for object in $objects {
                list.declared(object, object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default(), $kinds);
            }
        };
    }
    declared!(objects.district.iter(), &[ConditionType::Ready, ConditionType::AccessApplied]);
    declared!(&objects.sites, &[ConditionType::Ready, ConditionType::Reachable]);
    declared!(&objects.platforms, &[ConditionType::Ready, ConditionType::Balanced]);
    declared!(&objects.repositories, &[ConditionType::Ready, ConditionType::Checked, ConditionType::OffSite]);
    declared!(&objects.applications, &[ConditionType::Ready, ConditionType::Healthy, ConditionType::Protected, ConditionType::Recoverable]);
    declared!(&objects.plans, &[ConditionType::Ready, ConditionType::ReadyToFailover, ConditionType::Drilled]);
    declared!(&objects.rosters, &[ConditionType::Ready, ConditionType::AlertsArrive, ConditionType::PeopleReachable]);
    declared!(&objects.templates, &[ConditionType::Ready]);
    objects.tickets.iter().for_each(|ticket| list.ticket(ticket));
    for backup in &objects.backups {
        list.run(backup);
        let damaged = page::condition(backup.conditions(), ConditionType::Verified).filter(|verified| is_bad(verified) && verified.reason == Reason::Damaged);
        if let Some(condition) = damaged {
            list.condition(backup, condition);
        }
        list.left(backup);
    }
    for restore in &objects.restores {
        list.run(restore);
        list.left(restore);
    }
    for drill in &objects.drills {
        list.run(drill);
        list.left(drill);
    }
    list.needs
}

struct List<'a> {
    telling: &'a Telling<'a>,
    needs: Vec<Need>,
}

impl List<'_> {
    fn operator(&mut self, heartbeat: Option<Heartbeat>) {
        let clock = self.telling.clock;
        let Some(leaderless) = heartbeat.and_then(|heartbeat| heartbeat.leaderless(clock.now)) else { return };
        let command = format!("kubectl -n {} get pods", self.telling.operator_namespace);
        self.add("deployment.apps/p861-operator".into(), "operator", "p861-operator", "Alive", &leaderless.warning(clock), Some(command), true);
    }

    fn declared<K: Kind>(&mut self, object: &K, conditions: &[Condition], kinds: &[ConditionType]) {
        if conditions.is_empty() {
            let command = format!("kubectl -n {} get pods", self.telling.operator_namespace);
            self.add(full_name::<K>(&object.name_any()), K::NOUN, &object.name_any(), "Ready", &text::never_looked_at(), Some(command), false);
        }
        let mut told: Vec<&str> = Vec::new();
        for condition in kinds.iter().filter_map(|kind| page::condition(conditions, *kind)).filter(|condition| is_bad(condition)) {
            // Report a problem once even if two conditions show it, and skip conditions that only refer to another one.
            if !told.contains(&condition.message.as_str()) && !condition.message.starts_with("see ") {
                self.condition(object, condition);
                told.push(&condition.message);
            }
        }
    }

    fn condition<K: Kind>(&mut self, object: &K, condition: &Condition) {
        let name = object.name_any();
        let reader = |language| Reader { language, place: self.telling.place, name: &name };
        let (said, command) = says(condition, &reader(self.telling.language));
        let said = text::Bilingual { en: says(condition, &reader(Language::En)).0, zh: said };
        self.add(full_name::<K>(&name), K::NOUN, &name, &condition.type_, &said, command, true);
    }

    /// What an ended run left, or a running one can't remove.
    fn left<K: Run>(&mut self, run: &K) {
        let left = page::condition(run.conditions(), ConditionType::CleanedUp)
            .filter(|cleaned| is_bad(cleaned) && (run.phase().is_end() || cleaned.reason == Reason::CleanUpFailed));
        if let Some(condition) = left {
            self.condition(run, condition);
        }
    }

    /// A ticket is an open problem while it is unacknowledged, waits for approvals or manual work, or is overdue.
    fn ticket(&mut self, ticket: &MaintenanceTicket) {
        let (name, status) = (ticket.name_any(), ticket.status.clone().unwrap_or_default());
        let phase = status.phase.unwrap_or_default();
        if phase.is_end() {
            return;
        }
        let object = || full_name::<MaintenanceTicket>(&name);
        if let Some(late) = page::condition(&status.conditions, ConditionType::WithinClocks).filter(|condition| is_bad(condition)) {
            self.condition(ticket, late);
        } else if phase == TicketPhase::Open && ticket.spec.r#type == TicketType::Incident {
            self.add(object(), "ticket", &name, "Open", &text::nobody_has_it(), Some(format!("p861 ticket ack {name}")), false);
        }
        match page::condition(&status.conditions, ConditionType::Approved).filter(|condition| is_bad(condition)) {
            Some(condition) if condition.reason == Reason::ApprovalsMissing => {
                let counts = status.approvals.clone().unwrap_or_default();
                let said = text::waits_for_approvals(counts.required - counts.given);
                self.add(object(), "ticket", &name, "Approved", &said, Some(format!("p861 ticket approve {name}")), false);
            }
            Some(condition) => self.condition(ticket, condition),
            None => {}
        }
        for step in status.current_steps.iter().filter(|step| step.phase == RunPhase::WaitingForPerson) {
            let said = text::Bilingual { en: question(step, Language::En), zh: question(step, Language::Zh) };
            self.add(object(), "ticket", &name, "WaitingForPerson", &said, step.remedy.clone(), false);
        }
    }

    /// A run that makes progress is not an open problem.
    fn run<K: Run>(&mut self, run: &K) {
        let (name, noun) = (run.name_any(), K::NOUN);
        match run.phase() {
            RunPhase::Paused => self.add(full_name::<K>(&name), noun, &name, "Paused", &text::is_paused(), Some(format!("p861 {noun} resume {name}")), false),
            RunPhase::WaitingForPerson => {
                for step in run.current_steps().iter().filter(|step| step.phase == RunPhase::WaitingForPerson) {
                    let said = text::Bilingual {
                        en: format!("{}: {}", step.id, question(step, Language::En)),
                        zh: format!("{}：{}", step.id, question(step, Language::Zh)),
                    };
                    let verb = if step.prompt.is_some() { "answer" } else { "retry" };
                    let command = step.remedy.clone().unwrap_or_else(|| format!("p861 {noun} {verb} {name} {}", step.id));
                    self.add(full_name::<K>(&name), noun, &name, "WaitingForPerson", &said, Some(command), false);
                }
            }
            RunPhase::Pending
            | RunPhase::Running
            | RunPhase::Aborting
            | RunPhase::CleaningUp
            | RunPhase::Succeeded
            | RunPhase::Failed
            | RunPhase::Aborted
            | RunPhase::Refused => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one argument per field")]
    fn add(&mut self, object: String, noun: &'static str, name: &str, condition: &str, said: &text::Bilingual, command: Option<String>, bad: bool) {
        let place = self.telling.place;
        // A command that came from a condition is complete already.
        let command = command.map(|command| if !place.is_empty() && command.ends_with(place) { command } else { typed(&command, place) });
        self.needs.push(Need {
            object,
            noun,
            name: name.to_owned(),
            condition: condition.to_owned(),
            said: said.pick(self.telling.language).to_owned(),
            message: said.en.clone(),
            command,
            bad,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: Value, status: Value) -> K {
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec, "status": status});
        serde_json::from_value(document).unwrap_or_else(|error| panic!("{kind} {name}: {error}"))
    }

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-24T00:00:00Z"})
    }

    fn site(name: &str, conditions: Value) -> Site {
        object("Site", name, json!({"failureDomain": "d", "access": {"inCluster": {}}}), json!({ "conditions": conditions }))
    }

    fn drill(name: &str, status: Value) -> Drill {
        object("Drill", name, json!({"planRef": {"name": "core"}, "type": "Isolated"}), status)
    }

    fn told(objects: &Objects) -> Vec<(String, String, Option<String>)> {
        let clock = Clock { now: "2026-11-24T00:30:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC };
        let telling = Telling { language: Language::En, place: " -d shinan", clock: &clock, operator_namespace: "p861-system" };
        needs(objects, &telling).into_iter().map(|need| (format!("{} {} {}", need.noun, need.name, need.condition), need.said, need.command)).collect()
    }

    #[test]
    fn what_nobody_has_looked_at_is_not_called_well() {
        let told = told(&Objects { sites: vec![site("a", json!([]))], ..Objects::default() });
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].2.as_deref(), Some("kubectl -n p861-system get pods"));
    }

    #[test]
    fn one_trouble_under_two_names_is_told_once() {
        let conditions = json!([condition("Reachable", "False", "Unreachable", "no answer"), condition("Ready", "False", "Unreachable", "no answer")]);
        assert_eq!(told(&Objects { sites: vec![site("a", conditions)], ..Objects::default() }), [("site a Ready".into(), "no answer".into(), None)]);
    }

    #[test]
    fn a_run_that_waits_is_told_with_the_command_that_answers_it() {
        let waits = drill(
            "d",
            json!({"phase": "WaitingForPerson", "currentSteps": [
                {"id": "announce", "phase": "WaitingForPerson", "attempt": 1, "message": "0 of 1 answered", "prompt": {"en": "Called?"}, "remedy": "p861 drill answer d announce --yes"},
                {"id": "check/a/b", "phase": "Running", "attempt": 1, "message": "under way"}
            ]}),
        );
        let paused = drill("p", json!({"phase": "Paused"}));
        assert_eq!(
            told(&Objects { drills: vec![waits, paused, drill("r", json!({"phase": "Running"}))], ..Objects::default() }),
            [
                ("drill d WaitingForPerson".into(), "announce: Called?".into(), Some("p861 drill answer d announce --yes -d shinan".into())),
                ("drill p Paused".into(), "paused: no new steps are started".into(), Some("p861 drill resume p -d shinan".into())),
            ]
        );
    }

    #[test]
    fn a_ticket_is_told_while_nobody_has_it_while_it_waits_for_agreement_and_for_hands() {
        let spec = |kind: &str, more: Value| {
            let mut spec = json!({"type": kind, "title": {"en": "t"}, "impact": "Low", "urgency": "Low"});
            spec.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
            spec
        };
        let incident: MaintenanceTicket = object("MaintenanceTicket", "inc", spec("Incident", json!({"incident": {}})), json!({"phase": "Open"}));
        let of_change = spec("Change", json!({"change": {"class": "Normal", "work": {"manual": {}}, "plan": {"en": "so"}}}));
        let asks =
            json!({"phase": "Planned", "approvals": {"required": 1, "given": 0}, "conditions": [condition("Approved", "False", "ApprovalsMissing", "0 of 1")]});
        let change: MaintenanceTicket = object("MaintenanceTicket", "chg", of_change.clone(), asks);
        let hands = json!({"phase": "InProgress", "currentSteps": [{"id": "manual", "phase": "WaitingForPerson", "attempt": 0, "message": "0 of 1 answered", "prompt": {"en": "Empty."}, "remedy": "p861 ticket done wrk"}]});
        let working: MaintenanceTicket = object("MaintenanceTicket", "wrk", of_change.clone(), hands);
        let closed: MaintenanceTicket = object(
            "MaintenanceTicket",
            "end",
            of_change,
            json!({"phase": "Closed", "conditions": [condition("WithinClocks", "False", "ResolveOverdue", "late")]}),
        );
        assert_eq!(
            told(&Objects { tickets: vec![incident, change, working, closed], ..Objects::default() }),
            [
                ("ticket inc Open".into(), "not acknowledged yet".into(), Some("p861 ticket ack inc -d shinan".into())),
                ("ticket chg Approved".into(), "waits for 1 approval".into(), Some("p861 ticket approve chg -d shinan".into())),
                ("ticket wrk WaitingForPerson".into(), "Empty.".into(), Some("p861 ticket done wrk -d shinan".into())),
            ]
        );
    }

    #[test]
    fn what_an_ended_drill_left_is_told_and_what_a_running_one_uses_is_not() {
        let standing =
            |phase: &str| drill(phase, json!({"phase": phase, "conditions": [condition("CleanedUp", "False", "InUse", "2 namespaces on laoshan-dr")]}));
        assert_eq!(told(&Objects { drills: vec![standing("Running"), standing("Failed")], ..Objects::default() }).len(), 1);
        // A backup or restore says so only if a person skipped its clean-up.
        let status = json!({"phase": "Succeeded", "conditions": [condition("CleanedUp", "False", "StepSkipped", "a person skipped step clean-up")]});
        let backup: Backup = object("Backup", "b", json!({"applicationRef": {"name": "portal"}}), status.clone());
        let restore: Restore = object("Restore", "r", json!({"source": {"backupRef": {"name": "b"}}, "mode": "Execute"}), status);
        assert_eq!(told(&Objects { backups: vec![backup], restores: vec![restore], ..Objects::default() }).len(), 2);
    }

    #[test]
    fn an_operator_that_renews_its_lease_is_alive_and_any_other_is_told() {
        let holds = jiff::SignedDuration::from_secs(15);
        let beat = |renewed: Option<&str>| Some(Heartbeat { renewed: renewed.map(|time| time.parse().expect("a time")), holds, held: renewed.is_some() });
        for (heartbeat, silent) in [(None, false), (beat(Some("2026-11-24T00:29:50Z")), false), (beat(Some("2026-11-24T00:20:00Z")), true), (beat(None), true)]
        {
            assert_eq!(!told(&Objects { heartbeat, ..Objects::default() }).is_empty(), silent, "{heartbeat:?}");
        }
    }

    #[test]
    fn a_plan_that_was_never_drilled_is_told_with_the_drill_to_type() {
        let plan: RecoveryPlan = object(
            "RecoveryPlan",
            "core",
            json!({"repositoryRef": {"name": "r"}, "groups": []}),
            json!({"conditions": [condition("Drilled", "False", "NeverDrilled", "no isolated drill of this plan has ended: p861 drill run")]}),
        );
        assert_eq!(told(&Objects { plans: vec![plan], ..Objects::default() })[0].2.as_deref(), Some("p861 drill run core -d shinan"));
    }
}
