//! An application that somebody else wrote, and a node that somebody else has filled.

use crate::backups::{BACKUP, name, newest, volume_folder};
use p861_core::quantity::Quantity;
use p861_testbed::bed::{BedError, Result, Site, until};
use p861_tests::look::{pods_of, wait_rolled_out};
use p861_tests::restic::digests_here;
use p861_tests::scenes::{Scene, demand};
use p861_tests::stage::{DISTRICT, read};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub const SCENES: &[Scene] = &[
    (
        "an application with two containers, a port by name and a dump that complains at length comes back exactly, also when its backup's journal is gone",
        somebody_elses_comes_back,
    ),
    ("a backup that no node takes says so in the scheduler's words, and ends well once there is room", a_full_node_is_told),
];

const NAMESPACE: &str = "shinan-notices";
const APPLICATION: &str = "notices";
const BOARD: &str = "deployment/board";
/// Its backup.
const WHOLE: &str = "notices-whole";
/// How long a start, or what the operator notices, may take on a busy machine.
const START: Duration = Duration::from_mins(3);
/// How long a restore may take there.
const RESTORE: Duration = Duration::from_mins(4);
/// The dump's complaints: far more than any buffer on the way holds.
const COMPLAINT_BYTES: u32 = 1_000_000;

fn somebody_elses_comes_back(stage: &Stage) -> Result<()> {
    let outcome = bring_in(stage).and_then(|folder| saved_spoilt_restored(stage, &folder));
    let gone = take_away(stage);
    outcome.and(gone)
}

/// Brings it in with its files, and declares it. Gives the folder of its claim.
fn bring_in(stage: &Stage) -> Result<PathBuf> {
    let primary = stage.primary()?;
    primary.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=110s"])?;
    stage.apply(primary, "notices.yaml", &read("tests/apps/notices.yaml")?)?;
    wait_rolled_out(primary, START, NAMESPACE, BOARD)?;
    let claim = primary.get(&["persistentvolumeclaim", "--namespace", NAMESPACE, "files"])?;
    let folder = volume_folder(stage, primary, claim["spec"]["volumeName"].as_str().unwrap_or_default())?;
    for (path, text) in [("start.txt", "Notices of the district\n"), ("archive/2025.txt", "Closed on holidays\n"), ("wal/000001", "first of the log\n")] {
        write(&folder.join(path), text)?;
    }
    // No command names its container, and only the first has what they need.
    let board = json!({"kind": "Deployment", "name": "board"});
    let shell = |script: &str| json!(["sh", "-c", script]);
    let spec = json!({
        "names": {"zh": "公告栏", "en": "Notice board"}, "department": "computer-centre", "namespaces": [NAMESPACE],
        "hooks": {"quiesce": {"workloadRef": board, "command": shell("echo quiesce >> /board/hooks")},
            "resume": {"workloadRef": board, "command": shell("echo resume >> /board/hooks")}},
        "streams": [{"name": "ledger", "workloadRef": board,
            "dump": shell(&format!("yes 'notice: a row without a date' | head -c {COMPLAINT_BYTES} >&2; cat /board/ledger")),
            "restore": shell("cat > /board/ledger.new && mv /board/ledger.new /board/ledger")}],
        "checks": [{"name": "ledger-open", "exec": {"workloadRef": board, "command": ["cat", "/board/ledger"], "expect": {"pattern": "^opened"}}},
            {"name": "door-open", "tcp": {"serviceName": "board", "port": 80}}],
    });
    stage.create("Application", APPLICATION, spec)?;
    stage.standby()?.wait_condition(START, &["--namespace", DISTRICT, "application", APPLICATION], "Healthy")?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(|source| BedError::Io { path: path.to_owned(), source })
}

/// Runs a script in the first container of the board.
fn inside(stage: &Stage, script: &str) -> Result<String> {
    stage.primary()?.kubectl(&["exec", "--namespace", NAMESPACE, BOARD, "--container", "board", "--", "sh", "-ec", script])
}

/// An intruder's page, a door in a folder of his own, and a log that is newer than the backup.
const INTRUDERS: [&str; 3] = ["shell.php", ".hidden/door.php", "wal/000002"];

/// What is changed, what is deleted, and what comes in.
fn spoil(folder: &Path) -> Result<()> {
    write(&folder.join("start.txt"), "Send your password to the following address\n")?;
    let archive = folder.join("archive/2025.txt");
    match fs::remove_file(&archive) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(BedError::Io { path: archive, source }),
        _ => {}
    }
    INTRUDERS.iter().try_for_each(|path| write(&folder.join(path), "not of the backup\n"))
}

