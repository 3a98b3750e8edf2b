//! What a process knows of a district's policies from one look to the next, beside what objects say.

use super::{decide::Start, due::Memory, holding::holding};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{Application, Backup, BackupPolicy, Reason};
use std::collections::{BTreeMap, BTreeSet};

/// So long a Backup that was made counts although no list has it yet.
const UNLISTED_FOR: SignedDuration = SignedDuration::from_mins(1);
/// A slot that could not be taken is tried again after this.
const HINDERED_FOR: SignedDuration = SignedDuration::from_secs(10);

/// What is remembered of one district.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    memory: Memory,
    /// UID of the policy that holds for each application, by the application's; none before the first look.
    holds: Option<BTreeMap<String, Option<String>>>,
    /// Backups that were made, and when.
    made: Vec<(Timestamp, Backup)>,
}

impl Seen {
    /// Notes what is there now, and adds to the Backups those that were made and are not listed yet. Returns what policies are decided by.
    pub fn look(&mut self, policies: &[BackupPolicy], applications: &[Application], backups: &mut Vec<Backup>, now: Timestamp) -> Memory {
        self.memory.began.get_or_insert(now);
        let of = |application: &Application| {
            let policy = holding(application, policies).policy().and_then(|policy| policy.metadata.uid.clone());
            Some((application.metadata.uid.clone()?, policy))
        };
        let holds: BTreeMap<String, Option<String>> = applications.iter().filter_map(of).collect();
        if let Some(before) = &self.holds {
            let joined = holds.iter().filter(|(application, policy)| policy.is_some() && before.get(*application) != Some(*policy));
            self.memory.joined.extend(joined.map(|(application, _)| (application.clone(), now)));
        }
        self.memory.settled.retain(|application, _| holds.contains_key(application));
        self.memory.joined.retain(|application, _| holds.contains_key(application));
        self.memory.told.retain(|application, _| holds.contains_key(application));
        // A clock that was put back would make it wait for longer.
        let soon = crate::time::after(now, HINDERED_FOR);
        self.memory.hindered.retain(|application, (_, _, until)| holds.contains_key(application) && now < *until && *until <= soon);
        self.holds = Some(holds);
        let listed: BTreeSet<&str> = backups.iter().filter_map(|backup| backup.metadata.name.as_deref()).collect();
        self.made
            .retain(|(at, backup)| now.duration_since(*at).abs() < UNLISTED_FOR && backup.metadata.name.as_deref().is_some_and(|name| !listed.contains(name)));
        backups.extend(self.made.iter().map(|(_, backup)| backup.clone()));
        self.memory.clone()
    }

    /// Its Backup was made.
    pub fn note_made(&mut self, start: &Start, backup: Backup, now: Timestamp) {
        self.note_settled(start);
        self.made.push((now, backup));
    }

    /// The slot was taken before, from here or from another hub.
    pub fn note_settled(&mut self, start: &Start) {
        self.memory.settled.insert(start.uid.clone(), start.slot);
        self.memory.hindered.remove(&start.uid);
    }

    /// The slot could not be taken.
    pub fn note_hindered(&mut self, start: &Start, (reason, message): (Reason, String), now: Timestamp) {
        self.memory.hindered.insert(start.uid.clone(), (reason, message, crate::time::after(now, HINDERED_FOR)));
    }

