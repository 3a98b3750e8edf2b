//! Backups: what is in them, and that anyone can read them.

use p861_testbed::bed::{BedError, Result};
use p861_tests::faults::{Bucket, journal, kill_mover};
use p861_tests::look::condition_of;
use p861_tests::restic::{compare_portal, restic};
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

pub const SCENES: &[Scene] = &[
    ("a backup holds what was in the pods, and stock restic lists, checks and restores it", stock_restic_reads_it),
    ("a mover that is killed is started again, and the backup ends well", a_killed_mover_is_started_again),
    ("a backup whose object is deleted while it runs ends, and leaves nothing beside the data or in the repository", a_deleted_backup_leaves_nothing),
    ("kubectl waits for a backup, and selects backups by application", kubectl_waits),
    ("a policy has an application backed up with nobody asking, no faster than the line allows", a_policy_takes_backups),
];

/// How long one backup may take on a busy machine.
pub const BACKUP: Duration = Duration::from_mins(4);

/// Takes a backup by the command line and gives the object.
pub fn backup_now(stage: &Stage, application: &str) -> Result<Value> {
    stage.say_expecting(0, &["backup", "now", application])?;
    newest(stage, application)
}

/// Takes a backup of each of the plan's applications that has none so young.
pub fn backed_up_within(stage: &Stage, age: Duration) -> Result<()> {
    for application in ["approval", "portal"] {
        let status = newest(stage, application).map(|backup| backup["status"].clone()).unwrap_or_default();
        let point = status["recoveryPointTime"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let young = point.is_some_and(|point| jiff::Timestamp::now().duration_since(point).unsigned_abs() < age);
        if status["phase"] != "Succeeded" || !young {
            backup_now(stage, application)?;
        }
    }
    Ok(())
}

/// The application's newest backup.
pub fn newest(stage: &Stage, application: &str) -> Result<Value> {
    let list = stage.json(&["backup", "list", application, "--all"])?;
    let items = list["items"].as_array().into_iter().flatten();
    let newest = items.max_by_key(|backup| backup["status"]["startTime"].as_str().unwrap_or_default().to_owned());
    newest.cloned().ok_or_else(|| BedError::Refused(format!("{application} has no backup: {list}")))
}

/// The name of an object.
pub fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn stock_restic_reads_it(stage: &Stage) -> Result<()> {
    let portal = backup_now(stage, "portal")?;
    let approval = backup_now(stage, "approval")?;
    let snapshot = |backup: &Value| backup["status"]["snapshotID"].as_str().unwrap_or_default().to_owned();
    let listed = restic(stage, &["snapshots", "--json"])?;
    for backup in [&portal, &approval] {
        demand(!snapshot(backup).is_empty() && listed.contains(&snapshot(backup)), || format!("restic does not list {}: {listed}", snapshot(backup)))?;
        demand(backup["status"]["verification"]["level"] == "Stored", || format!("{} is not verified: {}", name(backup), backup["status"]))?;
    }
    restic(stage, &["check", "--read-data"])?;
    let folder = stage.folder().join("by-restic");
    let compared = compare_portal(stage, &snapshot(&portal), &folder)?;
    demand(compared > 20, || format!("only {compared} files were compared"))?;

    // The dump that restic gives back makes a database that is whole: pgbench's own sums agree, whatever moment it is of.
    let claim = stage.primary()?.get(&["persistentvolumeclaim", "--namespace", "shinan-approval", "data-postgres-0"])?;
    let place = volume_folder(stage, stage.primary()?, claim["spec"]["volumeName"].as_str().unwrap_or_default())?;
    let path = stage.folder().join("approval.dump");
    restic(stage, &["restore", &snapshot(&approval), "--include", "/streams", "--target", &stage.folder().join("dump").to_string_lossy()])?;
    std::fs::copy(stage.folder().join("dump/streams/approval-db"), &path).map_err(|source| BedError::Io { path: path.clone(), source })?;
    let inside = place.join("p861-restored.dump");
    std::fs::copy(&path, &inside)
        .and_then(|_| std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o644)))
        .map_err(|source| BedError::Io { path: inside.clone(), source })?;
    let script = "set -e; f=$(find /var/lib/postgresql/data -name p861-restored.dump); dropdb --username=approval --if-exists looked; createdb --username=approval looked; \
        pg_restore --username=approval --dbname=looked --exit-on-error $f; rm $f; \
        psql --username=approval --dbname=looked --tuples-only --no-align --command \
        'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history) and (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches), (select count(*) from cases)'";
    let answer =
        stage.primary()?.kubectl(&["exec", "--namespace", "shinan-approval", "statefulset/postgres", "--container", "postgres", "--", "sh", "-c", script])?;
    stage.primary()?.kubectl(&[
        "exec",
        "--namespace",
        "shinan-approval",
        "statefulset/postgres",
        "--container",
        "postgres",
        "--",
        "dropdb",
        "--username=approval",
        "looked",
    ])?;
    let cases = answer.trim().strip_prefix("t|").and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
    demand(cases >= 500, || format!("the restored database says {answer:?}: balanced and 500 cases or more were expected"))
}

