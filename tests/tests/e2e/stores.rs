//! Bad days of the bucket: wrong keys, silence, a thin line, a file that is gone or not what it was.

use crate::backups::{BACKUP, backup_now, name, newest, volume_folder};
use crate::drills::{DRILL, ended_clean, nothing_left, start_drill, wait_step};
use p861_testbed::bed::{BedError, Result};
use p861_tests::faults::{Bucket, journal, throttle};
use p861_tests::look::condition_of;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const SCENES: &[Scene] = &[
    ("a wrong key of the bucket is told with its repository, and mending it is enough", a_wrong_key_is_told),
    ("a wrong password of the repository is told, and mending it is enough", a_wrong_password_is_told),
    ("a backup outlives twenty seconds without S3", a_backup_outlives_s3),
    ("a backup over a thin line takes longer, and ends well", a_thin_line),
    ("a file of the repository that is gone is found by the backup that needs it", a_missing_file_is_found),
];

/// Those of `make soak`.
pub const SOAK: &[Scene] = &[
    ("a drill outlives twenty seconds without S3", a_drill_outlives_s3),
    ("a file of the repository that was changed fails the drill by name, and the newest sound backup is used next", a_changed_file_is_named),
];

/// How long the operator may take to look at a repository again.
const LOOK: Duration = Duration::from_secs(150);

/// Waits until a condition of the repository has this reason, and gives it.
fn repository_says(stage: &Stage, condition: &str, reason: &str) -> Result<Value> {
    stage.wait(&format!("the repository's {condition} says {reason}"), LOOK, "backuprepository", "shinan", |seen| match condition_of(seen, condition) {
        Some(found) if found["reason"] == reason => Ok(found.clone()),
        found => Err(format!("{found:?}")),
    })
}

/// Makes the operator look at the repository now.
fn poke(stage: &Stage, word: &str) -> Result<()> {
    stage.patch("backuprepository", "shinan", &json!({"metadata": {"annotations": {"tests/poke": word}}}))
}

/// Changes one value of a Secret, does something, and puts the value back whatever came of it.
fn with_secret(stage: &Stage, secret: &str, key: &str, value: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let right = stage.object("secret", secret)?["data"][key].clone();
    stage.patch("secret", secret, &json!({"stringData": {key: value}}))?;
    poke(stage, "wrong")?;
    let outcome = act();
    stage.patch("secret", secret, &json!({"data": {key: right}}))?;
    poke(stage, "right")?;
    outcome?;
    repository_says(stage, "Ready", "Opened").map(drop)
}

fn a_wrong_key_is_told(stage: &Stage) -> Result<()> {
    with_secret(stage, "repository-s3", "secretAccessKey", "this-is-not-the-key", || {
        let said = repository_says(stage, "Ready", "AccessDenied")?;
        let message = said["message"].as_str().unwrap_or_default();
        demand(message.contains("p861-shinan") && !message.contains("this-is-not-the-key"), || format!("the message names no bucket, or a key: {message}"))?;
        let said = stage.say(&["backup", "now", "portal"])?;
        demand(said.code == 4 && said.all().contains("access denied") && said.all().contains("credentials Secret"), || {
            format!("a backup without access: {}", said.all())
        })?;
        failed_for(stage, "AccessDenied")?;
        demand(!said.all().contains("this-is-not-the-key"), || "the key was printed".to_owned())
    })
}

fn a_wrong_password_is_told(stage: &Stage) -> Result<()> {
    with_secret(stage, "repository-key", "password", "this-is-not-the-password", || {
        let said = repository_says(stage, "Ready", "KeyWrong")?;
        let message = said["message"].as_str().unwrap_or_default();
        demand(message.contains("p861-shinan") && !message.contains("this-is-not-the-password"), || format!("the message: {message}"))?;
        let said = stage.say(&["backup", "now", "portal"])?;
        demand(said.code == 4 && said.all().contains("spec.encryption.keySecretRef"), || format!("a backup without the password: {}", said.all()))?;
        failed_for(stage, "KeyWrong")
    })
}

/// The portal's newest backup has failed for this reason.
fn failed_for(stage: &Stage, reason: &str) -> Result<()> {
    let backup = newest(stage, "portal")?;
    let succeeded = condition_of(&backup, "Succeeded").cloned().unwrap_or_default();
    demand(succeeded["status"] == "False" && succeeded["reason"] == reason, || format!("the backup failed otherwise than for {reason}: {succeeded}"))
}

/// Kills S3, waits, and starts it again.
fn outage(stage: &Stage) -> Result<()> {
    stage.bed.services.s3_process().kill()?;
    std::thread::sleep(Duration::from_secs(20));
    stage.bed.services.restart_s3()
}

fn a_backup_outlives_s3(stage: &Stage) -> Result<()> {
    stage.create("Backup", "without-s3", json!({"applicationRef": {"name": "approval"}}))?;
    let step = wait_step(stage, "backup", "without-s3", "");
    outage(stage)?;
    step?;
    let backup = stage.wait_end(BACKUP, "backup", "without-s3")?;
    demand(backup["status"]["phase"] == "Succeeded" && backup["status"]["verification"]["level"] == "Stored", || format!("it ended {}", backup["status"]))
}

