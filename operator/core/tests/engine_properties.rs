//! Properties of the engine over random plans in a small world: whatever fails, whoever is killed and whenever somebody aborts.

use crate::engine_world::{
    self, Behaviour, Fuse, MOST_SECONDS, Orchestrator, Stopped, Store, TestPlan, World, action, check::check, draft::draft, lines, run, run_with,
};
use p861_core::engine::{
    AbortCause, Answer, AskKind, Entry, Event, Failure, Journal, JournalError, OnFailure, Record, ReplayError, RunResult, SkipCause, advance, settle, summary,
};
use p861_crds::{
    Reason,
    common::{ActionKind, RunAction, RunPhase},
};
use proptest::prelude::*;

/// What happened, without who wrote it.
fn story(records: &[Record]) -> Vec<(Option<String>, u32, Event, jiff::Timestamp)> {
    let told = records.iter().filter(|record| !matches!(record.event, Event::Claimed { .. }));
    told.map(|record| (record.step.as_ref().map(ToString::to_string), record.attempt, record.event.clone(), record.at)).collect()
}

fn result(records: &[Record]) -> RunResult {
    match records.last().map(|record| &record.event) {
        Some(Event::Finished { result, .. }) => *result,
        other => panic!("the run has not ended: {other:?}\n{}", lines(records)),
    }
}

