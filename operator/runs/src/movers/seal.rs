//! Sealing a backup: what the steps before must have proved, and the snapshot that follows from it.

use super::{lease::LeaseGuard, work::WorkError};
use jiff::Timestamp;
use p861_core::{
    engine::{Evidence, SavedKind, SavedPart},
    ids::SnapshotId,
    runs::SealFacts,
};
use p861_crds::{Reason, protection::backup::LeftOut};
use p861_vault::{Repository, RepositoryAccess, SealSpec, VaultError};
use serde_json::json;
use std::collections::BTreeMap;

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
}

/// Takes the parts to seal from the evidence of the steps before. Each part must be proven: the recovery point is the beginning of the first.
pub fn parts_to_seal(facts: &SealFacts, inputs: &BTreeMap<String, Evidence>) -> Result<PartsToSeal, WorkError> {
    let parts: BTreeMap<String, SavedPart> = inputs.iter().filter_map(|(step, input)| Some((step.clone(), input.saved_part()?.clone()))).collect();
    if let Some(missing) = facts.parts.iter().find(|part| !parts.values().any(|saved| saved.part == **part)) {
        return Err(unproven(inputs, &format!("no step proves that part {missing} was saved")));
    }
    let mut sealed = PartsToSeal { parts, objects: 0, kinds: Vec::new(), left_out: Vec::new() };
    for input in inputs.values() {
        if let Evidence::ObjectsSaved { objects, kinds, left_out, .. } = input {
            sealed.objects += objects;
            sealed.kinds.extend_from_slice(kinds);
            sealed.left_out.extend_from_slice(left_out);
        }
    }
    Ok(sealed)
}

/// The recovery point is the time at which reading of the first part began: everything written before is in the backup.
pub fn seal(access: &RepositoryAccess, run: &str, facts: &SealFacts, saved: &PartsToSeal, lease: &LeaseGuard) -> Result<Evidence, VaultError> {
    let PartsToSeal { parts, objects, kinds, left_out } = saved;
    let time = parts.values().map(|part| part.started_at).min().unwrap_or_else(Timestamp::now);
    let inventory = json!({
        "formatVersion": 1, "application": facts.application, "district": facts.district, "backup": facts.backup, "site": facts.site, "run": run,
        "namespaces": facts.namespaces, "recoveryPointTime": time.to_string(), "consistency": if facts.consistent { "Application" } else { "Crash" },
        "objects": objects, "kinds": kinds, "leftOut": left_out, "parts": parts, "operatorVersion": env!("CARGO_PKG_VERSION"),
    });
    let spec = SealSpec {
        run: run.into(),
        host: facts.site.to_string(),
        time,
        tags: vec![format!("district={}", facts.district), format!("application={}", facts.application), format!("backup={}", facts.backup)],
        parts: facts.parts.clone(),
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
    use crate::movers::MoverAnswer;

    fn facts(parts: &[&str]) -> SealFacts {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        let text = |text: &str| text.to_owned();
        SealFacts { backup: text("b"), application: text("a"), district: text("d"), site: "s".into(), namespaces: Vec::new(), parts, consistent: false }
    }

    fn saved(part: &str) -> SavedPart {
        SavedPart { part: part.into(), files: 1, bytes: 1, added: 1, started_at: Timestamp::UNIX_EPOCH, sha256: None, warnings: Vec::new() }
    }

    #[test]
    fn a_part_that_no_evidence_proves_is_not_sealed() {
        let kind = SavedKind { namespace: "n".into(), group: String::new(), kind: "Secret".into(), version: "v1".into(), count: 3 };
        let excluded = LeftOut { reason: "Excluded".into(), count: 1, names: vec!["Secret n/a".into()] };
        let inputs = BTreeMap::from([
            (
                "save/a/objects".to_owned(),
                Evidence::ObjectsSaved { part: saved("objects"), objects: 3, resources: 1, kinds: vec![kind.clone()], left_out: vec![excluded.clone()] },
            ),
            ("save/a/volume/v".to_owned(), Evidence::VolumeSaved(saved("volumes/v"))),
            ("resume/a".to_owned(), Evidence::CommandRun { workload: "Deployment/a".into(), output: String::new() }),
        ]);
        let all = parts_to_seal(&facts(&["objects", "volumes/v"]), &inputs).unwrap();
        assert_eq!((all.objects, all.parts.keys().map(String::as_str).collect::<Vec<_>>()), (3, vec!["save/a/objects", "save/a/volume/v"]));
        assert_eq!((all.kinds, all.left_out), (vec![kind], vec![excluded]), "the inventory names the kinds and what was left out");
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
}
