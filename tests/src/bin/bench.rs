//! The figures: objects a minute for backup and restore, the most memory of movers and operator, what a step costs beside its work.
//!
//! It brings a stage of its own up, and takes it down however it ends. Nothing is judged here: a figure is no error, whatever it is.
//! `P861_BENCH_OBJECTS` (30000), `P861_BENCH_RUNS` (5), `P861_BENCH_IDLE` (60, seconds), `P861_BENCH_STEPS` (1000) and `P861_BENCH_NOTE` change what is done.

use p861_core::quantity::Quantity;
use p861_crds::{Backup, Drill, Restore};
use p861_testbed::bed::{self, BedError, Place, Result, Site};
use p861_testbed::report::{Report, seconds};
use p861_tests::Look as _;
use p861_tests::bench::declare::{FEW, MANY, declare, namespace};
use p861_tests::bench::figures::{
    Conditions, Figures, MoverFigures, ObjectFigures, OperatorFigures, Overhead, ProcessorSeconds, StepSeconds, in_seconds, mebibytes, per_minute,
};
use p861_tests::bench::processes::{Seen, Watch, processor_time_of};
use p861_tests::bench::runs::{self, Performed};
use p861_tests::bench::samples::{Samples, trivial};
use p861_tests::bench::timeline::{StepTime, Timeline, between};
use p861_tests::bench::{engine, failed, load};
use p861_tests::install::{SYSTEM, root};
use p861_tests::stage::Stage;

use kube::Client;
use serde_json::{Value, json};
use std::process::{ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long a run over all objects may take before something is wrong.
const LIMIT: Duration = Duration::from_hours(1);
/// What the environment says.
struct Options {
    objects: u64,
    runs: usize,
    idle: Duration,
    steps: usize,
}

impl Options {
    fn read() -> Result<Self> {
        Ok(Self {
            objects: number("P861_BENCH_OBJECTS", 30_000)?,
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
    let (options, load_before) = (Options::read()?, load_average());
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
    bench.report.line(&format!("Creating {} ConfigMaps of {} bytes …", bench.options.objects, load::BYTES));
    let took = load::create(&bench.home, &namespace(MANY), bench.options.objects, &bench.report).await?;
    bench.report.line(&format!("Creating them took {}.", seconds(took)));
    let (backup, name_of_backup) = bench.backup().await?;
    load_during.push(load_average());
    let (backup_again, _) = bench.backup().await?;
    load_during.push(load_average());
    let restore = bench.restore(&name_of_backup).await?;
    load_during.push(load_average());
    let operators = bench.operators(&idle)?;
    let steps = bench.options.steps;
    let engine = bench.report.timed("Running the engine alone", || engine::measure(steps))?;
    other_beds.extend(beds_beside(&name));
    other_beds.sort();
    other_beds.dedup();
    let conditions = Conditions {
        begun: format!("{:.0}", jiff::Timestamp::now()),
        objects: bench.options.objects,
        bytes_per_object: load::BYTES,
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        processors: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        memory_mebibytes: memory(),
        niceness: niceness(),
        load_before,
        load_during,
        kubernetes,
        other_beds,
        note: std::env::var("P861_BENCH_NOTE").ok().filter(|note| !note.is_empty()),
    };
    let figures = Figures { conditions, backup, backup_again, restore, operators, overhead, engine };
    let file = root().join("target/bench/figures.json");
    let text = serde_json::to_string_pretty(&figures).map_err(|error| failed("write the figures")(&error))?;
    let io = |source| BedError::Io { path: file.clone(), source };
    std::fs::create_dir_all(file.parent().unwrap_or(&file)).and_then(|()| std::fs::write(&file, text + "\n")).map_err(io)?;
    Ok(format!("{}The same as JSON: {}", figures.table(), file.display()))
}

/// Work that blocks, beside the runtime: signals are heard meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(BedError::Refused("it panicked, see above".to_owned())))
}

fn beds_beside(name: &str) -> Vec<String> {
    Place::all().into_iter().map(|place| place.name).filter(|other| other != name).collect()
}

fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split_whitespace().next().map(str::to_owned)).unwrap_or_default()
}

/// Field 19 of the process's own line.
fn niceness() -> i64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    line.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(16)?.parse().ok()).unwrap_or_default()
}

fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
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

    /// Starts a run as a person would, watches it with him, and gives its name.
    async fn started(&self, noun: &'static str, arguments: Vec<String>) -> Result<(String, Value)> {
        let stage = self.stage;
        blocking(move || {
            let words: Vec<&str> = arguments.iter().map(String::as_str).chain(["--no-wait", "--output", "name"]).collect();
            let output = stage.p861(&words)?.stderr(Stdio::inherit()).output().map_err(|error| failed("start p861")(&error))?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let name = text.rsplit('/').next().unwrap_or_default().to_owned();
            if !output.status.success() || name.is_empty() {
                return Err(BedError::Refused(format!("p861 {} ended with {}: {text}", words.join(" "), output.status)));
            }
            say(&format!("\n$ p861 {noun} watch {name}"));
            let status = stage.p861(&[noun, "watch", &name])?.stdin(Stdio::null()).status().map_err(|error| failed("start p861")(&error))?;
            // An end that is no success is told by the object, with its reason.
            let ended = stage.wait(&format!("{noun} {name} has ended"), LIMIT, noun, &name, |seen| {
                let phase = seen["status"]["phase"].as_str().unwrap_or_default();
                if matches!(phase, "Succeeded" | "Failed" | "Aborted" | "Refused") { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
            })?;
            if status.success() && ended["status"]["phase"] == "Succeeded" {
                return Ok((name, ended));
            }
            Err(BedError::Refused(format!("{noun} {name} ended as {}: {}\n{}", ended["status"]["phase"], ended["status"]["conditions"], stage.operator_log())))
        })
        .await
    }

    fn object_figures(&self, run: &Value, asked: jiff::Timestamp, timeline: &Timeline, objects: u64) -> Result<ObjectFigures> {
        let uid = run["metadata"]["uid"].as_str().unwrap_or_default();
        let step = timeline.of_objects()?;
        let (mut movers, mut mover_seconds) = (Vec::new(), 0.0);
        for (other, task) in timeline.steps.iter().filter_map(|step| Some((step, step.task.as_ref()?))) {
            let seen = self.watch.mover(uid, task)?;
            if other.id == step.id {
                mover_seconds = in_seconds(seen.ran());
            }
            movers.push(MoverFigures {
                task: task.clone(),
                seconds: in_seconds(seen.ran()),
                processor_seconds: in_seconds(seen.cpu),
                resident_mebibytes: mebibytes(seen.peak_resident),
                group_mebibytes: mebibytes(seen.peak_group),
            });
        }
        let other = |other: &&StepTime| other.id != step.id;
        Ok(ObjectFigures {
            objects,
            step_seconds: in_seconds(step.took()),
            mover_seconds,
            objects_per_minute: per_minute(objects, step.took()),
            run_seconds: in_seconds(between(asked, timeline.finished)),
            other_steps: timeline.steps.iter().filter(other).map(|step| StepSeconds { step: step.id.clone(), seconds: in_seconds(step.took()) }).collect(),
            added_mebibytes: None,
            movers,
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

    /// Saves the many objects.
    async fn backup(&self) -> Result<(ObjectFigures, String)> {
        let site = self.stage.primary()?;
        let (before, asked) = (self.beside(site)?, jiff::Timestamp::now());
        let (name, ended) = self.started("backup", ["backup", "now", MANY].map(str::to_owned).into()).await?;
        let beside = self.beside_since(site, &before)?;
        let timeline = runs::journal(&self.hub, "backup", &name).await?;
        let objects = ended["status"]["contents"]["objects"].as_u64().unwrap_or_default();
        if objects < self.options.objects {
            return Err(BedError::Refused(format!("backup {name} has {objects} objects; {} ConfigMaps alone were created", self.options.objects)));
        }
        let added = ended["status"]["size"]["added"].as_str().and_then(|text| Quantity::parse(text).ok()?.bytes().ok());
        Ok((ObjectFigures { added_mebibytes: added.map(mebibytes), beside, ..self.object_figures(&ended, asked, &timeline, objects)? }, name))
    }

    /// Writes them into an empty namespace of the other site, and looks whether they are all there.
    async fn restore(&self, backup: &str) -> Result<ObjectFigures> {
        let copy = format!("{}-copy", namespace(MANY));
        let map = format!("{}={copy}", namespace(MANY));
        let site = self.stage.standby()?;
        let (before, asked) = (self.beside(site)?, jiff::Timestamp::now());
        let arguments = ["restore", "run", backup, "--site", "laoshan-dr", "--map", &map, "--yes", "--backup", backup].map(str::to_owned);
        let (name, ended) = self.started("restore", arguments.into()).await?;
        let beside = self.beside_since(site, &before)?;
        let timeline = runs::journal(&self.hub, "restore", &name).await?;
        load::compare(&self.hub, &copy, self.options.objects).await?;
        let changes = &ended["status"]["changes"];
        let objects = ["create", "change", "same"].iter().filter_map(|what| changes[what].as_u64()).sum();
        Ok(ObjectFigures { beside, ..self.object_figures(&ended, asked, &timeline, objects)? })
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
                let ran = step.task.as_ref().map(|task| self.watch.mover(&done.uid(), task)).transpose()?;
                path.push((step, ran.map(|seen| seen.ran())));
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
