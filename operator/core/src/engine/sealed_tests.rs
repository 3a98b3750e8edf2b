//! Whatever somebody does to a sealed journal without its key is found.

use super::*;
use crate::engine::{Entry, Event, Failure, Plan, Step, StepId};
use jiff::{SignedDuration, Timestamp};
use p861_crds::Reason;
use proptest::prelude::*;

fn master() -> MasterKey {
    MasterKey::from_text(&"5a".repeat(KEY_BYTES)).expect("a key")
}

fn key(uid: &str) -> RunKey {
    master().of_district("shinan").of_run(uid)
}

fn plan() -> Plan<u8> {
    Plan::new(vec![Step::new(StepId::new("remove").expect("an id"), 0, SignedDuration::from_secs(9)).finally()]).expect("a plan")
}

/// A run, as its writer knows it.
struct Writer {
    key: RunKey,
    journal: Journal,
    head: ChainHead,
    /// What is stored, batch by batch.
    batches: Vec<String>,
    /// Every head that there was.
    heads: Vec<ChainHead>,
}

impl Writer {
    fn new(uid: &str) -> Self {
        let key = key(uid);
        let head = ChainHead::begin(&key);
        let mut writer = Self { key, journal: Journal::new(), head, batches: Vec::new(), heads: Vec::new() };
        let claim = writer.journal.claim(plan().digest(), "operator", Timestamp::UNIX_EPOCH);
        writer.append(claim);
        writer
    }

    fn append(&mut self, record: Record) {
        let (text, head) = seal_records(&self.key, &self.head, std::slice::from_ref(&record)).expect("JSON");
        self.journal.push(record).expect("it follows");
        self.batches.push(text);
        self.heads.push(head.clone());
        self.head = head;
    }