fn saved_spoilt_restored(stage: &Stage, folder: &Path) -> Result<()> {
    inside(stage, "echo 'entry 861' >> /board/ledger")?;
    let ledger = inside(stage, "cat /board/ledger")?;
    let saved = digests_here(folder, &["."])?;
    // With a time limit: `p861 backup now` would wait with a dump that hangs.
    stage.create("Backup", WHOLE, json!({"applicationRef": {"name": APPLICATION}}))?;
    let status = stage.wait_end(BACKUP, "backup", WHOLE)?["status"].clone();
    let contents = &status["contents"];
    demand(status["phase"] == "Succeeded" && contents["streams"] == 1 && contents["volumes"] == 1, || format!("the backup: {status}"))?;
    let hooks = inside(stage, "cat /board/hooks")?;
    // One that was lost on the way is run again.
    demand(hooks.starts_with("quiesce\n") && hooks.ends_with("resume\n"), || format!("the hooks: {hooks:?}"))?;
    forget_journal(stage)?;

    spoil(folder)?;
    let preview = stage.say(&["restore", "preview", WHOLE])?;
    let foreseen = "volume files: 3 files would be removed, 1 changed, 1 created";
    demand(preview.code == 0 && preview.out.contains(foreseen) && INTRUDERS.iter().all(|path| preview.out.contains(path)), || {
        format!("the preview doesn't say {foreseen:?}, and which: {}", preview.all())
    })?;
    let keep = ["restore", "run", WHOLE, "--files", "files", "--keep-extra-files", "--yes", "--backup", WHOLE];
    stage.say_expecting(0, &keep)?;
    let mut kept = digests_here(folder, &["."])?;
    let extra = INTRUDERS.iter().filter(|path| kept.remove(&format!("./{path}")).is_some()).count();
    demand(extra == INTRUDERS.len() && kept == saved, || format!("with --keep-extra-files {extra} extra files stay, and these: {kept:?}, not {saved:?}"))?;

    spoil(folder)?;
    stage.create("Restore", "notices-exact", json!({"source": {"backupRef": {"name": WHOLE}}}))?;
    let status = stage.wait_end(RESTORE, "restore", "notices-exact")?["status"].clone();
    demand(status["phase"] == "Succeeded" && status["filesRemoved"] == INTRUDERS.len(), || {
        format!("the restore: {status}\n{}", stage.primary().map_or_else(|error| error.to_string(), |primary| pods_of(primary, NAMESPACE)))
    })?;
    let now = digests_here(folder, &["."])?;
    demand(now == saved && !folder.join(".hidden").exists(), || format!("after an exact restore: {now:?}, not {saved:?}"))?;
    wait_rolled_out(stage.primary()?, START, NAMESPACE, BOARD)?;
    let again = inside(stage, "cat /board/ledger")?;
    demand(again == ledger, || format!("the ledger was {ledger:?}, and is {again:?}"))
}

/// Deletes everything that the hub keeps of the backup's run beside its object.
fn forget_journal(stage: &Stage) -> Result<()> {
    let maps = stage.standby()?.get(&["configmaps", "--namespace", DISTRICT])?;
    let begins = format!("{WHOLE}-backup-journal");
    let journals: Vec<String> = maps["items"].as_array().into_iter().flatten().map(name).filter(|name| name.starts_with(&begins)).collect();
    demand(!journals.is_empty(), || format!("no ConfigMap is called {begins}…"))?;
    journals.iter().try_for_each(|journal| stage.delete("configmap", journal))
}

/// Takes away everything that the scene has brought.
fn take_away(stage: &Stage) -> Result<()> {
    let restores = stage.standby()?.get(&["restores", "--namespace", DISTRICT])?;
    for restore in restores["items"].as_array().into_iter().flatten().filter(|restore| restore["spec"]["source"]["backupRef"]["name"] == WHOLE) {
        stage.delete("restore", &name(restore))?;
    }
    stage.delete("backup", WHOLE)?;
    stage.delete("application", APPLICATION)?;
    stage.primary()?.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=110s"]).map(drop)
}

/// A pod that leaves the node less than a mover requests.
const FILLER: &str = "fills-the-node";
/// What it leaves, in thousandths of a processor; a mover requests 50.
const LEFT_MILLIS: i128 = 20;
/// How soon the reason of a wait must be told, with as much again for a busy machine.
const TOLD: Duration = Duration::from_mins(1);