    /// People were told that these slots, by the applications' UIDs, were missed.
    pub fn note_told(&mut self, told: &[(String, Timestamp)]) {
        self.memory.told.extend(told.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn time(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + minute * 60).expect("a time")
    }

    fn policy(name: &str) -> BackupPolicy {
        serde_json::from_value(
            json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": {"repositoryRef": {"name": "r"}, "schedule": "0 * * * *"}}),
        )
        .expect("a policy")
    }

    fn application(name: &str, policy: &str) -> Application {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}")},
            "spec": {"department": "d", "namespaces": [name], "backupPolicyRef": {"name": policy}}}))
        .expect("an application")
    }

    fn backup(name: &str) -> Backup {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"applicationRef": {"name": "a"}}})).expect("a backup")
    }

    fn start(application: &str, minute: i64) -> Start {
        Start { application: application.into(), uid: format!("uid-{application}"), slot: time(minute), backup: format!("{application}-{minute}") }
    }

    #[test]
    fn an_application_has_joined_when_another_policy_holds_for_it_than_before() {
        let (policies, mut seen) = ([policy("p"), policy("q")], Seen::default());
        let joined = |memory: Memory| memory.joined.into_iter().collect::<Vec<_>>();
        let first = seen.look(&policies, &[application("a", "p"), application("b", "gone")], &mut Vec::new(), time(0));
        assert_eq!((first.began, joined(first)), (Some(time(0)), vec![]), "as it was when the process began");
        let same = seen.look(&policies, &[application("a", "p"), application("b", "gone")], &mut Vec::new(), time(1));
        assert_eq!((same.began, joined(same)), (Some(time(0)), vec![]));
        let new = seen.look(&policies, &[application("a", "q"), application("b", "p"), application("c", "p")], &mut Vec::new(), time(2));
        assert_eq!(joined(new), ["a", "b", "c"].map(|name| (format!("uid-{name}"), time(2))));
        let less = seen.look(&policies, &[application("a", "q"), application("c", "gone")], &mut Vec::new(), time(3));
        assert_eq!(joined(less), ["a", "c"].map(|name| (format!("uid-{name}"), time(2))), "what is gone is forgotten");
    }

    #[test]
    fn a_backup_that_was_made_counts_until_a_list_has_it_or_for_a_minute() {
        let (policies, applications, mut seen) = ([policy("p")], [application("a", "p")], Seen::default());
        let mut names = |listed: &[&str], made: Option<i64>, now: i64| {
            if let Some(minute) = made {
                seen.note_made(&start("a", minute), backup(&format!("a-{minute}")), time(minute));
            }
            let mut backups: Vec<Backup> = listed.iter().map(|name| backup(name)).collect();
            let memory = seen.look(&policies, &applications, &mut backups, time(now));
            (backups.iter().filter_map(|backup| backup.metadata.name.clone()).collect::<Vec<_>>(), memory.settled.get("uid-a").copied())
        };
        assert_eq!(names(&[], Some(0), 0), (vec!["a-0".to_owned()], Some(time(0))));
        assert_eq!(names(&["a-0"], None, 0), (vec!["a-0".to_owned()], Some(time(0))), "once");
        assert_eq!(names(&[], None, 0), (vec![], Some(time(0))), "it was deleted, and stays taken");
        assert_eq!(names(&[], Some(5), 6), (vec![], Some(time(5))), "a minute is long enough for any list");
    }

    #[test]
    fn what_was_in_the_way_counts_for_ten_seconds_and_until_the_slot_is_settled() {
        let (policies, applications, mut seen) = ([policy("p")], [application("a", "p")], Seen::default());
        let hindered = |seen: &mut Seen, now| !seen.look(&policies, &applications, &mut Vec::new(), now).hindered.is_empty();
        seen.note_hindered(&start("a", 0), (Reason::Unreachable, "no answer".into()), time(0));
        assert!(hindered(&mut seen, time(0)));
        seen.note_settled(&start("a", 0));
        assert!(!hindered(&mut seen, time(0)));
        seen.note_hindered(&start("a", 0), (Reason::Unreachable, "no answer".into()), time(0));
        assert!(!hindered(&mut seen, time(1)));
        seen.note_hindered(&start("a", 0), (Reason::Unreachable, "no answer".into()), time(60));
        assert!(!hindered(&mut seen, time(0)), "the clock was put back");
        seen.note_told(&[("uid-a".into(), time(1)), ("uid-gone".into(), time(1))]);
        assert_eq!(seen.look(&policies, &applications, &mut Vec::new(), time(1)).told, [("uid-a".to_owned(), time(1))].into());
    }
}
