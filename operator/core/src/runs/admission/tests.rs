//! The table of what may run beside what, and its promises for any set of runs.

use super::*;
use RunClass::{Backup, Change, Drill, Failover, Prune, Restore};
use p861_crds::Reason;
use proptest::{prelude::*, sample::select};

fn set<T: Ord + for<'a> From<&'a str>>(names: &[&str]) -> BTreeSet<T> {
    names.iter().map(|name| T::from(name)).collect()
}

fn request(class: RunClass, name: &str) -> Request {
    Request::new(RunRef { class, namespace: "shinan".into(), name: name.into(), uid: name.into() }, Timestamp::UNIX_EPOCH)
}

/// The seven kinds of runs of the table. `Restore` is a restore in place, `restore` one into other namespaces.
const COLUMNS: [&str; 7] = ["Failover", "Restore", "restore", "Change", "Drill", "Verification", "Backup"];

fn of_column(column: &str, name: &str) -> Request {
    let class = column.to_lowercase().parse().expect("a class");
    Request { writes_in_place: column == "Restore", ..request(class, name) }
}

/// Whether `request` begins (A), waits (W) or aborts (P) beside `running`.
fn letter(request: &Request, running: &Request) -> char {
    match admit(request, &[Running::new(running.clone())], &Limits::default()) {
        Admission::Admit => 'A',
        Admission::Wait(why) => {
            assert_eq!(why.run.as_ref(), Some(&running.run));
            assert!(why.message.contains(&running.run.name), "{}", why.message);
            'W'
        }
        Admission::Preempt(aborted) => {
            assert_eq!(aborted, std::slice::from_ref(&running.run));
            'P'
        }
    }
}

/// Fills the table for two runs that share something.
fn table(shares: impl Fn(&mut Request)) -> Vec<String> {
    let row = |asks: &str| {
        let letters = COLUMNS.iter().map(|runs| {
            let (mut asking, mut running) = (of_column(asks, "asking"), of_column(runs, "running"));
            shares(&mut asking);
            shares(&mut running);
            assert_eq!(conflict(&asking, &running), conflict(&running, &asking), "{asks} {runs}");
            letter(&asking, &running)
        });
        format!("{asks:12} {}", letters.collect::<String>())
    };
    COLUMNS.iter().map(|asks| row(asks)).collect()
}

#[test]
fn runs_that_share_nothing_run_beside_each_other() {
    for row in table(|_| {}) {
        assert!(row.ends_with("AAAAAAA"), "{row}");
    }
}

#[test]
fn on_one_application() {
    let shares = |request: &mut Request| request.applications = set(&["approval"]);
    // Columns: Failover, Restore in place, restore elsewhere, Change, Drill, Verification, Backup.
    let expected = [
        "Failover     WPAPPPP",
        "Restore      WWAWAAP",
        "restore      AAAAAAA",
        "Change       WWAWWWW",
        "Drill        WAAWWPA",
        "Verification WAAWWWA",
        "Backup       WWAWAAW",
    ];
    assert_eq!(table(shares), expected);
}

#[test]
fn fault_c9_of_runs_of_one_kind_on_one_thing_one_goes_and_the_others_wait_for_it_by_name() {
    let (application, namespace) = (set(&["approval"]), SiteNamespace { site: "east".into(), namespace: "shinan-look".into() });
    let one = |column: &str, name: &str| {
        let mut request = of_column(column, name);
        match column {
            // Copies into one namespace: neither would be what its name says.
            "restore" => request.writes = [namespace.clone()].into(),
            "Drill" => request.plan = Some("core".into()),
            _ => request.applications.clone_from(&application),
        }
        request
    };
    for (column, reason) in [
        ("Backup", WaitReason::ApplicationBusy),
        ("Restore", WaitReason::ApplicationBusy),
        ("restore", WaitReason::NamespaceBusy),
        ("Drill", WaitReason::PlanBusy),
        ("Verification", WaitReason::ApplicationBusy),
        ("Change", WaitReason::ApplicationBusy),
    ] {
        let running = [Running::new(one(column, "first"))];
        for name in ["second", "third"] {
            match admit(&one(column, name), &running, &Limits::default()) {
                Admission::Wait(why) => {
                    assert_eq!(why.reason, reason, "{column}");
                    assert!(why.message.contains("first"), "{column}: {}", why.message);
                }
                other => panic!("{column}: {other:?}"),
            }
        }
    }
}

