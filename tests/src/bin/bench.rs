//! The figures: backup and restore beside what the API servers take without us, the most memory of movers and operator, what a step costs beside its work.
//!
//! It brings a stage of its own up, and takes it down however it ends. A target that is missed is said, and is no error.
//! `P861_BENCH_OBJECTS` (30000), `P861_BENCH_LARGE` (0: no such run; 300000 measures memory), `P861_BENCH_RUNS` (5), `P861_BENCH_IDLE` (60, seconds),
//! `P861_BENCH_STEPS` (1000) and `P861_BENCH_NOTE` change what is done.

use p861_core::quantity::Quantity;
use p861_crds::{Backup, Drill, Restore};
use p861_testbed::bed::{self, BedError, Place, Result, Site};
use p861_testbed::report::{Report, seconds};
use p861_tests::Look as _;
use p861_tests::bench::declare::{FEW, LARGE, MANY, declare, declare_large, namespace};
use p861_tests::bench::figures::{
    Conditions, Figures, MoverFigures, ObjectFigures, OperatorFigures, Overhead, ProcessorSeconds, StepSeconds, in_seconds, mebibytes, per_minute,
};
use p861_tests::bench::limits::{self, Limit};
use p861_tests::bench::machine::{self, beds_beside, load_average};
use p861_tests::bench::processes::{Seen, Watch, processor_time_of, unseen};
use p861_tests::bench::runs::{self, Performed, Run};
use p861_tests::bench::samples::{Samples, trivial};
use p861_tests::bench::targets::{self, Large, Limits, judge};
use p861_tests::bench::timeline::{StepTime, Timeline, between};
use p861_tests::bench::{engine, failed, load};
use p861_tests::install::{SYSTEM, root};
use p861_tests::stage::Stage;

use kube::Client;
use serde_json::json;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long a run over all objects may take before something is wrong.
const LIMIT: Duration = Duration::from_hours(1);

/// What the environment says.
struct Options {
    objects: u64,
    large: u64,
    runs: usize,
    idle: Duration,
    steps: usize,
}

impl Options {
    fn read() -> Result<Self> {
        Ok(Self {
            objects: number("P861_BENCH_OBJECTS", targets::OBJECTS)?,
            large: number("P861_BENCH_LARGE", 0)?,
            runs: number("P861_BENCH_RUNS", 5)?,
            idle: Duration::from_secs(number("P861_BENCH_IDLE", 60)?),
            steps: number("P861_BENCH_STEPS", 1000)?,
        })
    }
}

fn number<T: FromStr>(name: &str, otherwise: T) -> Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| BedError::Refused(format!("{name} is {text:?}: write a number"))),
        Err(_) => Ok(otherwise),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let name = std::env::var("P861_TESTBED").unwrap_or_else(|_| format!("bench-{}", std::process::id()));
    let report = Report::stderr();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        report.line("A TLS provider is installed already.");
    }
    let start = Instant::now();
    let result = tokio::select! {
        result = work(name.clone(), report.clone()) => result,
        signal = interrupted() => Err(signal),
    };
    // The sites are no value of this process: they go here, whatever became of the work.
    let ended = bed::down(&name, &report);
    match (&result, &ended) {
        (Ok(text), Ok(())) => {
            say(&format!("\n{text}\nThe figures took {}.", seconds(start.elapsed())));
            return ExitCode::SUCCESS;
        }
        (Err(error), _) => report.line(&format!("The figures could not be taken: {error}")),
        (Ok(text), Err(_)) => say(text),
    }
    if let Err(error) = ended {
        report.line(&format!("The sites could not be taken down: {error}; testbed --name {name} down tries again"));
    }
    ExitCode::FAILURE
}

async fn interrupted() -> BedError {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return failed("wait for SIGTERM")(&error),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    BedError::Refused("interrupted".to_owned())
}