    /// The clean-up step fails so often.
    fn fails(&mut self, times: u32) {
        let step = StepId::new("remove").expect("an id");
        let done = self.journal.records().iter().map(|record| record.attempt).max().unwrap_or_default();
        for attempt in done + 1..=done + times {
            // A text that looks like a seal is none.
            let failed = Entry::failed(step.clone(), attempt, Failure::transient(Reason::Unreachable, r#"no ,"seal":"00"}"#), None);
            for entry in [Entry::of(step.clone(), attempt, Event::Intent), failed] {
                let record = self.journal.stamp(entry, self.journal.token(), Timestamp::UNIX_EPOCH);
                self.append(record);
            }
        }
    }

    fn compact(&mut self) {
        let shorter = self.journal.compacted(&plan(), 1).expect("it can be shortened");
        self.batches = vec![seal_compacted(&self.key, &self.head, &shorter).expect("JSON")];
        self.journal = shorter;
    }

    fn text(&self) -> String {
        self.batches.concat()
    }
}

fn opened(writer: &Writer, text: &str, known: &[ChainHead]) -> Result<Opened, OpenError> {
    open(&writer.key, text, known)
}

fn tampered(result: Result<Opened, OpenError>) -> Tampered {
    match result {
        Err(OpenError::Tampered(tampered)) => tampered,
        other => panic!("{other:?}"),
    }
}

#[test]
fn fault_e2_what_was_sealed_is_read_again_compacted_or_not_and_goes_on() {
    let mut writer = Writer::new("a");
    writer.fails(3);
    let read = opened(&writer, &writer.text(), &writer.heads).expect("its own");
    assert_eq!((&read.journal, &read.head), (&writer.journal, &writer.head));
    let before = writer.head.clone();
    writer.compact();
    let read = opened(&writer, &writer.text(), &writer.heads).expect("its own");
    assert_eq!((&read.journal, &read.head), (&writer.journal, &before), "compaction keeps the last record's seal");
    writer.fails(2);
    let read = opened(&writer, &writer.text(), &writer.heads).expect("its own");
    assert_eq!((&read.journal, &read.head), (&writer.journal, &writer.head));
    // The lines are JSON that any tool reads, and the record's own.
    for line in writer.text().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(line["seal"].is_string() || line["sequence"].is_u64(), "{line}");
    }
}

#[test]
fn fault_e2_a_journal_that_was_cut_or_is_older_is_found_as_far_as_the_hub_knows() {
    let mut writer = Writer::new("a");
    writer.fails(2);
    let old = writer.text();
    writer.fails(2);
    let (whole, known) = (writer.text(), |at: usize| std::slice::from_ref(&writer.heads[at - 1]));
    for (text, pinned, expected) in [
        (old.clone(), 9, Some(Tampered::RolledBack { pinned: 9, found: 5 })),
        (old.clone(), 6, Some(Tampered::RolledBack { pinned: 6, found: 5 })),
        // Nobody on the hub knows of a later one.
        (old.clone(), 5, None),
        (whole.split_inclusive('\n').take(8).collect(), 9, Some(Tampered::RolledBack { pinned: 9, found: 8 })),
        (String::new(), 1, Some(Tampered::RolledBack { pinned: 1, found: 0 })),
        (whole.clone(), 9, None),
    ] {
        match expected {
            Some(expected) => assert_eq!(tampered(opened(&writer, &text, known(pinned))), expected),
            None => drop(opened(&writer, &text, known(pinned)).expect("as far as is known")),
        }
    }
    let mut compacted = Writer::new("a");
    compacted.fails(2);
    compacted.compact();
    let old = compacted.text();
    compacted.fails(2);
    let last = compacted.heads.last().cloned();
    assert_eq!(tampered(opened(&compacted, &old, &last.into_iter().collect::<Vec<_>>())), Tampered::RolledBack { pinned: 9, found: 5 });
    // Another history with the same key: a store that told two writers that each was the first.
    let mut other = Writer::new("a");
    other.fails(1);
    let another = other.journal.claim(plan().digest(), "another", Timestamp::UNIX_EPOCH);
    other.append(another);
    assert_eq!(tampered(opened(&other, &other.text(), known(4))), Tampered::Replaced { sequence: 4 });
}

#[test]
fn fault_e2_nothing_of_another_run_district_or_hub_is_taken() {
    let (mut writer, mut other) = (Writer::new("a"), Writer::new("b"));
    writer.fails(1);
    other.fails(1);
    let splice = format!("{}{}", writer.batches[..2].concat(), other.batches[2]);
    assert_eq!(tampered(opened(&writer, &splice, &[])), Tampered::Record { sequence: 3 });
    assert_eq!(tampered(opened(&writer, &other.text(), &[])), Tampered::Record { sequence: 1 });
    other.fails(1);
    other.compact();
    assert_eq!(tampered(opened(&writer, &other.text(), &[])), Tampered::Compacted);
    let plan = r#"{"format":1,"steps":[]}"#;
    let sealed = seal_plan(&writer.key, plan);
    assert_eq!(open_plan(&writer.key, &sealed).as_deref(), Ok(plan));
    let hubs = MasterKey::from_text(&"5b".repeat(KEY_BYTES)).expect("a key");
    for stranger in [key("b"), master().of_district("laoshan").of_run("a"), hubs.of_district("shinan").of_run("a")] {
        assert_eq!(open_plan(&stranger, &sealed), Err(Tampered::Plan));
        assert_eq!(open(&stranger, &writer.text(), &[]).map(drop), Err(Tampered::Record { sequence: 1 }.into()));
    }
    for text in [plan.to_owned(), sealed.replace("[]", "[1]"), String::new(), "}".into(), seal_plan(&writer.key, "{}").replace("{,", "{")] {
        assert_eq!(open_plan(&writer.key, &text), Err(Tampered::Plan), "{text}");
    }
}

#[test]
fn fault_e2_a_plan_is_the_one_that_was_pinned_and_claimed() {
    let writer = Writer::new("a");
    let own = plan().digest().to_owned();
    assert_eq!(same_plan(&own, [own.as_str()], &writer.journal), Ok(()));
    assert_eq!(same_plan(&own, [], &Journal::new()), Ok(()));
    let other = || Err(Tampered::OtherPlan { pinned: own.clone(), found: "sha256:x".into() });
    assert_eq!(same_plan("sha256:x", [own.as_str()], &Journal::new()), other(), "by the hub");
    assert_eq!(same_plan("sha256:x", [], &writer.journal), other(), "by its claims");
}

#[test]
fn a_key_shows_itself_to_nobody_and_is_handed_over_as_it_is() {
    let district = master().of_district("shinan");
    assert_eq!(format!("{:?} {:?} {:?}", master(), district, key("a")), "MasterKey(hidden) DistrictKey(hidden) RunKey(hidden)");
    let handed = DistrictKey::from_text(&district.to_text()).expect("a key");
    assert_eq!((handed.id(), handed.of_run("a").id().to_owned()), (district.id(), district.id()));
    assert_eq!(ChainHead::begin(&handed.of_run("a")), ChainHead::begin(&key("a")));
    assert_ne!(district.id(), master().of_district("laoshan").id());
    assert!(!district.to_text().contains(&district.id()));
    for text in ["", "5a", "zz", &"5a".repeat(33)] {
        assert!(MasterKey::from_text(text).is_none(), "{text}");
    }
}

/// What somebody does to the stored text.
#[derive(Clone, Debug)]
enum Change {
    /// Another character in the place of one.
    Character(usize, u8),
    Removed(usize),
    Swapped(usize, usize),
    Repeated(usize, usize),
    Spliced(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>;
    prop_oneof![
        (at(), 0x20..0x7f_u8).prop_map(|(at, by)| Change::Character(at, by)),
        at().prop_map(Change::Removed),
        (at(), at()).prop_map(|(one, other)| Change::Swapped(one, other)),
        (at(), at()).prop_map(|(one, to)| Change::Repeated(one, to)),
        (at(), at()).prop_map(|(one, to)| Change::Spliced(one, to)),
    ]
}

fn changed(text: &str, other: &str, change: &Change) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let others: Vec<&str> = other.lines().collect();
    let count = lines.len();
    match change {
        Change::Character(at, by) => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = *by;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Change::Removed(at) => drop(lines.remove(at % count)),
        Change::Swapped(one, other) => lines.swap(one % count, other % count),
        Change::Repeated(one, to) => lines.insert(to % (count + 1), lines[one % count].clone()),
        Change::Spliced(one, to) => lines.insert(to % (count + 1), others[one % others.len()].to_owned()),
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The same records come out, or nothing does.
    #[test]
    fn fault_e2_a_journal_changed_in_any_way_is_refused_or_says_what_was_stored(
        changes in prop::collection::vec(change(), 1..4), first in 0..4_u32, compacts in any::<bool>(), more in 0..3_u32,
    ) {
        let (mut writer, mut other) = (Writer::new("a"), Writer::new("b"));
        writer.fails(first + 2);
        other.fails(3);
        if compacts {
            writer.compact();
        }
        writer.fails(more);
        let text = changes.iter().fold(writer.text(), |text, change| if text.is_empty() { text } else { changed(&text, &other.text(), change) });
        if let Ok(read) = open(&writer.key, &text, std::slice::from_ref(&writer.head)) {
            prop_assert_eq!(&read.journal, &writer.journal, "{}", text);
            prop_assert_eq!(&read.head, &writer.head);
        }
    }
}