#[test]
fn on_one_plan() {
    let shares = |request: &mut Request| request.plan = Some("shinan".into());
    let expected = [
        "Failover     WPAPPPP",
        "Restore      WAAAAAA",
        "restore      AAAAAAA",
        "Change       WAAAAAA",
        "Drill        WAAAWPA",
        "Verification WAAAWAA",
        "Backup       WAAAAAA",
    ];
    assert_eq!(table(shares), expected);
}

#[test]
fn on_one_site_that_a_change_changes() {
    let shares = |request: &mut Request| {
        request.sites = set(&["east"]);
        if request.class() == Change {
            request.changed_sites = set(&["east"]);
        }
    };
    let expected = [
        "Failover     AAAPPPA",
        "Restore      AAAAAAA",
        "restore      AAAAAAA",
        "Change       WAAWWWA",
        "Drill        WAAWAAA",
        "Verification WAAWAAA",
        "Backup       AAAAAAA",
    ];
    assert_eq!(table(shares), expected);
}

#[test]
fn on_one_application_and_one_site_a_restore_in_place_leaves_no_room_for_a_drill() {
    let shares = |request: &mut Request| {
        request.sites = set(&["east"]);
        request.applications = set(&["approval"]);
    };
    let expected = [
        "Failover     WPAPPPP",
        "Restore      WWAWPPP",
        "restore      AAAAAAA",
        "Change       WWAWWWW",
        "Drill        WWAWWPA",
        "Verification WWAWWWA",
        "Backup       WWAWAAW",
    ];
    assert_eq!(table(shares), expected);
}

#[test]
fn in_one_namespace_that_both_write() {
    let place = SiteNamespace { site: "east".into(), namespace: "shinan-approval".into() };
    let shares = |request: &mut Request| request.writes = [place.clone()].into();
    let expected = [
        "Failover     WPPPPPP",
        "Restore      WWWWPPP",
        "restore      WWWWPPP",
        "Change       WWWWWWW",
        "Drill        WWWWWPW",
        "Verification WWWWWWW",
        "Backup       WWWWWWW",
    ];
    assert_eq!(table(shares), expected);
    let (mut reads, mut writes) = (request(Backup, "reads"), request(Restore, "writes"));
    (reads.reads, writes.writes) = ([place.clone()].into(), [place.clone()].into());
    assert_eq!((letter(&reads, &writes), letter(&writes, &reads)), ('W', 'P'));
    (writes.writes, writes.reads) = (BTreeSet::new(), [place].into());
    assert_eq!(letter(&writes, &reads), 'A');
}

#[test]
fn in_one_repository_everything_shares_and_prune_is_alone() {
    let shared = |request: &mut Request| request.repository = Some(("main".into(), RepositoryUse::Shared));
    assert!(table(shared).iter().all(|row| row.ends_with("AAAAAAA")));
    let mut prune = request(Prune, "prune");
    prune.repository = Some(("main".into(), RepositoryUse::Exclusive));
    for column in COLUMNS {
        let mut other = of_column(column, "other");
        shared(&mut other);
        assert_eq!(letter(&prune, &other), 'W', "{column}");
        let expected = if matches!(other.class(), Failover | Restore) { 'P' } else { 'W' };
        assert_eq!(letter(&other, &prune), expected, "{column}");
        other.repository = Some(("second".into(), RepositoryUse::Shared));
        assert_eq!(letter(&prune, &other), 'A', "{column}");
    }
}

#[test]
fn another_districts_things_of_the_same_name_are_others() {
    let mut all = request(Backup, "mine");
    all.applications = set(&["approval"]);
    all.plan = Some("shinan".into());
    all.repository = Some(("main".into(), RepositoryUse::Exclusive));
    let mut theirs = Request { run: RunRef { uid: "theirs".into(), namespace: "laoshan".into(), ..all.run.clone() }, ..all.clone() };
    assert_eq!(letter(&all, &theirs), 'A');
    theirs.run.class = Failover;
    assert_eq!(letter(&theirs, &all), 'A');
}

#[test]
fn a_part_runs_beside_its_whole_and_other_backups_wait() {
    let mut change = request(Change, "chg-1");
    change.applications = set(&["approval"]);
    let own = Request { applications: set(&["approval"]), part_of: Some(change.run.clone()), ..request(Backup, "before-chg-1") };
    let other = Request { part_of: None, ..own.clone() };
    assert_eq!((letter(&own, &change), letter(&other, &change)), ('A', 'W'));
}