fn a_full_node_is_told(stage: &Stage) -> Result<()> {
    let primary = stage.primary()?;
    let outcome = fill(stage, primary).and_then(|()| {
        let mut child = stage.start(&["backup", "now", "portal"])?;
        let outcome = told_and_ended(stage, &mut child);
        // Nothing to kill if it has ended.
        let _ = child.kill();
        let _ = child.wait();
        outcome
    });
    let emptied = empty(primary);
    outcome.and(emptied)
}

/// Thousandths of a processor that no pod of the site's node has requested.
fn free_millis(site: &Site) -> Result<i128> {
    let millis = |quantity: &Value| -> Result<i128> {
        let Some(text) = quantity.as_str() else { return Ok(0) };
        Quantity::parse(text).map(|quantity| quantity.nanos() / 1_000_000).map_err(|error| BedError::Refused(error.to_string()))
    };
    let mut free = millis(&site.get(&["nodes"])?["items"][0]["status"]["allocatable"]["cpu"])?;
    let pods = site.get(&["pods", "--all-namespaces", "--field-selector", "status.phase!=Succeeded,status.phase!=Failed"])?;
    for container in pods["items"].as_array().into_iter().flatten().flat_map(|pod| pod["spec"]["containers"].as_array().into_iter().flatten()) {
        free -= millis(&container["resources"]["requests"]["cpu"])?;
    }
    Ok(free)
}

fn fill(stage: &Stage, site: &Site) -> Result<()> {
    empty(site)?;
    let wanted = free_millis(site)? - LEFT_MILLIS;
    demand(wanted > 0, || "the node is full already".to_owned())?;
    let container = json!({"name": "c", "image": "localhost/p861-portal:1", "imagePullPolicy": "Never", "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1; done"],
        "resources": {"requests": {"cpu": format!("{wanted}m")}}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FILLER, "namespace": "default"},
        "spec": {"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 2, "containers": [container]}});
    stage.apply(site, FILLER, &pod.to_string())?;
    site.wait("the pod that fills the node runs", START, &["--namespace", "default", "pod", FILLER], |seen| {
        if seen["status"]["phase"] == "Running" { Ok(()) } else { Err(seen["status"].to_string()) }
    })
}

fn empty(site: &Site) -> Result<()> {
    site.kubectl(&["delete", "pod", "--namespace", "default", FILLER, "--ignore-not-found", "--timeout=60s"]).map(drop)
}

/// What `p861 backup now` prints line by line while its movers wait for a node, and how it ends once there is room.
fn told_and_ended(stage: &Stage, child: &mut Child) -> Result<()> {
    const WORDS: [&str; 2] = ["no node takes its mover: 0/1 nodes are available", "Insufficient cpu"];
    let typed = Instant::now();
    let lines = lines_of(child)?;
    let mut printed = Vec::new();
    loop {
        let Ok(line) = lines.recv_timeout(TOLD.saturating_sub(typed.elapsed())) else {
            let status = newest(stage, "portal").map(|backup| backup["status"].clone()).unwrap_or_default();
            return Err(BedError::Refused(format!("p861 doesn't print {WORDS:?} within {TOLD:?}, but {printed:#?}; the backup: {status}")));
        };
        let told = WORDS.iter().all(|words| line.contains(words));
        printed.push(line);
        if told {
            break;
        }
    }
    let steps = newest(stage, "portal")?["status"]["currentSteps"].to_string();
    demand(WORDS.iter().all(|words| steps.contains(words)), || format!("the status doesn't say {WORDS:?}: {steps}"))?;
    empty(stage.primary()?)?;
    let ended = until("p861 has seen the backup to its end", BACKUP, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    })?;
    printed.extend(lines.iter());
    let backup = newest(stage, "portal")?;
    demand(ended.code() == Some(0) && backup["status"]["phase"] == "Succeeded", || format!("p861 ended with {ended} after {printed:#?}: {}", backup["status"]))
}

/// The lines that a command prints, as it prints them.
fn lines_of(child: &mut Child) -> Result<mpsc::Receiver<String>> {
    let out = child.stdout.take().ok_or_else(|| BedError::Refused("p861 has no output".to_owned()))?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(out).lines().map_while(std::result::Result::ok).try_for_each(|line| sender.send(line)));
    Ok(lines)
}
