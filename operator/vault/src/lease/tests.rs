//! Leases over a model of a store: every interleaving of a few clients, with crashes, lost answers, writes that arrive late, and time that passes.

mod folder;

use super::{
    Lease, LeaseError, LeaseKind,
    keeper::{Host, Keeper, Moment, Register},
};
use crate::{StoreError, store::Refusal};
use LeaseKind::{Exclusive, Shared};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

const TTL: Duration = Duration::from_mins(1);
/// Longer than an observer waits.
const LONG: Duration = Duration::from_secs(70);

/// What befalls a client's next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is applied, and the answer is lost.
    AnswerLost,
    /// It is lost.
    RequestLost,
    /// Its sender gives up waiting, and it is applied later, if its condition still holds then.
    Late,
}

/// The store, the time and what the clients believe.
#[derive(Default)]
struct World {
    object: Option<(Vec<u8>, u64)>,
    tag: u64,
    now: Duration,
    nonces: u64,
    late: Vec<(Vec<u8>, Option<u64>)>,
    /// Of each client: what it holds, and until when it believes so.
    held: Vec<Option<(LeaseKind, Duration)>>,
    /// How often a lease was had.
    acquired: usize,
    mutant: Mutant,
}

/// A mistake that the model must find.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mutant {
    #[default]
    None,
    /// Writes are unconditional.
    Unconditional,
    /// A holder counts from the answer.
    FromTheAnswer,
    /// Observers don't wait.
    Impatient,
}

impl World {
    fn apply(&mut self, body: Vec<u8>, over: Option<u64>) -> bool {
        let fits = self.object.as_ref().map(|(_, tag)| *tag) == over || self.mutant == Mutant::Unconditional;
        if fits {
            self.tag += 1;
            self.object = Some((body, self.tag));
        }
        fits
    }

    /// No two that exclude each other believe that they hold.
    fn check(&self) -> Result<(), String> {
        let holding: Vec<LeaseKind> = self.held.iter().flatten().filter(|(_, until)| self.now < *until).map(|(kind, _)| *kind).collect();
        if holding.contains(&Exclusive) && holding.len() > 1 { Err(format!("{holding:?} at once")) } else { Ok(()) }
    }
}

fn error(refusal: Refusal) -> StoreError {
    StoreError::new(refusal, "the model", super::RECORD, "it is so")
}

#[derive(Clone)]
struct Client {
    world: Rc<RefCell<World>>,
    /// Set by the scheduler before it lets the client go on.
    fate: Rc<Cell<Fate>>,
    /// Applying and answering are two turns.
    split: bool,
}

impl Client {
    /// Waits for the scheduler.
    async fn turn(&self) -> Fate {
        let mut asked = false;
        poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        self.fate.get()
    }
}

impl Register for Client {
    async fn read(&self) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let fate = self.turn().await;
        if fate != Fate::Answered {
            return Err(error(Refusal::Unreachable));
        }
        Ok(self.world.borrow().object.as_ref().map(|(body, tag)| (body.clone(), tag.to_string())))
    }

    async fn write(&self, body: Vec<u8>, over: Option<&str>) -> Result<(), StoreError> {
        let over = over.and_then(|tag| tag.parse().ok());
        let fate = self.turn().await;
        let applied = match fate {
            Fate::RequestLost => false,
            Fate::Late => {
                self.world.borrow_mut().late.push((body, over));
                false
            }
            Fate::Answered | Fate::AnswerLost => self.world.borrow_mut().apply(body, over),
        };
        if self.split {
            self.turn().await;
        }
        match (fate, applied) {
            (Fate::Answered, true) => Ok(()),
            (Fate::Answered, false) => Err(error(Refusal::PreconditionFailed)),
            _ => Err(error(Refusal::Unreachable)),
        }
    }
}

impl Host for Client {
    fn now(&self) -> Moment {
        let now = self.world.borrow().now;
        Moment { monotonic: now, wall: now }
    }

    fn nonce(&self) -> Result<String, LeaseError> {
        let mut world = self.world.borrow_mut();
        world.nonces += 1;
        Ok(world.nonces.to_string())
    }
}