#[test]
fn a_failover_does_not_wait_for_the_clean_up_of_what_it_aborts_and_others_do() {
    let on_plan = |class, name| Request { plan: Some("shinan".into()), ..request(class, name) };
    let stopping = [Running { request: on_plan(Drill, "q3"), stopping: true }];
    assert_eq!(admit(&on_plan(Failover, "now"), &stopping, &Limits::default()), Admission::Admit);
    assert!(matches!(admit(&on_plan(Drill, "q4"), &stopping, &Limits::default()), Admission::Wait(_)));
}

#[test]
fn people_read_for_whom_they_wait_and_nothing_of_another_district() {
    let mut change = request(Change, "chg-20261115-0003");
    change.changed_sites = set(&["east"]);
    let drill = Request { sites: set(&["east"]), ..request(Drill, "q3") };
    let why = |running: Request| match admit(&drill, &[Running::new(running)], &Limits::default()) {
        Admission::Wait(why) => (Reason::from(why.reason), why.message),
        other => panic!("{other:?}"),
    };
    let message = "waits for change chg-20261115-0003, which runs on site east: p861 ticket show chg-20261115-0003";
    assert_eq!(why(change.clone()), (Reason::PlanBusy, message.to_owned()));
    change.run.namespace = "p861-system".into();
    assert_eq!(why(change), (Reason::PlanBusy, "waits for a change of another district or of the city, which runs on site east".to_owned()));
}

#[test]
fn fault_e12_places_are_limited_and_go_to_each_district_in_turn_and_each_has_one_of_its_own_on_a_site() {
    let backup = |district: &str, number: i64| Request {
        run: RunRef { class: Backup, namespace: district.into(), name: format!("b{number}"), uid: format!("{district}-{number}") },
        sites: set(&["east"]),
        repository: Some(("main".into(), RepositoryUse::Shared)),
        ..Request::new(request(Backup, "").run, Timestamp::from_second(number).expect("a time"))
    };
    // Shinan asked first, five times; Laoshan came later.
    let waiting: Vec<Request> = (0..5).map(|number| backup("shinan", number)).chain((10..12).map(|number| backup("laoshan", number))).collect();
    let limits = Limits { per_site: 4, ..Limits::default() };
    let admitted = |limits: &Limits| -> Vec<String> {
        let answers = admit_in_turn(&waiting, &[], limits).into_iter();
        answers.filter(|(_, answer)| *answer == Admission::Admit).map(|(run, _)| run.uid).collect()
    };
    assert_eq!(admitted(&limits), ["shinan-0", "shinan-1", "laoshan-10", "laoshan-11"]);
    assert_eq!(admitted(&Limits { per_repository: 1, ..limits.clone() }), ["shinan-0", "laoshan-10"]);
    assert_eq!(admitted(&Limits { of_sites: [("east".into(), 0)].into(), ..limits.clone() }), ["shinan-0"], "a limit of 0 counts as 1");
    let running: Vec<Running> = (0..3).map(|number| backup("shinan", number)).chain([backup("laoshan", 10)]).map(Running::new).collect();
    let Admission::Wait(why) = admit(&backup("laoshan", 11), &running, &limits) else { panic!("a fifth place") };
    let said = "waits for a free slot: 4 of at most 4 runs on site east are under way: backup b10";
    assert_eq!((Reason::from(why.reason), why.message.as_str()), (Reason::LimitReached, said), "fault_i10: its own are named, and another district's are not");
    let many: Vec<Running> = (0..7).map(|number| Running::new(backup("shinan", number))).collect();
    let Admission::Wait(why) = admit(&backup("shinan", 8), &many, &Limits { per_district: 7, ..Limits::default() }) else { panic!("an eighth place") };
    let named = "backup b0, backup b1, backup b2, backup b3, backup b4 and 2 more";
    assert_eq!(why.message, format!("waits for a free slot: 7 of at most 7 runs of this district are under way: {named}"), "fault_i10");
    let failover = Request { sites: set(&["east"]), ..request(Failover, "now") };
    assert_eq!(admit(&failover, &running, &limits), Admission::Admit, "a failover waits for no place");
    let asked = |runs| admit(&Request { repository_runs: runs, ..backup("shinan", 9) }, &running, &Limits { per_site: 8, per_repository: 4, ..limits.clone() });
    let Admission::Wait(why) = asked(Some(3)) else { panic!("a fourth run in a repository that takes three") };
    assert_eq!(why.message, "waits for a free slot: 3 of at most 3 runs in repository main are under way: backup b0, backup b1, backup b2");
    assert_eq!((asked(Some(4)), asked(None)), (Admission::Admit, Admission::Admit));
    // Two districts hold every place for days; each other one still has its own.
    let held: Vec<Running> = ["shinan", "shibei"].iter().flat_map(|district| (0..2).map(|number| Running::new(backup(district, number)))).collect();
    assert_eq!(admit(&backup("laoshan", 10), &held, &limits), Admission::Admit, "fault_e12: a district's own place on a site");
    let thin = Limits { of_sites: [("east".into(), 4)].into(), ..limits };
    assert!(matches!(admit(&backup("laoshan", 10), &held, &thin), Admission::Wait(_)), "a thin line is one for all");
}