/// The folder on this machine behind a volume of a site.
pub fn volume_folder(_stage: &Stage, site: &p861_testbed::bed::Site, volume: &str) -> Result<std::path::PathBuf> {
    let volume = site.get(&["persistentvolume", volume])?;
    let path = volume["spec"]["hostPath"]["path"].as_str().or(volume["spec"]["local"]["path"].as_str());
    let path = path.ok_or_else(|| BedError::Refused(format!("the volume has no folder: {}", volume["spec"])))?;
    Ok(path.into())
}

fn a_killed_mover_is_started_again(stage: &Stage) -> Result<()> {
    stage.create("Backup", "mover-killed", json!({"applicationRef": {"name": "portal"}, "reason": "a test"}))?;
    kill_mover(stage.primary()?, "shinan-portal", "save/portal/volume/site-files", BACKUP)?;
    // What opens the repository is in no object beside the data, also while movers run.
    let secrets = stage.primary()?.get(&["secrets", "--namespace", "shinan-portal"])?;
    let of_run = secrets["items"].as_array().into_iter().flatten().find(|secret| !secret["metadata"]["labels"]["platform861.io/run"].is_null());
    demand(of_run.is_none(), || format!("a Secret of the run: {:?}", of_run.map(|secret| &secret["metadata"])))?;
    let backup = stage.wait_end(BACKUP, "backup", "mover-killed")?;
    demand(backup["status"]["phase"] == "Succeeded", || format!("it ended {}", backup["status"]))?;
    let records = journal(stage, "backup", "mover-killed")?;
    let of_volume: Vec<&Value> = records.iter().filter(|record| record["step"] == "save/portal/volume/site-files").collect();
    let lost = of_volume.iter().any(|record| record["event"]["type"] == "Failed" && record["event"]["reason"] == "MoverLost" && record["attempt"] == 1);
    let done = of_volume.iter().any(|record| record["event"]["type"] == "Done" && record["attempt"] == 2);
    demand(lost && done, || format!("the journal of the step: {of_volume:?}"))?;
    nothing_of_movers(stage, "shinan-portal")
}

/// After a run nothing of its movers stands beside the data: no Job, no account, no rights.
pub fn nothing_of_movers(stage: &Stage, namespace: &str) -> Result<()> {
    let left = stage.primary()?.get(&["jobs,secrets,serviceaccounts,rolebindings", "--namespace", namespace, "--selector", "platform861.io/role=mover"])?;
    let left: Vec<String> = left["items"].as_array().into_iter().flatten().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect();
    demand(left.is_empty(), || format!("left in {namespace}: {left:?}"))
}

