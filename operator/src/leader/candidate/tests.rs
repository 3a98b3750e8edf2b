//! Several candidates, one lease, and a network that delays and loses what it likes.

use super::*;
use kube::api::ObjectMeta;
use proptest::prelude::*;
use std::collections::BTreeMap;

const TIMES: LeaseTimes = LeaseTimes { seconds: 15 };
/// Milliseconds that a story lasts, and then the quiet time after it.
const STORY: u64 = 120_000;
const QUIET: u64 = 90_000;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lease(holder: Option<&str>, renewed: i64, version: &str) -> Lease {
    let spec = LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        renew_time: holder.map(|_| MicroTime(Timestamp::from_second(renewed).unwrap())),
        lease_duration_seconds: Some(15),
        ..LeaseSpec::default()
    };
    Lease { metadata: ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() }, spec: Some(spec) }
}

#[test]
fn the_margins_of_a_lease_are_shares_of_it() {
    for (text, acts, renew, read) in [("15", 12_500, 5_000, 2_000), ("6", 5_000, 2_000, 800), ("3", 2_500, 1_000, 400)] {
        let times = LeaseTimes::parse(text).unwrap();
        let margins = [times.acts_for(), times.renew_interval(), times.read_interval()];
        assert_eq!(margins, [acts, renew, read].map(Duration::from_millis), "{text}");
    }
    for text in ["2", "601", "15s", ""] {
        assert!(LeaseTimes::parse(text).unwrap_err().contains("3 to 600"), "{text}");
    }
}

#[test]
fn a_lease_that_is_free_or_never_was_is_claimed_at_once_and_one_of_somebody_else_when_it_stood_still_for_its_length() {
    let (begin, clock) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let mut candidate = Candidate::new("one", TIMES);
    let created = candidate.claim(begin, clock).expect("there is none");
    assert_eq!((created.metadata.resource_version, created.spec.unwrap().lease_transitions), (None, Some(0)));

    candidate.saw(Some(lease(Some("two"), 0, "1")), begin);
    assert_eq!(candidate.claim(begin + seconds(14), clock), None);
    // Whatever its clock says: only that it has written anew counts.
    candidate.saw(Some(lease(Some("two"), 1, "2")), begin + seconds(14));
    candidate.saw(Some(lease(Some("two"), 1, "3")), begin + seconds(20));
    assert_eq!(candidate.claim(begin + seconds(28), clock), None);
    let claimed = candidate.claim(begin + seconds(29), clock).expect("it stood still for 15 s");
    assert_eq!(claimed.metadata.resource_version.as_deref(), Some("3"), "only the version that was read");

    candidate.saw(Some(lease(None, 0, "4")), begin + seconds(21));
    assert!(candidate.claim(begin + seconds(21), clock).is_some(), "it was released");
}

#[test]
fn who_holds_it_acts_from_when_the_renewal_was_sent_renews_in_time_and_frees_only_its_own() {
    let begin = Instant::now();
    let mut candidate = Candidate::new("one", TIMES);
    candidate.wrote(lease(Some("one"), 0, "1"), begin, begin + seconds(2));
    assert_eq!(candidate.acts_until(), Some(begin + Duration::from_millis(12_500)));
    assert_eq!(candidate.claims_at(), Some(begin + seconds(5)));
    let freed = candidate.freed().expect("it is its own");
    let spec = freed.spec.unwrap();
    assert_eq!((freed.metadata.resource_version.as_deref(), spec.holder_identity, spec.renew_time), (Some("1"), None, None));

    candidate.saw(Some(lease(Some("two"), 1, "2")), begin + seconds(3));
    assert_eq!((candidate.acts_until(), candidate.freed()), (None, None), "somebody else has it");
}

#[test]
fn a_lease_that_somebody_deletes_is_lost_at_once_and_claimed_only_when_its_holder_has_certainly_stopped() {
    let (begin, clock) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let (mut holder, mut waits) = (Candidate::new("one", TIMES), Candidate::new("two", TIMES));
    holder.wrote(lease(Some("one"), 0, "1"), begin, begin);
    waits.saw(Some(lease(Some("one"), 0, "1")), begin);
    waits.saw(None, begin + seconds(2));
    assert_eq!(waits.claim(begin + seconds(16), clock), None);
    assert!(waits.claim(begin + seconds(17), clock).is_some());
    holder.saw(None, begin + seconds(5));
    assert_eq!(holder.acts_until(), None);
}