async fn work(name: String, report: Report) -> Result<String> {
    let (options, load_before, begun) = (Options::read()?, load_average(), jiff::Timestamp::now());
    let mut other_beds = beds_beside(&name);
    let (bed, said) = (name.clone(), report.clone());
    let stage = blocking(move || Stage::up(&bed, &said)).await?;
    let stage: &'static Stage = Box::leak(Box::new(stage));
    let group = Place::find(&name)?.ok_or_else(|| BedError::Refused(format!("bed {name} is gone")))?.cgroup();
    let watch = Watch::begin(&group)?;
    let (home, hub) = (load::client(stage.primary()?).await?, load::client(stage.standby()?).await?);
    let kubernetes = hub.apiserver_version().await.map_err(|error| failed("ask for the version of the API server")(&error))?.git_version;
    let bench = Bench { stage, home, hub, watch, report, options };

    blocking(|| declare(stage)).await?;
    let idle = bench.idle().await?;
    let mut load_during = vec![load_average()];
    let overhead = Box::pin(bench.overhead()).await?;
    load_during.push(load_average());
    let objects = bench.options.objects;
    bench.create(MANY, objects).await?;
    load_during.push(load_average());
    let (backup, backup_again, name_of_backup, list) = Box::pin(bench.backups()).await?;
    load_during.push(load_average());
    let (restore, creates) = Box::pin(bench.restore_beside_creates(&name_of_backup)).await?;
    load_during.push(load_average());
    let operators = bench.operators(&idle)?;
    // The figures so far were measured, whatever becomes of this.
    let large = Box::pin(bench.large()).await;
    let steps = bench.options.steps;
    let engine = bench.report.timed("Running the engine alone", || engine::measure(steps))?;
    other_beds.extend(beds_beside(&name));
    other_beds.sort();
    other_beds.dedup();
    let conditions = Conditions {
        begun: format!("{begun:.0}"),
        objects,
        deployments: load::deployments(objects),
        bytes_per_object: load::BYTES,
        build: machine::build()?,
        processors: machine::processors(),
        memory_mebibytes: machine::memory(),
        niceness: machine::niceness(),
        load_before,
        load_during,
        kubernetes,
        other_beds,
        note: std::env::var("P861_BENCH_NOTE").ok().filter(|note| !note.is_empty()),
    };
    let limits = Limits { list, creates };
    let targets = judge(&limits, &backup, &backup_again, &restore, large.as_ref().ok().and_then(Option::as_ref));
    let (large, failure) = large.map_or_else(|error| (None, Some(error)), |large| (large, None));
    let figures = Figures { conditions, limits, targets, backup, backup_again, restore, operators, overhead, engine, large };
    let file = root().join("target/bench/figures.json");
    let text = serde_json::to_string_pretty(&figures).map_err(|error| failed("write the figures")(&error))?;
    let io = |source| BedError::Io { path: file.clone(), source };
    std::fs::create_dir_all(file.parent().unwrap_or(&file)).and_then(|()| std::fs::write(&file, text + "\n")).map_err(io)?;
    let table = format!("{}The same as JSON: {}", figures.table(), file.display());
    match failure {
        None => Ok(table),
        Some(error) => {
            say(&format!("\n{table}"));
            Err(error)
        }
    }
}

/// Work that blocks, beside the runtime: signals are heard meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(BedError::Refused("it panicked, see above".to_owned())))
}

struct Bench {
    stage: &'static Stage,
    home: Client,
    hub: Client,
    watch: Watch,
    report: Report,
    options: Options,
}

impl Bench {
    /// What the operator uses while nothing runs: at the beginning and at the end of a while.
    async fn idle(&self) -> Result<Vec<(String, Seen, Seen)>> {
        self.report.line(&format!("Looking at the idle operator for {} …", seconds(self.options.idle)));
        let before = self.watch.operators();
        tokio::time::sleep(self.options.idle).await;
        let after = self.watch.operators();
        let pairs: Vec<_> =
            after.into_iter().filter_map(|(pod, after)| Some((pod.clone(), before.iter().find(|(before, _)| *before == pod)?.1.clone(), after))).collect();
        if pairs.is_empty() { Err(BedError::Refused("no process of the operator was seen in the bed's control groups".to_owned())) } else { Ok(pairs) }
    }

    /// The operator's replicas, at the end.
    fn operators(&self, idle: &[(String, Seen, Seen)]) -> Result<Vec<OperatorFigures>> {
        let lease = self.stage.standby()?.get(&["--namespace", SYSTEM, "lease", "p861-operator"])?;
        let leader = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let now = self.watch.operators();
        let figures = now.into_iter().map(|(pod, seen)| {
            let (_, before, after) = idle
                .iter()
                .find(|(other, ..)| *other == pod)
                .ok_or_else(|| BedError::Refused(format!("the operator's pod {pod} is new: one was lost while it was measured")))?;
            let looked = between(before.last, after.last);
            let cores = after.cpu.saturating_sub(before.cpu).as_secs_f64() / looked.as_secs_f64().max(0.001);
            Ok(OperatorFigures {
                leads: pod == leader,
                pod,
                idle_mebibytes: mebibytes(after.resident),
                idle_cores: (cores * 10_000.0).round() / 10_000.0,
                idle_seconds: in_seconds(looked),
                peak_resident_mebibytes: mebibytes(seen.peak_resident),
                peak_group_mebibytes: mebibytes(seen.peak_group),
            })
        });
        figures.collect()
    }

    /// Performs a run over many objects, and says how long it takes.
    async fn performed<K: Run>(&self, what: &str, run: K) -> Result<Performed<K>> {
        self.report.line(&format!("{what} …"));
        let done = runs::perform_within(&self.hub, run, LIMIT).await;
        let done = done.map_err(|error| BedError::Refused(format!("{error}\n{}", self.stage.operator_log())))?;
        self.report.line(&format!("{what} … took {}", seconds(done.took())));
        Ok(done)
    }

