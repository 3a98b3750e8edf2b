//! Sealing a backup: what the steps before must have proved, and the snapshot that follows from it.

use super::{lease::LeaseGuard, lists::names_in, work::WorkError};
use crate::run_objects::RunObjects;
use jiff::Timestamp;
use p861_core::{
    engine::{Evidence, SavedKind, SavedPart, StepId, StoredObject},
    ids::SnapshotId,
    objects::LeaveReason,
    protection::readable::is_unused,
    runs::SealFacts,
};
use p861_crds::{
    Reason,
    protection::backup::{LeftOut, MissingClaim},
};
use p861_vault::{Repository, RepositoryAccess, SealSpec, VaultError};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Marks a sealed snapshot that lacks something its backup should have. Also whoever has nothing but the repository then takes it only for what it is.
pub const PARTIAL_TAG: &str = "p861-partial";
/// Marks a sealed snapshot of an application in which a restore had ended half way.
pub const HALF_RESTORED_TAG: &str = "p861-half-restored";

/// Where the inventory names the workloads that had not all of their pods ready.
const NOT_READY: &str = "notReady";

/// The workloads that an inventory says were not ready. One of an earlier release says it of none.
pub fn not_ready_in(inventory: Option<&Value>) -> Vec<String> {
    let named = inventory.and_then(|inventory| inventory.get(NOT_READY)?.as_array());
    named.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The snapshot that the step before has sealed.
pub fn sealed_snapshot(inputs: &BTreeMap<String, Evidence>) -> Result<SnapshotId, WorkError> {
    let sealed = inputs.values().find_map(|input| match input {
        Evidence::Sealed { snapshot, .. } => Some(snapshot.clone()),
        _ => None,
    });
    sealed.ok_or_else(|| unproven(inputs, "no earlier step has sealed a snapshot"))
}

/// A task lacks what an earlier step must prove.
fn unproven(inputs: &BTreeMap<String, Evidence>, what: &str) -> WorkError {
    let unknown = inputs.iter().find_map(|(step, input)| Some(format!("; evidence of step {step} can't be read: {}", input.unknown()?)));
    WorkError::stated(Reason::EvidenceUnreadable, format!("{what}{}", unknown.unwrap_or_default()), true)
}

/// The parts of a backup, by the step that saved each.
pub struct PartsToSeal {
    parts: BTreeMap<String, SavedPart>,
    objects: u64,
    kinds: Vec<SavedKind>,
    left_out: Vec<LeftOut>,
    /// Where the names of all that was left out are stored.
    names: Vec<StoredObject>,
    /// Claims that have no part: nothing could read them.
    missing: Vec<MissingClaim>,
    /// Workloads that had not all of their pods ready.
    not_ready: Vec<String>,
}

impl PartsToSeal {
    /// Names everything that was left out. Until then only the first names of each reason are known, as the evidence has them.
    ///
    /// # Errors
    /// If the names can't be read: a snapshot whose inventory lacks them is not sealed.
    pub async fn with_names(mut self, objects: &RunObjects) -> Result<Self, WorkError> {
        let mut names = names_in(objects, &self.names).await?;
        for left in &mut self.left_out {
            left.names = names.remove(&left.reason).unwrap_or_else(|| std::mem::take(&mut left.names));
        }
        Ok(self)
    }

    /// Whether it lacks something that the backup should have: a claim, or a cluster-scoped object that the Application names.
    fn is_partial(&self) -> bool {
        self.missing.iter().any(|missing| !is_unused(missing)) || self.left_out.iter().any(|left| left.reason == LeaveReason::Missing.as_str())
    }

    /// How many of what was left out have no name in the inventory.
    fn unnamed(&self) -> i64 {
        self.left_out.iter().map(|left| left.count.saturating_sub(i64::try_from(left.names.len()).unwrap_or(i64::MAX)).max(0)).sum()
    }
}

/// Takes the parts to seal from the evidence of the steps before. Each part must be proven: the recovery point is the beginning of the first. Only a volume may be
/// missing, if it is known why: the others are worth more than none.
pub fn parts_to_seal(facts: &SealFacts, inputs: &BTreeMap<String, Evidence>) -> Result<PartsToSeal, WorkError> {
    let parts: BTreeMap<String, SavedPart> = inputs.iter().filter_map(|(step, input)| Some((step.clone(), input.saved_part()?.clone()))).collect();
    let why_not = |step: &StepId| match inputs.get(step.as_str()) {
        Some(Evidence::NotDone { reason, message }) => Some((reason.clone(), message.clone())),
        _ => None,
    };
    let is_saved = |part: &String| parts.values().any(|saved| saved.part == *part);
    if let Some(unknown) = facts.parts.iter().find(|part| !is_saved(part) && facts.why_not_saved(part, why_not).is_none()) {
        return Err(unproven(inputs, &format!("no step proves that part {unknown} was saved")));
    }
    let unread = facts.parts.iter().filter(|part| !is_saved(part)).filter_map(|part| facts.why_not_saved(part, why_not));
    let missing = facts.missing.iter().cloned().chain(unread).collect();
    let mut sealed = PartsToSeal { parts, objects: 0, kinds: Vec::new(), left_out: Vec::new(), names: Vec::new(), missing, not_ready: Vec::new() };
    for input in inputs.values() {
        if let Evidence::ObjectsSaved { objects, kinds, left_out, left_out_names, not_ready, .. } = input {
            sealed.objects += objects;
            sealed.kinds.extend_from_slice(kinds);
            sealed.left_out.extend_from_slice(left_out);
            sealed.names.extend_from_slice(left_out_names);
            sealed.not_ready.extend_from_slice(not_ready);
        }
    }
    Ok(sealed)
}

/// The recovery point is the time at which reading of the first part began: everything written before is in the backup.
pub fn seal(access: &RepositoryAccess, run: &str, facts: &SealFacts, saved: &PartsToSeal, lease: &LeaseGuard) -> Result<Evidence, VaultError> {
    let PartsToSeal { parts, objects, kinds, left_out, names: _, missing, not_ready } = saved;
    let time = parts.values().map(|part| part.started_at).min().unwrap_or_else(Timestamp::now);
    let inventory = json!({
        "formatVersion": 1, "application": facts.application, "district": facts.district, "backup": facts.backup, "site": facts.site, "run": run,
        "namespaces": facts.namespaces, "recoveryPointTime": time.to_string(), "consistency": if facts.consistent { "Application" } else { "Crash" },
        "objects": objects, "kinds": kinds, "leftOut": left_out, "leftOutUnnamed": saved.unnamed(), "missingClaims": missing, (NOT_READY): not_ready, "halfRestoredBy": facts.half_restored, "parts": parts, "operatorVersion": env!("CARGO_PKG_VERSION"),
    });
    let spec = SealSpec {
        run: run.into(),
        host: facts.site.to_string(),
        time,
        tags: [format!("district={}", facts.district), format!("application={}", facts.application), format!("backup={}", facts.backup)]
            .into_iter()
            .chain(saved.is_partial().then(|| PARTIAL_TAG.to_owned()))
            .chain(facts.half_restored.as_ref().map(|_| HALF_RESTORED_TAG.to_owned()))
            .collect(),
        parts: facts.parts.iter().filter(|part| parts.values().any(|saved| saved.part == **part)).cloned().collect(),
        inventory,
        label: facts.application.clone(),
    };
    let sealed = Repository::open(access)?.seal(&spec, &|| lease.ensure())?;
    let added = parts.values().map(|part| part.added).sum::<u64>() + sealed.added;
    Ok(Evidence::Sealed { snapshot: sealed.snapshot.into(), files: sealed.files, bytes: sealed.bytes, added, objects: *objects, recovery_point_time: time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movers::{MoverAnswer, lists::stored_names};
    use p861_core::objects::LeftOutTally;
    use p861_vault::{AsyncStore, Location};

    fn facts(parts: &[&str]) -> SealFacts {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        let text = |text: &str| text.to_owned();
        SealFacts {
            backup: text("b"),
            application: text("a"),
            district: text("d"),
            site: "s".into(),
            namespaces: vec![text("n")],
            parts,
            missing: Vec::new(),
            half_restored: None,
            consistent: false,
        }
    }

    fn saved(part: &str) -> SavedPart {
        SavedPart { part: part.into(), files: 1, bytes: 1, added: 1, started_at: Timestamp::UNIX_EPOCH, sha256: None, warnings: Vec::new(), warned: 0 }
    }

    #[test]
    fn a_part_that_no_evidence_proves_is_not_sealed() {
        let kind = SavedKind { namespace: "n".into(), group: String::new(), kind: "Secret".into(), version: "v1".into(), count: 3 };
        let excluded = LeftOut { reason: "Excluded".into(), count: 1, names: vec!["Secret n/a".into()] };
        let inputs = BTreeMap::from([
            (
                "save/a/objects".to_owned(),
                Evidence::ObjectsSaved {
                    part: saved("objects"),
                    objects: 3,
                    resources: 1,
                    kinds: vec![kind.clone()],
                    left_out: vec![excluded.clone()],
                    left_out_names: Vec::new(),
                    not_ready: vec!["n/Deployment/old".into()],
                },
            ),
            ("save/a/volume/v".to_owned(), Evidence::VolumeSaved(saved("volumes/v"))),
            ("resume/a".to_owned(), Evidence::CommandRun { workload: "Deployment/a".into(), output: String::new() }),
        ]);
        let all = parts_to_seal(&facts(&["objects", "volumes/v"]), &inputs).unwrap();
        assert_eq!((all.objects, all.parts.keys().map(String::as_str).collect::<Vec<_>>()), (3, vec!["save/a/objects", "save/a/volume/v"]));
        assert_eq!((all.kinds, all.left_out), (vec![kind], vec![excluded]), "the inventory names the kinds and what was left out");
        assert_eq!(all.not_ready, ["n/Deployment/old"], "fault_i5: and what did not run");
        let unknown = BTreeMap::from([("save/a/volume/w".to_owned(), Evidence::Unknown(json!({"v": 9, "kind": "volumeSaved"})))]);
        for (inputs, said) in [
            (inputs.clone(), "no step proves that part volumes/w was saved"),
            (inputs.into_iter().chain(unknown).collect(), r#"evidence of step save/a/volume/w can't be read: kind "volumeSaved", version 9"#),
        ] {
            let refused = parts_to_seal(&facts(&["objects", "volumes/w"]), &inputs).map(drop).unwrap_err();
            assert!(refused.to_string().contains(said), "{refused}");
            assert!(matches!(refused.answer(), MoverAnswer::Failed { permanent: true, .. }));
        }
    }
    #[test]
    fn fault_d5_a_volume_that_could_not_be_read_is_named_and_the_rest_is_sealed() {
        let fails = |reason: Reason, message: &str| Evidence::NotDone { reason, message: message.into() };
        let objects = |left_out: &[LeftOut]| Evidence::ObjectsSaved {
            part: saved("objects"),
            objects: 3,
            resources: 1,
            kinds: Vec::new(),
            left_out: left_out.to_vec(),
            left_out_names: Vec::new(),
            not_ready: Vec::new(),
        };
        let missing = |claim: &str, reason: &str, message: &str| MissingClaim { claim: claim.into(), reason: reason.into(), message: message.into() };
        let facts = SealFacts { missing: vec![missing("n/disk", "ClaimNotReadable", "is a block device")], ..facts(&["objects", "volumes/v", "volumes/m.w"]) };
        let with = |step: &str, evidence: Evidence| {
            let inputs = [
                ("save/a/objects", objects(&[])),
                ("save/a/volume/v", Evidence::VolumeSaved(saved("volumes/v"))),
                ("save/a/volume/m.w", fails(Reason::MoverUnschedulable, "no node takes its mover")),
            ];
            let inputs = inputs.into_iter().map(|(step, evidence)| (step.to_owned(), evidence)).chain([(step.to_owned(), evidence)]);
            parts_to_seal(&facts, &inputs.collect())
        };
        let all = with("resume/a", Evidence::CommandRun { workload: "Deployment/a".into(), output: String::new() }).unwrap();
        let named = [missing("n/disk", "ClaimNotReadable", "is a block device"), missing("m/w", "MoverUnschedulable", "no node takes its mover")];
        assert_eq!((all.missing.as_slice(), all.is_partial()), (&named[..], true));
        assert_eq!(all.parts.values().map(|saved| saved.part.as_str()).collect::<Vec<_>>(), ["objects", "volumes/v"]);
        let objects_failed = with("save/a/objects", fails(Reason::ReadErrors, "x")).map(drop).unwrap_err();
        assert!(objects_failed.to_string().contains("no step proves that part objects was saved"), "only a volume may be missing: {objects_failed}");
        let unused = SealFacts { missing: vec![missing("n/new", "ClaimUnused", "it had no volume")], parts: vec!["objects".into()], ..facts.clone() };
        let sealed = parts_to_seal(&unused, &BTreeMap::from([("save/a/objects".to_owned(), objects(&[]))])).unwrap();
        assert_eq!((sealed.missing.len(), sealed.is_partial()), (1, false), "it had no files");
        let absent = LeftOut { reason: "Missing".into(), count: 1, names: vec!["PriorityClass gone".into()] };
        for (left_out, is_partial) in [(vec![], false), (vec![absent], true)] {
            let whole = SealFacts { missing: Vec::new(), parts: vec!["objects".into()], ..facts.clone() };
            let sealed = parts_to_seal(&whole, &BTreeMap::from([("save/a/objects".to_owned(), objects(&left_out))])).unwrap();
            assert_eq!(sealed.is_partial(), is_partial);
        }
    }

    #[tokio::test]
    async fn fault_a_the_inventory_names_everything_that_was_left_out_and_counts_what_it_does_not_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = AsyncStore::new(&Location::Folder { path: folder.path().to_owned() }, None).await.unwrap();
        let objects = RunObjects::new(store, "u");
        let mut tally = LeftOutTally::default();
        for number in 0..25 {
            tally.note(LeaveReason::BeingDeleted, format!("Secret n/{number:02}"));
        }
        let left_out_names = stored_names(&objects, &tally.named()).await.unwrap();
        let saved = |left_out_names: Vec<StoredObject>| {
            let evidence = Evidence::ObjectsSaved {
                part: saved("objects"),
                objects: 3,
                resources: 1,
                kinds: Vec::new(),
                left_out: tally.listed(),
                left_out_names,
                not_ready: Vec::new(),
            };
            parts_to_seal(&facts(&["objects"]), &BTreeMap::from([("save/a/objects".to_owned(), evidence)])).unwrap()
        };
        let first = saved(left_out_names.clone());
        assert_eq!((first.left_out[0].names.len(), first.unnamed()), (10, 15), "the journal has the first ones");
        let all = first.with_names(&objects).await.unwrap();
        assert_eq!((all.left_out.clone(), all.unnamed()), (tally.named(), 0));
        // A release before this one stored no names.
        let old = saved(Vec::new()).with_names(&objects).await.unwrap();
        assert_eq!((old.left_out.clone(), old.unnamed()), (tally.listed(), 15));
        objects.remove_all().await.unwrap();
        assert!(saved(left_out_names).with_names(&objects).await.is_err(), "a snapshot without its names is not sealed");
    }
}