#[test]
fn a_process_that_begins_again_under_its_name_needs_not_wait_for_itself() {
    let begin = Instant::now();
    let mut candidate = Candidate::new("one", TIMES);
    candidate.saw(Some(lease(Some("one"), 0, "1")), begin);
    assert_eq!(candidate.acts_until(), None, "nothing that it did not send itself");
    assert!(candidate.claim(begin, Timestamp::UNIX_EPOCH).is_some());
}

/// What the network does with a request: milliseconds there and back, and whether one of the two is lost.
#[derive(Clone, Copy, Debug)]
struct Way {
    there: u64,
    back: u64,
    lost: bool,
}

fn way() -> impl Strategy<Value = Way> {
    let delay = || prop_oneof![6 => 1..80_u64, 2 => 80..2_500_u64, 1 => 2_500..20_000_u64];
    (delay(), delay(), prop::bool::weighted(0.1)).prop_map(|(there, back, lost)| Way { there, back, lost })
}

/// What befalls a candidate meanwhile.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It stands still for so many milliseconds.
    Freezes(u64),
    /// It frees the lease, if it has it, and competes no more.
    Leaves,
    /// Another process of its name takes its place.
    BeginsAnew,
}

fn fates() -> impl Strategy<Value = Vec<(u64, usize, Fate)>> {
    let fate = prop_oneof![4 => (1..40_000_u64).prop_map(Fate::Freezes), 1 => Just(Fate::Leaves), 2 => Just(Fate::BeginsAnew)];
    prop::collection::vec((0..STORY, 0..3_usize, fate), 0..12)
}

enum Event {
    Wakes(usize),
    /// A request arrives: of whom, the lease it writes (none: it reads), when it was sent, how long its answer takes, and whether that is lost.
    Arrives(usize, Box<Option<Lease>>, u64, u64, bool),
    Answers(usize, Box<Answer>),
    Befalls(usize, Fate),
}

struct Answer {
    sent: u64,
    written: bool,
    lease: Option<Lease>,
}

struct World {
    begin: Instant,
    stored: Option<Lease>,
    version: u64,
    /// None: it has left.
    candidates: Vec<Option<Candidate>>,
    /// How often each began: an answer for an earlier process is nobody's.
    born: Vec<u64>,
    frozen_until: Vec<u64>,
    events: BTreeMap<(u64, u64), (u64, Event)>,
    sequence: u64,
    ways: Vec<Way>,
}

impl World {
    fn at(&self, now: u64) -> Instant {
        self.begin + Duration::from_millis(now)
    }