    fn object_figures<K: Run>(&self, done: &Performed<K>, timeline: &Timeline, objects: u64) -> Result<ObjectFigures> {
        let (uid, step) = (done.uid(), timeline.of_objects()?);
        let figures = |seen: Seen| MoverFigures {
            seconds: in_seconds(seen.ran()),
            processor_seconds: in_seconds(seen.cpu),
            resident_mebibytes: mebibytes(seen.peak_resident),
            group_mebibytes: mebibytes(seen.peak_group),
            task: seen.role.task().to_owned(),
        };
        let other = |other: &&StepTime| other.id != step.id;
        Ok(ObjectFigures {
            objects,
            step_seconds: in_seconds(step.took()),
            mover_seconds: in_seconds(self.watch.ran_during(&uid, step).ok_or_else(|| unseen(step))?),
            start_seconds: in_seconds(timeline.steps.iter().filter(|step| step.action == "start").map(StepTime::took).sum()),
            objects_per_minute: per_minute(objects, step.took()),
            run_seconds: in_seconds(done.took()),
            other_steps: timeline.steps.iter().filter(other).map(|step| StepSeconds { step: step.id.clone(), seconds: in_seconds(step.took()) }).collect(),
            added_mebibytes: None,
            movers: self.watch.movers(&uid).into_iter().map(figures).collect(),
            beside: Vec::new(),
        })
    }

    /// Processor time that what serves a site has used so far.
    fn beside(&self, site: &Site) -> Result<Vec<(&'static str, Duration)>> {
        let served = [("API server", site.process("kube-apiserver")), ("etcd", site.process("etcd")), ("S3", self.stage.bed.services.s3_process())];
        served.into_iter().map(|(name, process)| Ok((name, processor_time_of(process.id())?))).collect()
    }

