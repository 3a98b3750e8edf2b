//! Restores: what they would do is shown first, and what is there is not overwritten unasked.

use crate::backups::{backup_now, name};
use p861_testbed::bed::Result;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::json;

pub const SCENES: &[Scene] = &[("a restore is previewed, refuses to overwrite, and merges when told to", previewed_refused_merged)];

const MAP: &str = "shinan-approval=shinan-approval-look";
const LOOK: &str = "shinan-approval-look";

fn previewed_refused_merged(stage: &Stage) -> Result<()> {
    let backup = name(&backup_now(stage, "approval")?);
    let outcome = acts(stage, &backup);
    stage.standby()?.kubectl(&["delete", "namespace", LOOK, "--ignore-not-found", "--timeout=110s"])?;
    outcome
}

fn acts(stage: &Stage, backup: &str) -> Result<()> {
    let standby = stage.standby()?;
    let base = |verb: &'static str| vec!["restore", verb, backup, "--site", "laoshan-dr", "--map", MAP];
    let preview = stage.say(&base("preview"))?;
    demand(preview.code == 0 && preview.out.contains("create"), || format!("the first preview: {}", preview.all()))?;
    // Without a terminal and without the stated belief nothing is done.
    let unasked = stage.say(&base("run"))?;
    demand(unasked.code == 3 && unasked.err.contains("--yes"), || format!("without a terminal: {}", unasked.all()))?;
    let mut wrong = base("run");
    wrong.extend(["--yes", "--backup", "approval-of-another-day"]);
    let wrong = stage.say(&wrong)?;
    demand(wrong.code == 3, || format!("with a wrong belief: {}", wrong.all()))?;
    let absent = standby.get(&["namespaces"])?;
    demand(
        !absent.to_string().contains("\"shinan-approval-look\"")
            || standby.get(&["configmaps,deployments", "--namespace", LOOK])?["items"]
                .as_array()
                .is_none_or(|all| all.iter().all(|one| one["metadata"]["name"] == "kube-root-ca.crt")),
        || "a preview or a refusal has written objects".to_owned(),
    )?;

    let mut run = base("run");
    run.extend(["--yes", "--backup", backup]);
    stage.say_expecting(0, &run)?;
    let kept = standby.get(&["configmap", "--namespace", LOOK, "approval-code"])?;
    standby.kubectl(&[
        "patch",
        "configmap",
        "--namespace",
        LOOK,
        "approval-code",
        "--type=merge",
        "--patch",
        &json!({"data": {"schema.sql": "-- changed by hand"}}).to_string(),
    ])?;
    let preview = stage.say(&base("preview"))?;
    demand(preview.out.contains("approval-code") && preview.out.contains("change"), || format!("the preview does not show the change: {}", preview.all()))?;
    let refused = stage.say(&run)?;
    demand(matches!(refused.code, 3 | 4) && refused.all().contains("approval-code"), || format!("a restore that would overwrite: {}", refused.all()))?;
    let still = standby.get(&["configmap", "--namespace", LOOK, "approval-code"])?;
    demand(still["data"]["schema.sql"] == "-- changed by hand", || "a refused restore has written".to_owned())?;
    run.extend(["--conflict", "Merge"]);
    stage.say_expecting(0, &run)?;
    let merged = standby.get(&["configmap", "--namespace", LOOK, "approval-code"])?;
    demand(merged["data"] == kept["data"], || format!("after the merge: {}", merged["data"]))
}