fn a_drill_outlives_s3(stage: &Stage) -> Result<()> {
    start_drill(stage, "without-s3", json!({}))?;
    let step = wait_step(stage, "drill", "without-s3", "restore/");
    outage(stage)?;
    step?;
    let drill = ended_clean(stage, "without-s3", "Succeeded")?;
    demand(drill["status"]["result"] == "Passed", || format!("its result: {}", drill["status"]))
}

/// The folder of the portal's files on this machine.
fn portal_folder(stage: &Stage) -> Result<PathBuf> {
    let claim = stage.primary()?.get(&["persistentvolumeclaim", "--namespace", "shinan-portal", "site-files"])?;
    volume_folder(stage, stage.primary()?, claim["spec"]["volumeName"].as_str().unwrap_or_default())
}

/// Puts a file of random bytes among the portal's, so that the next backup has something to store.
fn random_file(stage: &Stage, name: &str, mebibytes: u64) -> Result<PathBuf> {
    let path = portal_folder(stage)?.join(name);
    let io = |source| BedError::Io { path: path.clone(), source };
    let mut random = std::io::Read::take(std::fs::File::open("/dev/urandom").map_err(io)?, mebibytes << 20);
    let mut file = std::fs::File::create(&path).map_err(io)?;
    std::io::copy(&mut random, &mut file).map_err(io)?;
    Ok(path)
}

fn a_thin_line(stage: &Stage) -> Result<()> {
    let file = random_file(stage, "p861-thin", 6)?;
    throttle(stage, stage.primary()?, Some("4mbit"))?;
    let since = Instant::now();
    let said = stage.say(&["backup", "now", "portal"]);
    let took = since.elapsed();
    throttle(stage, stage.primary()?, None)?;
    std::fs::remove_file(&file).map_err(|source| BedError::Io { path: file.clone(), source })?;
    let said = said?;
    demand(said.code == 0, || format!("over a thin line: {}", said.all()))?;
    // Six mebibytes at four megabits a second: quicker would mean that the line was not thin.
    demand(took > Duration::from_secs(11), || format!("the backup took only {took:?}"))
}

/// A backup of the portal with data of its own, and the packs that only it needs.
fn backup_of_its_own(stage: &Stage, file: &str) -> Result<(String, Vec<String>)> {
    let bucket = Bucket::of(stage)?;
    let before: BTreeSet<String> = bucket.list("data/")?.into_iter().collect();
    let path = random_file(stage, file, 2)?;
    let taken = backup_now(stage, "portal");
    std::fs::remove_file(&path).map_err(|source| BedError::Io { path: path.clone(), source })?;
    let name = name(&taken?);
    let new: Vec<String> = bucket.list("data/")?.into_iter().filter(|key| !before.contains(key)).collect();
    // The one with the file's bytes is by far the largest.
    let mut sized: Vec<(usize, String)> = new.into_iter().map(|key| Ok((bucket.get(&key)?.len(), key))).collect::<Result<_>>()?;
    sized.sort();
    sized.reverse();
    let packs: Vec<String> = sized.into_iter().filter(|(size, _)| *size > 1 << 20).map(|(_, key)| key).collect();
    if packs.is_empty() { Err(BedError::Refused("the backup made no pack of its own".to_owned())) } else { Ok((name, packs)) }
}

/// The backup is known as damaged, with the file, and what to do.
fn known_as_damaged(stage: &Stage, backup: &str, pack: &str) -> Result<()> {
    let object = stage.wait("the damage is known", LOOK, "backup", backup, |seen| match condition_of(seen, "Verified") {
        Some(found) if found["reason"] == "Damaged" => Ok(seen.clone()),
        _ => Err(seen["status"].to_string()),
    })?;
    let verified = condition_of(&object, "Verified").cloned().unwrap_or_default();
    let message = verified["message"].as_str().unwrap_or_default().to_owned();
    demand(verified["status"] == "False" && message.contains(pack) && message.contains("backup list"), || {
        format!("the condition names neither the file {pack} nor what to do: {verified}")
    })?;
    poke(stage, backup)?;
    // Another backup may have been known as damaged before this one.
    let checked =
        stage.wait("the repository's condition names the backup", LOOK, "backuprepository", "shinan", |seen| match condition_of(seen, "Checked") {
            Some(found) if found["reason"] == "Damaged" && found["message"].as_str().is_some_and(|said| said.contains(backup)) => Ok(found.clone()),
            other => Err(format!("{other:?}")),
        })?;
    let message = checked["message"].as_str().unwrap_or_default();
    demand(message.contains("repository shinan") && message.contains(backup) && message.contains(pack), || format!("the repository's condition: {checked}"))
}