/// What a client does: tries twice, works, perhaps renews, works, releases.
async fn script(number: usize, client: Client, kind: LeaseKind, renews: bool) {
    let world = client.world.clone();
    let believes = |lease: Option<&Lease>| {
        let mut world = world.borrow_mut();
        let until = lease.map(|lease| {
            let sent = if world.mutant == Mutant::FromTheAnswer { world.now } else { lease.sent.monotonic };
            (kind, sent + lease.ttl)
        });
        world.acquired += usize::from(until.is_some() && world.held[number].is_none());
        world.held[number] = until;
    };
    let impatient = world.borrow().mutant == Mutant::Impatient;
    // An impatient observer takes a lease for as short as the shortest, whatever its holder says.
    let ttl = if impatient { super::MIN_TTL } else { TTL };
    let mut keeper = Keeper::new(client.clone(), client.clone());
    let mut had = None;
    for _ in 0..2 {
        if let Ok(mut lease) = keeper.acquire(kind, &number.to_string(), ttl).await {
            lease.ttl = TTL;
            had = Some(lease);
            break;
        }
    }
    let Some(mut lease) = had else { return };
    believes(Some(&lease));
    client.turn().await;
    if renews {
        match keeper.renew(&mut lease).await {
            Ok(()) => believes(Some(&lease)),
            Err(LeaseError::Lost { .. }) => return believes(None),
            // It holds on for as long as it did.
            Err(_) => {}
        }
        client.turn().await;
    }
    believes(None);
    let _ = keeper.release(&lease).await;
}

/// What may happen in a course of the world, beside clients that go on.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Requests that something befalls, and crashes.
    faults: usize,
    /// How often time passes.
    ticks: usize,
    /// And how much each time.
    tick: Duration,
    /// A write's request and its answer are two steps.
    split: bool,
    /// The first client renews.
    renews: bool,
}

/// Decides what happens next: `options` → which of them.
trait Chooser {
    fn choose(&mut self, options: usize) -> usize;
}

/// Tries all courses, one after the other.
#[derive(Default)]
struct Every {
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Every {
    /// Goes to the next course; false after the last.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, options)) = self.path.pop() {
            if chosen + 1 < options {
                self.path.push((chosen + 1, options));
                return true;
            }
        }
        false
    }
}

impl Chooser for Every {
    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, options));
        }
        self.at += 1;
        self.path[self.at - 1].0
    }
}

/// Chooses by chance (xorshift64).
struct Chance(u64);

impl Chooser for Chance {
    fn choose(&mut self, options: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % options as u64).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Goes(usize, Fate),
    Crashes(usize),
    TimePasses,
    LateWriteArrives,
}

/// Runs one course to its end; gives how many leases were had, or what went wrong and how it came to it.
fn course(kinds: &[LeaseKind], bounds: Bounds, mutant: Mutant, chooser: &mut impl Chooser) -> Result<usize, String> {
    let world = Rc::new(RefCell::new(World { held: vec![None; kinds.len()], mutant, ..World::default() }));
    let fate = Rc::new(Cell::new(Fate::Answered));
    let client = Client { world: world.clone(), fate: fate.clone(), split: bounds.split };
    let mut context = Context::from_waker(Waker::noop());
    let mut clients: Vec<Option<Pin<Box<dyn Future<Output = ()>>>>> = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let mut begun = Box::pin(script(number, client.clone(), *kind, bounds.renews && number == 0));
        // Up to its first request.
        assert!(begun.as_mut().poll(&mut context).is_pending());
        clients.push(Some(begun));
    }
    let (mut faults, mut ticks, mut history) = (bounds.faults, bounds.ticks, Vec::new());
    loop {
        let mut options = Vec::new();
        for number in (0..kinds.len()).filter(|number| clients[*number].is_some()) {
            options.push(Happening::Goes(number, Fate::Answered));
            if faults > 0 {
                options.extend([Fate::AnswerLost, Fate::RequestLost, Fate::Late].map(|fate| Happening::Goes(number, fate)));
                options.push(Happening::Crashes(number));
            }
        }
        if options.is_empty() {
            return Ok(world.borrow().acquired);
        }
        if ticks > 0 {
            options.push(Happening::TimePasses);
        }
        if !world.borrow().late.is_empty() {
            options.push(Happening::LateWriteArrives);
        }
        let happening = options[chooser.choose(options.len())];
        history.push(happening);
        match happening {
            Happening::Goes(number, befalls) => {
                faults -= usize::from(befalls != Fate::Answered);
                fate.set(befalls);
                if clients[number].as_mut().unwrap().as_mut().poll(&mut context).is_ready() {
                    clients[number] = None;
                }
            }
            Happening::Crashes(number) => {
                faults -= 1;
                clients[number] = None;
                world.borrow_mut().held[number] = None;
            }
            Happening::TimePasses => {
                ticks -= 1;
                world.borrow_mut().now += bounds.tick;
            }
            Happening::LateWriteArrives => {
                let (body, over) = world.borrow_mut().late.remove(0);
                world.borrow_mut().apply(body, over);
            }
        }
        world.borrow().check().map_err(|what| format!("{what} after {history:?}"))?;
    }
}