/// Runs to the end; each orchestrator is killed after so many acts, and the next one claims the run.
fn run_with_kills(plan: &TestPlan, store: &mut Store, world: &mut World, mut kills: impl FnMut() -> Option<u32>) {
    for _ in 0..MOST_SECONDS {
        let Ok(mut orchestrator) = Orchestrator::claim(plan, store, world, Fuse(kills())) else { continue };
        match run_with(plan, store, world, &mut orchestrator, |_, _| {}) {
            Ok(()) => return,
            Err(Stopped::Killed) => {}
            Err(Stopped::Lost) => panic!("nobody else writes here"),
        }
        // Death costs time, too.
        world.tick();
    }
    panic!("killed without end:\n{}", lines(&store.records));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_keeps_every_rule(draft in draft()) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
        run(&plan, &mut store, &mut world);
        check(&plan, &store.records, &world);
    }

    #[test]
    fn cut_anywhere_the_journal_leads_to_the_same_story(draft in draft(), one in 1..7_usize) {
        let (plan, mut world) = (draft.plan(), draft.world());
        let mut whole = Store { keep_worlds: true, ..Store::default() };
        run(&plan, &mut whole, &mut world);
        // Every n-th place, so that each case is quick; over the cases every place is met.
        for cut in (0..whole.records.len()).skip(one % 5).step_by(one) {
            let mut world = whole.worlds[cut].clone();
            let mut store = Store { records: whole.records[..cut].to_vec(), ..Store::default() };
            run(&plan, &mut store, &mut world);
            prop_assert_eq!(story(&store.records), story(&whole.records), "cut before record {}:\n{}\nwhole:\n{}", cut + 1, lines(&store.records), lines(&whole.records));
            check(&plan, &store.records, &world);
        }
    }

    #[test]
    fn the_end_is_the_same_if_the_world_is_ahead_of_the_journal(draft in draft(), one in 1..7_usize) {
        // Killed between an effect and its record: the record is lost, the effect has happened.
        let (plan, mut world) = (draft.plan(), draft.world());
        let mut whole = Store { keep_worlds: true, ..Store::default() };
        run(&plan, &mut whole, &mut world);
        let outcome = |event: &Event| matches!(event, Event::Done | Event::Failed(_) | Event::Undone | Event::UndoFailed(_));
        for cut in (0..whole.records.len() - 1).skip(one % 5).step_by(one).filter(|cut| outcome(&whole.records[*cut].event)) {
            let mut world = whole.worlds[cut + 1].clone();
            let mut store = Store { records: whole.records[..cut].to_vec(), ..Store::default() };
            run(&plan, &mut store, &mut world);
            check(&plan, &store.records, &world);
        }
    }

    #[test]
    fn performed_three_times_each_effect_happens_once_and_the_story_is_the_same(draft in draft()) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
        run(&plan, &mut store, &mut world);

        let (mut world, mut thrice) = (draft.world(), Store::default());
        let mut orchestrator = Orchestrator::claim(&plan, &mut thrice, &world, Fuse(None)).unwrap();
        orchestrator.times = 3;
        run_with(&plan, &mut thrice, &mut world, &mut orchestrator, |_, _| {}).unwrap();
        prop_assert!(world.asked_for.values().all(|times| times % 3 == 0 && *times >= 3));
        prop_assert_eq!(story(&thrice.records), story(&store.records));
        check(&plan, &thrice.records, &world);
    }

    #[test]
    fn killed_again_and_again_every_effect_still_happens_once(draft in draft(), kills in proptest::collection::vec(1..14_u32, 1..40)) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
        let mut kills = kills.into_iter();
        run_with_kills(&plan, &mut store, &mut world, || kills.next());
        check(&plan, &store.records, &world);
    }

    #[test]
    fn a_transient_failure_at_any_step_costs_time_and_nothing_else(draft in draft()) {
        let plan = draft.plan();
        let (mut calm_world, mut calm) = (draft.kind_world(), Store::default());
        calm_world.answers = true;
        run(&plan, &mut calm, &mut calm_world);
        for step in plan.steps().iter().filter(|step| step.finally || step.retry.attempts > 1) {
            let mut world = draft.kind_world().script(step.id.as_str(), false, &[Behaviour::FailsForNow(1)]);
            world.answers = true;
            let mut store = Store::default();
            run(&plan, &mut store, &mut world);
            check(&plan, &store.records, &world);
            // A run in which nothing else depends on time ends as it would have.
            if plan.limits().deadline.is_none() && plan.steps().iter().all(|step| step.needs_person.is_none()) {
                prop_assert_eq!(result(&store.records), result(&calm.records), "step {} failed once:\n{}\notherwise:\n{}", step.id, lines(&store.records), lines(&calm.records));
            }
        }
    }

    #[test]
    fn a_permanent_failure_at_any_step_ends_as_that_step_says(draft in draft()) {
        let plan = draft.plan();
        for step in plan.steps().iter().filter(|step| !step.finally) {
            for failure in [Behaviour::FailsForGood(1), Behaviour::Refuses(1), Behaviour::Hangs] {
                let mut world = draft.kind_world().script(step.id.as_str(), false, &[failure; 20]);
                let mut store = Store::default();
                run(&plan, &mut store, &mut world);
                check(&plan, &store.records, &world);
                let tried = store.records.iter().any(|record| record.step.as_ref() == Some(&step.id) && record.event == Event::Intent);
                let calm = plan.limits().deadline.is_none() && plan.steps().iter().all(|step| !step.point_of_no_return && step.needs_person.is_none());
                if tried && calm {
                    let expected = match (step.on_failure, failure) {
                        (OnFailure::Abort, Behaviour::Refuses(_)) => Some(RunResult::Refused),
                        (OnFailure::Abort | OnFailure::Continue, _) => Some(RunResult::Failed),
                        (OnFailure::Prompt, _) => None,
                    };
                    if let Some(expected) = expected {
                        prop_assert_eq!(result(&store.records), expected, "step {} {:?}:\n{}", step.id, failure, lines(&store.records));
                    }
                }
            }
        }
    }

    #[test]
    fn aborted_at_any_moment_nothing_is_left_behind(draft in draft(), one in 1..5_i64) {
        let plan = draft.plan();
        let (mut world, mut whole) = (draft.world(), Store::default());
        run(&plan, &mut whole, &mut world);
        let length = world.now.duration_since(engine_world::start()).as_secs();
        for second in (0..=length).skip(usize::try_from(one - 1).unwrap()).step_by(usize::try_from(one).unwrap()) {
            let (mut world, mut store) = (draft.world(), Store::default());
            let mut orchestrator = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
            let moment = engine_world::start() + engine_world::seconds(second);
            let mut asked = false;
            run_with(&plan, &mut store, &mut world, &mut orchestrator, |world, _| {
                if world.now >= moment && !asked {
                    asked = true;
                    world.actions.push(action(ActionKind::Abort, None));
                }
            }).unwrap();
            check(&plan, &store.records, &world);
            // It ended for the abort, or the abort was refused, or the run was over or ending for another reason before the abort could be judged.
            let refused = store.records.iter().any(|record| matches!(&record.event, Event::ActionRefused { .. }));
            let copied = store.records.iter().any(|record| matches!(&record.event, Event::Action { action, .. } if action.action == ActionKind::Abort));
            prop_assert!(!copied || refused || result(&store.records) == RunResult::Aborted, "abort at {} s was lost:\n{}", second, lines(&store.records));
        }
    }

    #[test]
    fn whatever_people_ask_for_the_rules_hold(draft in draft(), asked in proptest::collection::vec((0..60_i64, 0..8_usize, 0..9_usize), 0..12)) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
        let mut orchestrator = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
        let mut asked = asked;
        asked.sort_unstable();
        let mut asked = asked.into_iter().peekable();
        let mut last_pause = None;
        run_with(&plan, &mut store, &mut world, &mut orchestrator, |world, _| {
            let passed = world.now.duration_since(engine_world::start()).as_secs();
            while let Some((_, kind, step)) = asked.next_if(|(at, ..)| *at <= passed) {
                let step = format!("step/{step}");
                let request = match kind {
                    0 => action(ActionKind::Pause, None),
                    1 => action(ActionKind::Resume, None),
                    2 => action(ActionKind::Abort, None),
                    3 => action(ActionKind::Retry, Some(&step)),
                    4 => action(ActionKind::Skip, Some(&step)),
                    5 => RunAction { answer: Some(if passed % 2 == 0 { "yes" } else { "no" }.to_owned()), ..action(ActionKind::Answer, Some(&step)) },
                    6 => RunAction { duration: Some("5s".into()), ..action(ActionKind::Extend, None) },
                    _ => action(ActionKind::CleanUp, None),
                };
                if request.action == ActionKind::Pause {
                    last_pause = Some(passed);
                }
                world.actions.push(request);
            }
            // Nobody leaves a run paused for ever.
            if last_pause.is_some_and(|at| passed > at + 20) {
                last_pause = None;
                world.actions.push(action(ActionKind::Resume, None));
            }
        }).unwrap();
        check(&plan, &store.records, &world);
        let copied = store.records.iter().filter(|record| matches!(record.event, Event::Action { .. })).count();
        prop_assert!(copied <= world.actions.len());
    }

    #[test]
    fn of_two_orchestrators_the_older_one_stops_and_nothing_happens_twice(draft in draft(), turns in proptest::collection::vec((any::<bool>(), 1..9_u32), 1..30)) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
        let mut old = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
        'turns: for (tick, acts) in turns {
            // The old one works for a while and stalls anywhere, with a pass half done …
            old.fuse = Fuse(Some(acts));
            while let Ok(over) = old.pass(&plan, &mut store, &mut world) {
                if over {
                    break 'turns;
                }
                world.tick();
                world.people(&plan, &old.journal);
            }
            if tick {
                world.tick();
            }
            // … the new one takes the run, and the old one wakes up: it may not get a single record in.
            let mut new = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
            let before = store.records.len();
            old.fuse = Fuse(None);
            let woken = old.pass(&plan, &mut store, &mut world);
            prop_assert!(woken != Ok(true));
            prop_assert_eq!(store.records.len(), before);
            let entry = Entry::run(Event::AbortRequested { cause: AbortCause::Person, reason: String::new() });
            let stale = old.journal.stamp(entry, old.token, world.now);
            let refused = new.journal.push(stale);
            prop_assert!(matches!(refused, Err(JournalError::StaleToken { .. })), "{refused:?}");
            old = new;
        }
        run(&plan, &mut store, &mut world);
        check(&plan, &store.records, &world);
    }

    #[test]
    fn clean_up_and_undo_end_however_often_they_fail(draft in draft(), failures in 1..7_usize, second in 1..20_i64) {
        let plan = draft.plan();
        let mut world = draft.kind_world();
        for step in plan.steps() {
            let script = vec![Behaviour::FailsForGood(1); failures];
            if step.finally {
                world.scripts.insert((step.id.clone(), false), script);
            } else {
                world.scripts.insert((step.id.clone(), true), script);
            }
        }
        let mut store = Store::default();
        let mut orchestrator = Orchestrator::claim(&plan, &mut store, &world, Fuse(None)).unwrap();
        let mut asked = false;
        run_with(&plan, &mut store, &mut world, &mut orchestrator, |world, _| {
            if !asked && world.now >= engine_world::start() + engine_world::seconds(second) {
                asked = true;
                world.actions.push(action(ActionKind::Abort, None));
            }
        }).unwrap();
        check(&plan, &store.records, &world);
    }

    #[test]
    fn no_journal_however_odd_makes_the_engine_err_or_write_what_the_journal_refuses(
        draft in draft(),
        odd in proptest::collection::vec((0..16_u8, 0..9_usize, 0..3_u32, 0..20_i64), 0..60),
        late in 0..100_i64,
    ) {
        let plan = draft.plan();
        let mut journal = Journal::new();
        let mut now = engine_world::start();
        journal.push(journal.claim(plan.digest(), "operator", now)).unwrap();
        for (kind, step, attempt, wait) in odd {
            now += engine_world::seconds(wait);
            let known = step < plan.steps().len();
            let name = format!("step/{step}");
            let of = |event| if known { Entry::of(engine_world::id(&name), attempt, event) } else { Entry::run(event) };
            let person = |kind| Entry::run(Event::Action { index: journal.observed_actions(), action: RunAction {
                answer: Some("yes".to_owned()), duration: Some("3s".into()), ..action(kind, Some(&name))
            } });
            let entry = match kind {
                0 | 1 => of(Event::Intent),
                2 => of(Event::Done),
                3 => of(Event::Failed(Failure::transient(Reason::from_text("Odd"), "odd"))),
                4 => of(Event::Failed(Failure::permanent(Reason::from_text("Odd"), "odd"))),
                5 => of(Event::UndoIntent),
                6 => of(Event::Undone),
                7 => of(Event::UndoFailed(Failure::transient(Reason::from_text("Odd"), "odd"))),
                8 => of(Event::Skipped { cause: SkipCause::Person { reason: "odd".to_owned() } }),
                9 if known && plan.steps().iter().any(|step| step.id.as_str() == name && step.needs_person.is_some()) => of(Event::Asked { kind: AskKind::Prompt }),
                9 => of(Event::Asked { kind: AskKind::Failure }),
                10 => of(Event::Answered { answer: Answer::Yes }),
                11 => person(ActionKind::Abort),
                12 => person(ActionKind::Retry),
                13 => person(ActionKind::Skip),
                14 => person(ActionKind::Answer),
                _ => person(ActionKind::Pause),
            };
            // Whether the journal takes it or not; if not, it stays as it was.
            let before = journal.clone();
            let record = journal.stamp(entry, journal.token(), now);
            if journal.push(record).is_err() {
                prop_assert_eq!(&journal, &before);
            }
            let seen = match summary(&plan, &journal, now) {
                Ok(seen) => seen,
                Err(ReplayError::Unplanned { .. }) => return Ok(()),
                Err(error) => panic!("{error}"),
            };
            let counts = seen.counts;
            prop_assert_eq!(counts.done + counts.running + counts.waiting + counts.failed + counts.skipped + counts.undone, counts.total);
            prop_assert!(seen.current.len() <= 16);
        }
        now += engine_world::seconds(late);
        let token = journal.token();
        let pass = settle(&plan, &mut journal, token, now).unwrap();
        prop_assert!(pass.next.is_none_or(|next| next > now), "{:?} is not after {}", pass.next, now);
        // Once settled, there is nothing more to write.
        prop_assert!(advance(&plan, &journal, now).unwrap().entries().is_empty());
        prop_assert_eq!(advance(&plan, &journal, now).unwrap().commands, pass.commands);
    }

    #[test]
    fn a_run_that_is_not_over_always_has_something_to_wait_for(draft in draft(), kills in proptest::collection::vec(1..20_u32, 0..6)) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store { keep_worlds: true, ..Store::default() });
        let mut kills = kills.into_iter();
        run_with_kills(&plan, &mut store, &mut world, || kills.next());
        for (cut, world) in store.worlds.iter().enumerate().skip(1) {
            let mut journal = Journal::from_records(store.records[..cut].to_vec()).unwrap();
            let token = journal.token();
            let pass = settle(&plan, &mut journal, token, world.now).unwrap();
            let waits = summary(&plan, &journal, world.now).unwrap();
            let person = waits.current.iter().any(|step| step.phase == RunPhase::WaitingForPerson);
            prop_assert!(journal.is_finished() || !pass.commands.is_empty() || pass.next.is_some() || person,
                "stuck in {:?}: {:#?}\n{}", pass.phase, waits, lines(journal.records()));
            prop_assert_eq!(waits.phase == RunPhase::WaitingForPerson, person && waits.phase != RunPhase::Paused);
            if pass.phase.is_end() {
                prop_assert!(waits.current.is_empty() && waits.completion.is_some());
            }
        }
    }

    #[test]
    fn a_journal_is_the_same_after_it_was_written_down(draft in draft()) {
        let (plan, mut world, mut store) = (draft.plan(), draft.world(), Store::default());
        run(&plan, &mut store, &mut world);
        let written: Vec<String> = store.records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        let text = written.join("\n");
        prop_assert_eq!(text.lines().count(), store.records.len());
        prop_assert_eq!(Journal::from_lines(&text).unwrap(), store.journal());
        let stored: TestPlan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        prop_assert_eq!(stored.digest(), plan.digest());
        prop_assert_eq!(stored, plan);
    }
}