/// The backup of the portal that a drill used.
fn used_for_portal(drill: &Value) -> String {
    let portal = drill["status"]["applications"].as_array().into_iter().flatten().find(|application| application["name"] == "portal");
    portal.and_then(|portal| portal["backup"].as_str()).unwrap_or_default().to_owned()
}

fn a_changed_file_is_named(stage: &Stage) -> Result<()> {
    // The drills are of a plan with both applications.
    backup_now(stage, "approval")?;
    let sound = name(&backup_now(stage, "portal")?);
    let (damaged, packs) = backup_of_its_own(stage, "p861-changed")?;
    let bucket = Bucket::of(stage)?;
    let right = bucket.get(&packs[0])?;
    let mut wrong = right.clone();
    let middle = wrong.len() / 2;
    wrong[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
    bucket.put(&packs[0], wrong)?;
    start_drill(stage, "changed", json!({}))?;
    // The failed step asks a person, as the plan says; who reads the question sees that there is nothing to try again.
    let asked = stage.wait("the drill asks what to do", DRILL, "drill", "changed", |seen| {
        let steps = seen["status"]["currentSteps"].as_array().into_iter().flatten();
        let asking =
            steps.filter(|step| step["message"].as_str().is_some_and(|message| message.contains("damaged"))).map(|step| step["message"].clone()).next();
        asking.ok_or_else(|| seen["status"].to_string())
    });
    stage.say_expecting(0, &["drill", "abort", "changed", "--reason", "the backup is damaged", "--no-wait"])?;
    let ended = ended_clean(stage, "changed", "Aborted");
    let known = known_as_damaged(stage, &damaged, &packs[0]);
    let asked = asked?;
    demand(asked.as_str().is_some_and(|message| message.contains(&packs[0])), || format!("the question does not name {}: {asked}", packs[0]))?;
    ended?;
    known?;
    let refused = stage.say(&["restore", "run", &damaged, "--site", "laoshan-dr", "--yes", "--backup", &damaged])?;
    demand(refused.code != 0 && refused.all().contains(&sound), || {
        format!("a restore of a damaged backup must be refused, and the newest sound one be named: {}", refused.all())
    })?;
    start_drill(stage, "after-the-change", json!({}))?;
    let drill = ended_clean(stage, "after-the-change", "Succeeded")?;
    demand(used_for_portal(&drill) == sound, || format!("{sound} is the newest sound backup, but the drill used {}", used_for_portal(&drill)))?;
    bucket.put(&packs[0], right)?;
    stage.delete("backup", &damaged)?;
    poke(stage, "mended")?;
    repository_says(stage, "Checked", "BackupsVerified").map(drop)
}

fn a_missing_file_is_found(stage: &Stage) -> Result<()> {
    let (first, packs) = backup_of_its_own(stage, "p861-missing")?;
    let bucket = Bucket::of(stage)?;
    let right = bucket.get(&packs[0])?;
    // The file is in the portal again when the next backup is taken: its data is known to the index, so it is not stored again, and is not there.
    let path = portal_folder(stage)?.join("p861-missing");
    let snapshot = stage.object("backup", &first)?["status"]["snapshotID"].as_str().unwrap_or_default().to_owned();
    let folder = stage.folder().join("missing");
    p861_tests::restic::restic(stage, &["restore", &snapshot, "--include", "/volumes/site-files/p861-missing", "--target", &folder.to_string_lossy()])?;
    let copied = std::fs::copy(folder.join("volumes/site-files/p861-missing"), &path);
    copied.map_err(|source| BedError::Io { path: path.clone(), source })?;
    bucket.delete(&packs[0])?;
    let said = stage.say(&["backup", "now", "portal"]);
    std::fs::remove_file(&path).map_err(|source| BedError::Io { path: path.clone(), source })?;
    let said = said?;
    let second = name(&newest(stage, "portal")?);
    let known = known_as_damaged(stage, &second, &packs[0]);
    // The first needs it too, and nobody has looked since: the restore that is asked for finds out, and it is known from then on.
    let asked = stage.say(&["restore", "run", &first, "--map", "shinan-portal=shinan-portal-lost", "--site", "laoshan-dr", "--yes", "--backup", &first]);
    let also_known = known_as_damaged(stage, &first, &packs[0]);
    bucket.put(&packs[0], right)?;
    stage.standby()?.kubectl(&["delete", "namespace", "shinan-portal-lost", "--ignore-not-found", "--timeout=110s"])?;
    let asked = asked?;
    demand(asked.code == 4 && asked.all().contains(&packs[0]), || format!("a restore of what is not there: {}", asked.all()))?;
    also_known?;
    demand(said.code == 4 && said.all().contains(&packs[0]), || format!("a backup that can't be restored must not end as good: {}", said.all()))?;
    known?;
    let verify = journal(stage, "backup", &second)?;
    demand(verify.iter().any(|record| record["step"] == "verify/portal" && record["event"]["reason"] == "Damaged"), || format!("the journal: {verify:?}"))?;
    stage.delete("backup", &second)?;
    stage.delete("backup", &first)?;
    nothing_left(stage)
}