    fn plan(&mut self, at: u64, whose: usize, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), (self.born[whose], event));
    }

    /// After the story the network is quick.
    fn way(&mut self, now: u64) -> Way {
        if now >= STORY {
            return Way { there: 1, back: 1, lost: false };
        }
        let way = self.ways.pop().unwrap_or(Way { there: 5, back: 5, lost: false });
        self.ways.insert(0, way);
        way
    }

    fn send(&mut self, who: usize, now: u64, lease: Option<Lease>) {
        let Way { there, back, lost } = self.way(now);
        if !(lost && there % 2 == 0) {
            self.plan(now + there, who, Event::Arrives(who, Box::new(lease), now, back, lost));
        }
    }

    /// As the loop does: it writes what may be claimed, and reads otherwise, at most so often.
    fn wakes(&mut self, who: usize, now: u64) {
        let Some(candidate) = &self.candidates[who] else { return };
        let claim = candidate.claim(self.at(now), Timestamp::from_millisecond(i64::try_from(now).unwrap()).unwrap());
        self.send(who, now, claim);
        let retry = u64::try_from(TIMES.read_interval().as_millis()).unwrap();
        self.plan(now + retry, who, Event::Wakes(who));
    }

    fn arrives(&mut self, who: usize, lease: Option<Lease>, now: u64, sent: u64, back: u64, lost: bool) {
        let mut written = false;
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        // A claim of another version is refused, and then the lease is read.
        if let Some(mut claimed) = lease.filter(|lease| version(lease) == self.stored.as_ref().and_then(version)) {
            self.version += 1;
            claimed.metadata.resource_version = Some(self.version.to_string());
            self.stored = Some(claimed);
            written = true;
        }
        if !lost {
            let answer = Answer { sent, written, lease: self.stored.clone() };
            self.plan(now + back, who, Event::Answers(who, Box::new(answer)));
        }
    }

    fn befalls(&mut self, who: usize, fate: Fate, now: u64) {
        match fate {
            Fate::Freezes(length) => self.frozen_until[who] = now + length,
            Fate::BeginsAnew => {
                self.born[who] += 1;
                if self.candidates[who].is_some() {
                    self.candidates[who] = Some(Candidate::new(&format!("replica-{who}"), TIMES));
                    self.plan(now + 1, who, Event::Wakes(who));
                }
            }
            Fate::Leaves => {
                let freed = self.candidates[who].take().and_then(|candidate| candidate.freed());
                self.born[who] += 1;
                if freed.is_some() {
                    self.send(who, now, freed);
                }
            }
        }
    }

    /// Until this time, and after each event: who acts.
    fn run(&mut self, end: u64, mut look: impl FnMut(u64, &[usize])) {
        while let Some((&(now, sequence), _)) = self.events.first_key_value() {
            if now > end {
                return;
            }
            let (born, event) = self.events.remove(&(now, sequence)).expect("it was there");
            let whose = match &event {
                Event::Wakes(who) | Event::Arrives(who, ..) | Event::Answers(who, _) | Event::Befalls(who, _) => *who,
            };
            let own = !matches!(event, Event::Arrives(..) | Event::Befalls(..));
            if own && born != self.born[whose] {
                continue;
            }
            if own && now < self.frozen_until[whose] {
                let then = self.frozen_until[whose];
                self.plan(then, whose, event);
                continue;
            }
            match event {
                Event::Wakes(who) => self.wakes(who, now),
                Event::Arrives(who, lease, sent, back, lost) => self.arrives(who, *lease, now, sent, back, lost),
                Event::Answers(who, answer) => self.answers(who, *answer, now),
                Event::Befalls(who, fate) => self.befalls(who, fate, now),
            }
            let at = self.at(now);
            let acts = |candidate: &Option<Candidate>| candidate.as_ref().and_then(Candidate::acts_until).is_some_and(|until| at < until);
            let acting: Vec<usize> = (0..self.candidates.len()).filter(|who| acts(&self.candidates[*who])).collect();
            look(now, &acting);
        }
    }

    fn answers(&mut self, who: usize, answer: Answer, now: u64) {
        let (sent, at) = (self.at(answer.sent), self.at(now));
        let Some(candidate) = &mut self.candidates[who] else { return };
        match answer.lease {
            Some(lease) if answer.written => candidate.wrote(lease, sent, at),
            lease => candidate.saw(lease, at),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn of_several_replicas_never_two_act_and_one_does_when_the_network_is_well(ways in prop::collection::vec(way(), 1..80), fates in fates()) {
        let mut world = World {
            begin: Instant::now(),
            stored: None,
            version: 0,
            candidates: (0..3).map(|who| Some(Candidate::new(&format!("replica-{who}"), TIMES))).collect(),
            born: vec![0; 3],
            frozen_until: vec![0; 3],
            events: BTreeMap::new(),
            sequence: 0,
            ways,
        };
        for who in 0..3 {
            world.plan(u64::try_from(who).unwrap() * 300, who, Event::Wakes(who));
        }
        for (at, who, fate) in fates {
            world.plan(at, who, Event::Befalls(who, fate));
        }
        let mut both = Vec::new();
        let mut last = Vec::new();
        world.run(STORY + QUIET, |now, acting| {
            if acting.len() > 1 {
                both.push((now, acting.to_vec()));
            }
            last = acting.to_vec();
        });
        prop_assert!(both.is_empty(), "two act: {both:?}");
        let left = world.candidates.iter().flatten().count();
        prop_assert!(left == 0 || last.len() == 1, "{left} replicas are left, and {last:?} act");
    }
}