fn a_deleted_backup_leaves_nothing(stage: &Stage) -> Result<()> {
    stage.create("Backup", "unwanted", json!({"applicationRef": {"name": "approval"}}))?;
    crate::drills::wait_step(stage, "backup", "unwanted", "")?;
    let uid = stage.object("backup", "unwanted")?["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    stage.delete("backup", "unwanted")?;
    nothing_of_movers(stage, "shinan-approval")?;
    let parts = restic(stage, &["snapshots", "--json", "--tag", &format!("p861-run:{uid}")])?;
    demand(matches!(parts.trim(), "" | "[]" | "null"), || format!("left in the repository: {parts}"))?;
    let of_run = format!("p861/runs/{uid}/");
    let left: Vec<String> = Bucket::of(stage)?.list("")?.into_iter().filter(|key| key.contains(&of_run)).collect();
    demand(left.is_empty(), || format!("what its movers stored is left: {left:?}"))
}

fn kubectl_waits(stage: &Stage) -> Result<()> {
    stage.create("Backup", "waited-for", json!({"applicationRef": {"name": "portal"}}))?;
    let hub = stage.standby()?;
    hub.kubectl(&["wait", "--namespace", "shinan", "pbk/waited-for", "--for=condition=Succeeded", "--timeout=110s"])?;
    let selected = hub.kubectl(&["get", "pbk", "--namespace", "shinan", "--field-selector", "spec.applicationRef.name=portal", "--output", "name"])?;
    demand(selected.contains("waited-for") && !selected.contains("approval-"), || format!("selected: {selected}"))?;
    let row = hub.kubectl(&["get", "pbk", "--namespace", "shinan", "waited-for"])?;
    demand(["APPLICATION", "PHASE", "DATA-AS-OF", "VERIFIED", "Succeeded", "Stored"].iter().all(|word| row.contains(word)), || format!("columns: {row}"))?;
    let ready = stage.object("application", "portal")?;
    let protected = condition_of(&ready, "Protected").cloned().unwrap_or_default();
    demand(protected["status"] == "True", || format!("the application is not Protected: {protected}"))
}

fn a_policy_takes_backups(stage: &Stage) -> Result<()> {
    let hub = stage.standby()?;
    let limit = json!({"uploadBytesPerSecond": "4Mi"});
    stage.create("BackupPolicy", "each-minute", json!({"repositoryRef": {"name": "shinan"}, "schedule": "* * * * *", "jitter": "0s", "limits": limit}))?;
    let policy_of_portal = |value: &Value| stage.patch("application", "portal", &json!({"spec": {"backupPolicyRef": value}}));
    policy_of_portal(&json!({"name": "each-minute"}))?;
    let taken = hub.wait("a backup by the policy", BACKUP, &["backups", "--namespace", "shinan", "--selector", "platform861.io/policy=each-minute"], |seen| {
        let backups = seen["items"].as_array().into_iter().flatten();
        backups.clone().find(|backup| backup["status"]["phase"] == "Succeeded").cloned().ok_or_else(|| format!("{:?}", backups.map(name).collect::<Vec<_>>()))
    });
    // Whatever came of it, the scenes after this one take their own.
    let week = stage.say_expecting(0, &["backup", "calendar", "portal"]);
    policy_of_portal(&Value::Null)?;
    let policy = stage.object("backuppolicy", "each-minute")?;
    stage.delete("backuppolicy", "each-minute")?;
    let taken = taken?;
    let slot = name(&taken).strip_prefix("portal-").and_then(|rest| rest.strip_suffix('z')).is_some_and(|stamp| stamp.len() == "20261124-0000".len());
    demand(slot && taken["status"]["policy"] == "each-minute", || format!("{}: {}", name(&taken), taken["status"]))?;
    demand(condition_of(&policy, "Ready").is_some_and(|ready| ready["status"] == "True"), || format!("the policy: {}", policy["status"]))?;
    let week = week?;
    demand(week.out.contains("each-minute"), || format!("the calendar: {}", week.out))
}