#[test]
fn a_waiting_prune_lets_no_younger_backup_pass_and_a_restore_still_does() {
    let uses = |class, name: &str, second, how| Request {
        repository: Some(("main".into(), how)),
        ..Request { created: Timestamp::from_second(second).expect("a time"), ..request(class, name) }
    };
    let running = [Running::new(uses(Backup, "running", 0, RepositoryUse::Shared))];
    let waiting = [
        uses(Backup, "older", 1, RepositoryUse::Shared),
        uses(Prune, "prune", 2, RepositoryUse::Exclusive),
        uses(Backup, "younger", 3, RepositoryUse::Shared),
        uses(Restore, "restore", 4, RepositoryUse::Shared),
    ];
    let answers = admit_in_turn(&waiting, &running, &Limits::default());
    let admitted: Vec<&str> = answers.iter().filter(|(_, answer)| *answer == Admission::Admit).map(|(run, _)| run.name.as_str()).collect();
    assert_eq!(admitted, ["restore", "older"]);
    let younger = answers.iter().find(|(run, _)| run.name == "younger").map(|(_, answer)| answer.clone());
    assert!(matches!(younger, Some(Admission::Wait(why)) if why.message.starts_with("waits for prune prune, which has precedence on repository main")));
    let alone = std::slice::from_ref(&waiting[1]);
    let held: Vec<bool> = waiting.iter().map(|request| held_back(request, alone).is_some()).collect();
    assert_eq!(held, [false, false, true, false], "who asks alone hears the same");
    let elsewhere = Request { repository: Some(("second".into(), RepositoryUse::Shared)), ..waiting[2].clone() };
    assert_eq!(held_back(&elsewhere, alone), None);
}

fn some<T: Ord + std::fmt::Debug + From<&'static str>>(names: &'static [&'static str]) -> impl Strategy<Value = BTreeSet<T>> {
    prop::collection::btree_set(select(names).prop_map(T::from), 0..2)
}

fn places() -> impl Strategy<Value = BTreeSet<SiteNamespace>> {
    let place = (select(vec!["east", "west"]), select(vec!["n1", "n2"]));
    prop::collection::btree_set(place.prop_map(|(site, namespace)| SiteNamespace { site: site.into(), namespace: namespace.into() }), 0..2)
}

/// Runs in a small world, so that they often meet.
fn any_requests() -> impl Strategy<Value = Vec<Request>> {
    let who = (select(&RunClass::ALL[..]), select(vec!["shinan", "laoshan"]), 0..4_i64, any::<bool>());
    let uses = (prop::option::of(select(vec!["p1", "p2"])), some(&["a1", "a2"]), some(&["east", "west"]), some(&["east", "west"]));
    let data = (places(), places(), prop::option::of((select(vec!["r1", "r2"]), any::<bool>())), prop::option::of(0..12_usize));
    let one = (who, uses, data).prop_map(|((class, district, created, in_place), (plan, applications, sites, changed), (writes, reads, repository, whole))| {
        let run = RunRef { class, namespace: district.into(), name: String::new(), uid: String::new() };
        let repository = repository.map(|(name, exclusive)| (name.to_owned(), if exclusive { RepositoryUse::Exclusive } else { RepositoryUse::Shared }));
        let changed_sites = if class == Change { changed } else { BTreeSet::new() };
        let created = Timestamp::from_second(created).expect("a time");
        let plan = plan.map(PlanName::from);
        (Request { plan, applications, sites, changed_sites, writes, reads, repository, writes_in_place: in_place, ..Request::new(run, created) }, whole)
    });
    prop::collection::vec(one, 0..10).prop_map(|made| {
        let mut requests: Vec<Request> = made.iter().map(|(request, _)| request.clone()).collect();
        for (number, request) in requests.iter_mut().enumerate() {
            request.run.name = format!("r{number}");
            request.run.uid = format!("u{number}");
        }
        let runs: Vec<RunRef> = requests.iter().map(|request| request.run.clone()).collect();
        for (number, (_, whole)) in made.iter().enumerate() {
            requests[number].part_of = whole.filter(|whole| *whole < number).and_then(|whole| runs.get(whole).cloned());
        }
        requests
    })
}

