//! Measures backup and restore of one large stream-like file and of many small ones, over S3 or on a folder, and prints one line of JSON for each.
//!
//! `cargo run --release -p p861-vault --example throughput [s3|folder] [MiB of the large file] [number of small files of 1 KiB]`
//!
//! Over S3 it starts SeaweedFS on a loopback address. Each step runs in a process of its own, as movers do, so that its peak memory is its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    dead_code,
    reason = "a measurement, stopped by the first thing that is not as it must be"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use p861_vault::{Existing, Location, PartSpec, Repository, RepositoryAccess};
use serde_json::{Value, json};
use std::{
    fs,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use support::{noise::Noise, seal, seaweed::Seaweed};

/// One step, in a process of its own.
fn step(name: &str, access: &RepositoryAccess, folder: &Path) -> Value {
    let began = Instant::now();
    let repository = Repository::open(access).unwrap();
    let spec = |part| PartSpec { run: "run", part, host: "primary", parent: None };
    let snapshot = || repository.snapshots().unwrap().last().unwrap().id.clone();
    let (items, bytes) = match name {
        "back up large" | "back up small" => {
            let which = name.rsplit(' ').next().unwrap();
            let stored = repository.write_folder(&spec(&format!("volumes/{which}")), &folder.join(which), &|_| {}).unwrap();
            (stored.files, stored.bytes)
        }
        "back up large as a stream" => {
            let file = BufReader::new(fs::File::open(folder.join("large/file")).unwrap());
            let stored = repository.write_stream(&spec("streams/large"), Box::new(file), &|_| {}).unwrap();
            (stored.files, stored.bytes)
        }
        "seal" => {
            let sealed = seal(&repository, "run", &["volumes/large", "volumes/small", "streams/large"], None);
            (sealed.files, sealed.bytes)
        }
        "back up small again, unchanged" => {
            let before = snapshot();
            let stored =
                repository.write_folder(&PartSpec { run: "again", parent: Some(&before), ..spec("volumes/small") }, &folder.join("small"), &|_| {}).unwrap();
            (stored.files, stored.bytes)
        }
        "verify" | "verify, reading all" => {
            let report = repository.verify_snapshot(&snapshot(), name != "verify").unwrap();
            (report.blobs, report.bytes)
        }
        "restore large" | "restore small" => {
            let which = name.rsplit(' ').next().unwrap();
            let (id, part, volume) = (snapshot(), format!("volumes/{which}"), folder.join("restored").join(which));
            let result = repository.restore_folder(&support::whole(&id, &part, &volume, Existing::Exact), &|_| {}).unwrap();
            (result.files, result.bytes)
        }
        other => panic!("there is no step {other}"),
    };
    let seconds = began.elapsed().as_secs_f64();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak: u64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok()).unwrap();
    let rounded = |number: f64| (number * 10.0).round() / 10.0;
    json!({"step": name, "seconds": rounded(seconds), "items": items, "itemsPerSecond": rounded(items as f64 / seconds),
        "mebibytes": bytes >> 20, "mebibytesPerSecond": rounded(bytes as f64 / seconds / 1_048_576.0), "peakMebibytes": peak >> 10})
}

const STEPS: [&str; 9] = [
    "back up large",
    "back up small",
    "back up large as a stream",
    "seal",
    "back up small again, unchanged",
    "verify",
    "verify, reading all",
    "restore large",
    "restore small",
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, step_name, access, folder] = arguments.as_slice()
        && STEPS.contains(&step_name.as_str())
    {
        println!("{}", step(step_name, &serde_json::from_str(access).unwrap(), Path::new(folder)));
        return;
    }
    let argument = |index: usize, otherwise: u64| arguments.get(index).map_or(otherwise, |text| text.parse().unwrap());
    let (large, small) = (argument(2, 1024), argument(3, 30_000));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    fs::create_dir_all(path("large")).unwrap();
    std::io::copy(&mut Noise::new(1, large << 20), &mut fs::File::create(path("large/file")).unwrap()).unwrap();
    for number in 0..small {
        // A hundred to a folder.
        let parent = path("small").join(format!("{:04}", number / 100));
        fs::create_dir_all(&parent).unwrap();
        std::io::copy(&mut Noise::new(number + 2, 1024), &mut fs::File::create(parent.join(number.to_string())).unwrap()).unwrap();
    }
    let on_folder = arguments.get(1).is_some_and(|kind| kind == "folder");
    let server = (!on_folder).then(Seaweed::start);
    let access = server.as_ref().map_or_else(
        || RepositoryAccess { location: Location::Folder { path: path("repository") }, credentials: None, password: "correct horse".into(), id: None },
        Seaweed::access,
    );
    Repository::open_or_init(&access).unwrap();
    let text = serde_json::to_string(&access).unwrap();
    for step in STEPS {
        // What movers are given: by default glibc keeps what each of the engine's threads has freed.
        let allocator = [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "262144")];
        let output = Command::new(std::env::current_exe().unwrap()).args([step, &text]).arg(folder.path()).envs(allocator).output().unwrap();
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8_lossy(&output.stdout));
        // Let the server settle, so that no step pays for the one before.
        std::thread::sleep(Duration::from_secs(1));
    }
}