/// All courses; gives how many there are.
fn every_course(kinds: &[LeaseKind], bounds: Bounds, mutant: Mutant) -> Result<usize, String> {
    let (mut every, mut courses) = (Every::default(), 0);
    loop {
        course(kinds, bounds, mutant, &mut every)?;
        courses += 1;
        if !every.advance() {
            return Ok(courses);
        }
    }
}

const CALM: Bounds = Bounds { faults: 0, ticks: 0, tick: LONG, split: false, renews: false };

#[test]
fn two_clients_never_hold_what_excludes_the_other_in_any_interleaving() {
    let (fault, split) = (Bounds { faults: 1, ..CALM }, Bounds { ticks: 1, split: true, ..CALM });
    for (kinds, bounds) in [([Exclusive, Exclusive], split), ([Shared, Exclusive], fault)] {
        every_course(&kinds, bounds, Mutant::None).unwrap_or_else(|what| panic!("{kinds:?} {bounds:?}: {what}"));
    }
}

#[test]
#[ignore = "two minutes: make soak"]
fn any_interleaving_with_faults_and_passing_time_and_of_three_clients_is_safe() {
    let (late, both) = (Bounds { ticks: 2, renews: true, ..CALM }, Bounds { faults: 1, ticks: 1, ..CALM });
    for (kinds, bounds) in [([Exclusive, Exclusive], late), ([Exclusive, Exclusive], both), ([Shared, Exclusive], late), ([Exclusive, Shared], late)] {
        every_course(&kinds, bounds, Mutant::None).unwrap_or_else(|what| panic!("{kinds:?} {bounds:?}: {what}"));
    }
    for kinds in [[Exclusive, Exclusive, Exclusive], [Shared, Shared, Exclusive]] {
        every_course(&kinds, CALM, Mutant::None).unwrap_or_else(|what| panic!("{kinds:?}: {what}"));
    }
}

#[test]
fn long_courses_with_many_faults_by_chance_are_safe_and_leases_are_had_in_them() {
    let bounds = Bounds { faults: 4, ticks: 4, tick: LONG / 2, split: true, renews: true };
    let mut acquired = 0;
    for seed in 1..20_000 {
        let kinds = [[Exclusive, Exclusive, Shared], [Shared, Shared, Exclusive]][usize::try_from(seed % 2).unwrap()];
        acquired += course(&kinds, bounds, Mutant::None, &mut Chance(seed * 0x9e37_79b9)).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    assert!(acquired > 15_000, "{acquired}");
}

#[test]
fn the_model_finds_each_mistake() {
    let found = |mutant, bounds| every_course(&[Exclusive, Exclusive], bounds, mutant).is_err();
    assert!(found(Mutant::Unconditional, CALM));
    assert!(found(Mutant::FromTheAnswer, Bounds { ticks: 1, split: true, ..CALM }));
    assert!(found(Mutant::Impatient, Bounds { ticks: 1, tick: TTL / 6, ..CALM }));
}