fn tight() -> Limits {
    Limits { per_site: 2, per_repository: 1, per_district: 2, of_sites: BTreeMap::new() }
}

/// No two that go on are in each other's way. One that is stopping is in the way of nobody who may abort it.
fn check_none_in_conflict(running: &[Running]) -> Result<(), TestCaseError> {
    for (index, a) in running.iter().enumerate() {
        for b in &running[index + 1..] {
            let stopping = |one: &Running, other: &Running| one.stopping && other.request.class().aborts(one.request.class());
            let excused = stopping(a, b) || stopping(b, a) || (a.stopping && b.stopping);
            prop_assert!(excused || conflict(&a.request, &b.request).is_none(), "{} beside {}", a.request.run, b.request.run);
        }
    }
    Ok(())
}

/// Carries out an answer.
fn begin(request: &Request, answer: &Admission, running: &mut Vec<Running>) {
    match answer {
        Admission::Wait(_) => return,
        Admission::Admit => {}
        Admission::Preempt(aborted) => {
            for other in running.iter_mut().filter(|other| aborted.contains(&other.request.run)) {
                other.stopping = true;
            }
        }
    }
    running.push(Running::new(request.clone()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_order_they_ask_in_no_two_that_exclude_each_other_are_admitted(requests in any_requests().prop_shuffle()) {
        let mut running = Vec::new();
        for request in &requests {
            let answer = admit(request, &running, &tight());
            begin(request, &answer, &mut running);
            check_none_in_conflict(&running)?;
        }
    }

    #[test]
    fn everything_that_waits_runs_in_the_end_and_every_wait_names_a_run_or_a_limit(mut waiting in any_requests(), ends in prop::collection::vec(any::<prop::sample::Index>(), 64)) {
        let mut running: Vec<Running> = Vec::new();
        let mut ends = ends.iter().cycle();
        let mut rounds = 0;
        while !waiting.is_empty() || !running.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 100, "no end: {waiting:?} {running:?}");
            let turns: BTreeMap<String, usize> = {
                let mut sorted: Vec<&Request> = waiting.iter().collect();
                sorted.sort_by(|a, b| a.turn().cmp(&b.turn()));
                sorted.iter().enumerate().map(|(turn, request)| (request.run.uid.clone(), turn)).collect()
            };
            let answers = admit_in_turn(&waiting, &running, &tight());
            prop_assert_eq!(answers.len(), waiting.len());
            for (run, answer) in &answers {
                if let Admission::Wait(why) = answer {
                    prop_assert!(!why.message.is_empty());
                    prop_assert_eq!(why.run.is_none(), why.reason == WaitReason::LimitReached);
                    if let Some(first) = &why.run {
                        let runs = running.iter().any(|other| other.request.run == *first);
                        prop_assert!(runs || turns[&first.uid] < turns[&run.uid], "{run} waits for {first}, which comes later");
                        prop_assert!(first.namespace == run.namespace || !why.message.contains(&first.name), "{}", why.message);
                    }
                }
            }
            for (run, answer) in &answers {
                let request = waiting.iter().find(|request| request.run == *run).expect("it asked").clone();
                begin(&request, answer, &mut running);
            }
            waiting.retain(|request| !running.iter().any(|other| other.request.run == request.run));
            check_none_in_conflict(&running)?;
            prop_assert!(waiting.is_empty() || !running.is_empty(), "deadlock: {waiting:?}");
            if !running.is_empty() {
                let index = ends.next().expect("a cycle").index(running.len());
                running.remove(index);
            }
        }
    }

    #[test]
    fn the_same_set_gives_the_same_answers_in_whatever_order_it_is_listed(requests in any_requests(), seed in any::<u64>()) {
        let half = requests.len() / 2;
        let running: Vec<Running> = requests[..half].iter().cloned().map(Running::new).collect();
        let answers = admit_in_turn(&requests[half..], &running, &tight());
        let shuffled = |length: usize| {
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by_key(|index| crate::names::short_digest(&[&seed.to_string(), &index.to_string()], 12));
            order
        };
        let others: Vec<Request> = shuffled(requests.len() - half).into_iter().map(|index| requests[half + index].clone()).collect();
        let also: Vec<Running> = shuffled(half).into_iter().map(|index| running[index].clone()).collect();
        prop_assert_eq!(answers, admit_in_turn(&others, &also, &tight()));
    }
}