    fn beside_since(&self, site: &Site, before: &[(&'static str, Duration)]) -> Result<Vec<ProcessorSeconds>> {
        let now = self.beside(site)?;
        let used = now
            .iter()
            .zip(before)
            .map(|((name, now), (_, before))| ProcessorSeconds { process: (*name).to_owned(), seconds: in_seconds(now.saturating_sub(*before)) });
        Ok(used.collect())
    }

    /// Creates the objects of an application, and waits until its site is at rest again.
    async fn create(&self, application: &str, objects: u64) -> Result<Duration> {
        let (connections, namespace) = (load::CONNECTIONS, namespace(application));
        self.report.line(&format!("Creating {objects} objects of {application} over {connections} connections …"));
        let took = load::create(self.stage.primary()?, &namespace, objects, &self.report).await?;
        self.report.line(&format!("Creating them took {}. Waiting until their site's controllers have taken them in …", seconds(took)));
        load::settle(&self.home, &namespace, objects).await?;
        Ok(took)
    }

    /// Saves the objects twice, beside a bare LIST of them before and after. Also gives the name of the first backup.
    async fn backups(&self) -> Result<(ObjectFigures, ObjectFigures, String, Limit)> {
        let (site, namespace, objects) = (self.stage.primary()?, namespace(MANY), self.options.objects);
        let list = || limits::list(site, &namespace, objects, &self.report);
        let before = list().await?;
        let (name, name_again) = (format!("{MANY}-1"), format!("{MANY}-2"));
        let first = self.backup(MANY, &name, objects).await?;
        let again = self.backup(MANY, &name_again, objects).await?;
        Ok((first, again, name, Limit::of(before, list().await?)))
    }

    /// Restores them, beside bare creates on the same site before and after.
    async fn restore_beside_creates(&self, backup: &str) -> Result<(ObjectFigures, Limit)> {
        let (site, objects) = (self.stage.standby()?, self.options.objects);
        let creates = || limits::creates(site, &self.hub, objects, &self.report);
        let before = creates().await?;
        let figures = self.restore(MANY, backup, objects).await?;
        Ok((figures, Limit::of(before, creates().await?)))
    }

    /// Saves and restores many more objects, if that is asked for, for the memory that it takes.
    async fn large(&self) -> Result<Option<Large>> {
        let (objects, stage) = (self.options.large, self.stage);
        if objects == 0 {
            return Ok(None);
        }
        blocking(|| declare_large(stage)).await?;
        let create_seconds = in_seconds(self.create(LARGE, objects).await?);
        self.watch.count_together_anew();
        let name = format!("{LARGE}-1");
        let backup = self.backup(LARGE, &name, objects).await?;
        let restore = self.restore(LARGE, &name, objects).await?;
        Ok(Some(Large { objects, create_seconds, backup, restore, memory: self.watch.together() }))
    }

    /// Saves the objects of an application.
    async fn backup(&self, application: &str, name: &str, objects: u64) -> Result<ObjectFigures> {
        let site = self.stage.primary()?;
        let before = self.beside(site)?;
        let run: Backup = runs::run(name, json!({"applicationRef": {"name": application}}))?;
        let done = self.performed(&format!("Saving {objects} objects as backup {name}"), run).await?;
        let beside = self.beside_since(site, &before)?;
        let timeline = runs::journal(&self.hub, "backup", name).await?;
        let status = serde_json::to_value(&done.object.status).map_err(|error| failed(format!("read backup {name}"))(&error))?;
        let saved = status["contents"]["objects"].as_u64().unwrap_or_default();
        if saved < objects {
            return Err(BedError::Refused(format!("backup {name} has {saved} objects; {objects} were created")));
        }
        let added = status["size"]["added"].as_str().and_then(|text| Quantity::parse(text).ok()?.bytes().ok());
        Ok(ObjectFigures { added_mebibytes: added.map(mebibytes), beside, ..self.object_figures(&done, &timeline, saved)? })
    }

    /// Writes them into an empty namespace of the other site, and looks whether they are all there.
    async fn restore(&self, application: &str, backup: &str, objects: u64) -> Result<ObjectFigures> {
        let (name, copy) = (format!("{application}-restore"), format!("{}-copy", namespace(application)));
        let site = self.stage.standby()?;
        let before = self.beside(site)?;
        let target = json!({"siteRef": {"name": "laoshan-dr"}, "namespaceMappings": [{"from": namespace(application), "to": copy}]});
        let run: Restore = runs::run(&name, json!({"source": {"backupRef": {"name": backup}}, "target": target}))?;
        let done = self.performed(&format!("Restoring {objects} objects as restore {name}"), run).await?;
        let beside = self.beside_since(site, &before)?;
        let timeline = runs::journal(&self.hub, "restore", &name).await?;
        load::compare(&self.hub, &copy, objects).await?;
        let status = serde_json::to_value(&done.object.status).map_err(|error| failed(format!("read restore {name}"))(&error))?;
        let written = ["create", "change", "same"].iter().filter_map(|what| status["changes"][what].as_u64()).sum();
        Ok(ObjectFigures { beside, ..self.object_figures(&done, &timeline, written)? })
    }

    /// What runs cost beside their work: runs of next to nothing.
    async fn overhead(&self) -> Result<Overhead> {
        let mut samples = Samples::default();
        let runs = self.options.runs;
        self.report.line(&format!("Running {runs} backups, restores and drills of next to nothing …"));
        let mut last = String::new();
        for number in 1..=runs {
            last = format!("{FEW}-{number}");
            let done: Performed<Backup> = runs::perform(&self.hub, runs::run(&last, json!({"applicationRef": {"name": FEW}}))?).await?;
            let timeline = runs::journal(&self.hub, "backup", &last).await?;
            samples.run(done.asked, done.told, &timeline);
            let mut path = Vec::new();
            for step in timeline.critical_path() {
                let ran = step.task.as_ref().map(|_| self.watch.ran_during(&done.uid(), step).ok_or_else(|| unseen(step))).transpose()?;
                path.push((step, ran));
            }
            samples.backup(done.took(), &path);
        }
        for number in 1..=runs {
            let name = format!("{FEW}-restore-{number}");
            let target =
                json!({"siteRef": {"name": "laoshan-dr"}, "namespaceMappings": [{"from": namespace(FEW), "to": format!("{}-{number}", namespace(FEW))}]});
            let done: Performed<Restore> =
                runs::perform(&self.hub, runs::run(&name, json!({"source": {"backupRef": {"name": last}}, "target": target}))?).await?;
            let timeline = runs::journal(&self.hub, "restore", &name).await?;
            samples.run(done.asked, done.told, &timeline);
            samples.config_map.extend(trivial(&timeline));
        }
        for number in 1..=runs {
            let spec = json!({"planRef": {"name": FEW}, "type": "Isolated"});
            let done: Performed<Drill> = runs::perform(&self.hub, runs::run(&format!("{FEW}-isolated-{number}"), spec)?).await?;
            samples.bucket.extend(trivial(&runs::journal_of_drill(self.stage, &done.object).await?));
        }
        for number in 1..=runs * 2 {
            let spec = json!({"planRef": {"name": FEW}, "type": "Tabletop"});
            let done: Performed<Drill> = runs::perform(&self.hub, runs::run(&format!("{FEW}-tabletop-{number}"), spec)?).await?;
            samples.tabletop.push(done.took());
        }
        Ok(samples.figures())
    }
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn say(text: &str) {
    println!("{text}");
}
