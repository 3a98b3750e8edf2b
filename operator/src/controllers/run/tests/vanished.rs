//! Runs whose objects are taken from the hub, without their finalizers' leave.

use super::*;
use crate::controllers::vanished::clean_up_after;
use p861_crds::Backup;

#[tokio::test]
async fn fault_e35_a_run_whose_finalizer_was_taken_away_gives_its_place_back_and_cleans_up() {
    async fn vanishes<K: RunKind + From<Context>>(kind: &Kind) {
        let bed = Bed::new();
        let context = bed.process();
        let going = Going::<K>::default();
        bed.begin(&context, kind).await;
        let mut run = bed.hub.get(kind.plural, "run").expect("the run");
        let seen: Arc<K::Object> = Arc::new(serde_json::from_value(run.clone()).expect("an object"));
        going.note(&seen);
        let uid = seen.uid().expect("a UID");
        going.sweep(&context, &|| [uid.clone()].into());
        // kubectl patch --type=merge -p '{"metadata":{"finalizers":null}}', and kubectl delete.
        run["metadata"]["finalizers"] = Value::Null;
        bed.hub.put(kind.plural, &run);
        bed.hub.delete(kind.plural, "run");
        assert!(bed.hub.get(kind.plural, "run").is_none() && !bed.hub.of("jobs").is_empty(), "{}: it was taken away", kind.name);
        going.sweep(&context, &HashSet::new);
        for _ in 0..MOST_PASSES {
            if bed.hub.of("jobs").is_empty() && !bed.hub.of("configmaps").iter().any(|map| map.to_string().contains(CLEANUP_FINALIZER)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bed.is_clean();
        let failed = context.runs.metrics.runs_failed.with_label_values(&["shinan", kind.name]).get();
        assert_eq!(failed, 1, "{}: an alert says so", kind.name);
        // Its application and its site are free again.
        bed.begin(&context, kind).await;
    }
    let [backup, restore, drill] = kinds();
    vanishes::<BackupRun>(&backup).await;
    vanishes::<RestoreRun>(&restore).await;
    vanishes::<DrillRun>(&drill).await;
}

#[tokio::test]
async fn fault_e35_a_run_that_ended_or_had_not_begun_before_its_object_went_is_no_failure() {
    let (bed, [kind, ..]) = (Bed::new(), kinds());
    let context = bed.process();
    let mut waiting: Backup = serde_json::from_value(ours("Backup", "waits", "shinan", (kind.spec)())).expect("a backup");
    waiting.metadata.uid = Some("uid-of-one-that-waits".into());
    Box::pin(clean_up_after::<BackupRun>(&context, &waiting)).await;
    bed.begin(&context, &kind).await;
    let seen: Backup = serde_json::from_value(bed.hub.get("backups", "run").expect("the run")).expect("a backup");
    bed.abort(&kind);
    bed.ends_clean(&context, &kind).await;
    Box::pin(clean_up_after::<BackupRun>(&context, &seen)).await;
    assert_eq!(context.runs.metrics.runs_failed.with_label_values(&["shinan", "Backup"]).get(), 0);
}
