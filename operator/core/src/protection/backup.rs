//! The steps of a backup.

use crate::{
    engine::{Hold, OnFailure, Plan, Retry, Step, StepId},
    ids::{SiteName, SnapshotId},
    names,
    runs::{Action, CompileError, MoverTask, SealFacts, StepKey},
    time::parse_duration,
};
use jiff::SignedDuration;
use p861_crds::{ApplicationSpec, platform::application::VolumeMethod};

/// A claim of the application, as it was found on the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Everything that a backup's steps follow from.
#[derive(Clone, Debug)]
pub struct BackupFacts<'a> {
    /// The Backup's name.
    pub backup: &'a str,
    /// The Application's name.
    pub application: &'a str,
    /// The district's namespace on the hub.
    pub district: &'a str,
    /// The site where the application runs.
    pub site: &'a SiteName,
    /// The Application.
    pub spec: &'a ApplicationSpec,
    /// Claims found in its namespaces.
    pub claims: &'a [Claim],
    /// Snapshot of the application's newest backup, which unchanged files are compared with.
    pub parent: Option<&'a SnapshotId>,
    /// How long the backup may take in all.
    pub deadline: SignedDuration,
}

/// How a claim is saved: by the first rule that matches its name.
pub fn volume_method(spec: &ApplicationSpec, claim: &str) -> VolumeMethod {
    spec.volumes.iter().find(|rule| matches_pattern(&rule.claim, claim)).map_or(VolumeMethod::Files, |rule| rule.method)
}

/// `*` stands for any characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Compiles a backup: quiesce, then objects, streams and volumes side by side, resume, seal, verify; clean-up in any case.
///
/// Resume is a step of its own, right after the data is read; if the run fails before, undoing quiesce resumes too.
///
/// # Errors
/// [`CompileError`] if a duration can't be read, or the steps are no valid plan.
pub fn compile(facts: &BackupFacts<'_>) -> Result<Plan<Action>, CompileError> {
    let spec = facts.spec;
    let first = spec.namespaces.first().ok_or_else(|| CompileError::Invalid(format!("application {}: spec.namespaces is empty", facts.application)))?;
    let parent = || facts.parent.cloned();
    let mut steps: Vec<Step<Action>> = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    let mut data: Vec<StepId> = Vec::new();

    let quiesce = match &spec.hooks {
        Some(hooks) => {
            let execute = |command: &p861_crds::common::ContainerCommand| Action::Execute {
                site: facts.site.clone(),
                namespace: command.workload_ref.namespace.clone().unwrap_or_else(|| first.clone()),
                command: command.clone(),
            };
            let id = StepKey::quiesce(facts.application).id()?;
            let deadline = parse_duration(&hooks.deadline.0)?;
            steps.push(Step::new(id.clone(), execute(&hooks.quiesce), deadline).undo(execute(&hooks.resume)));
            Some((id, execute(&hooks.resume), deadline))
        }
        None => None,
    };
    let after_quiesce: Vec<StepId> = quiesce.iter().map(|(id, ..)| id.clone()).collect();
    // The application holds still for no longer than the hooks allow, quiescing it included, however often a part is tried.
    let hold = quiesce.as_ref().map(|(id, _, deadline)| Hold { since: id.clone(), limit: *deadline });
    let part_deadline = quiesce.as_ref().map_or(facts.deadline, |(_, _, deadline)| *deadline);
    let mut add = |id: StepId, part: String, namespace: &str, claim: Option<String>, task: MoverTask| {
        let namespaces = spec.namespaces.clone();
        data.push(id.clone());
        parts.push(part);
        let action = Action::Move { site: facts.site.clone(), namespace: namespace.into(), claim, namespaces, task };
        steps.push(Step::new(id, action, part_deadline).after(after_quiesce.clone()).under(hold.clone()).retry(Retry::times(3)));
    };

    let objects = MoverTask::BackupObjects { namespaces: spec.namespaces.clone(), exclude: spec.exclude.clone(), parent: parent() };
    add(StepKey::save_objects(facts.application).id()?, "objects".into(), first, None, objects);
    for stream in &spec.streams {
        let part = format!("streams/{}", stream.name);
        let namespace = stream.workload_ref.namespace.clone().unwrap_or_else(|| first.clone());
        let task = MoverTask::BackupStream {
            part: part.clone(),
            namespace: namespace.clone(),
            workload_ref: stream.workload_ref.clone(),
            container: stream.container.clone(),
            dump: stream.dump.clone(),
        };
        add(StepKey::save_stream(facts.application, &stream.name).id()?, part, &namespace, None, task);
    }
    for claim in facts.claims.iter().filter(|claim| volume_method(spec, &claim.name) != VolumeMethod::Skip) {
        let part = names::volume_part(first, &claim.namespace, &claim.name);
        let id = StepKey::save_volume(facts.application, &part).id()?;
        let task = MoverTask::BackupVolume { part: part.clone(), parent: parent() };
        add(id, part, &claim.namespace, Some(claim.name.clone()), task);
    }

    let mut before_seal = data.clone();
    if let Some((_, resume, deadline)) = quiesce {
        let id = StepKey::resume(facts.application).id()?;
        steps.push(Step::new(id.clone(), resume, deadline).after(data.clone()).despite_pause().retry(Retry::times(5)));
        before_seal.push(id);
    }
    let seal = StepKey::seal(facts.application).id()?;
    let facts_of_seal = SealFacts {
        backup: facts.backup.into(),
        application: facts.application.into(),
        district: facts.district.into(),
        site: facts.site.clone(),
        namespaces: spec.namespaces.clone(),
        parts,
        consistent: spec.hooks.is_some() || (!spec.streams.is_empty() && data.len() == spec.streams.len() + 1),
    };
    let mover = |task: MoverTask| Action::Move { site: facts.site.clone(), namespace: first.clone(), claim: None, namespaces: spec.namespaces.clone(), task };
    steps.push(Step::new(seal.clone(), mover(MoverTask::Seal { facts: facts_of_seal }), facts.deadline).after(before_seal).retry(Retry::times(3)));
    let verify = StepKey::verify(facts.application).id()?;
    steps.push(
        Step::new(verify, mover(MoverTask::VerifyStored { snapshot: None }), facts.deadline)
            .after([seal])
            .retry(Retry::times(3))
            .on_failure(OnFailure::Continue),
    );
    let clean_up = Action::RemoveMovers { site: facts.site.clone(), namespaces: spec.namespaces.clone() };
    steps.push(Step::new(StepKey::CleanUp.id()?, clean_up, SignedDuration::from_mins(2)).finally());
    Ok(Plan::new(steps)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: serde_json::Value) -> ApplicationSpec {
        serde_json::from_value(yaml).expect("a spec")
    }

    fn ids(plan: &Plan<Action>) -> Vec<String> {
        plan.steps().iter().map(|step| step.id.to_string()).collect()
    }

    fn compiled(spec: &ApplicationSpec, claims: &[Claim]) -> Plan<Action> {
        compile(&BackupFacts {
            backup: "b",
            application: "approval",
            district: "shinan",
            site: &"primary".into(),
            spec,
            claims,
            parent: None,
            deadline: SignedDuration::from_hours(6),
        })
        .expect("compiles")
    }

    #[test]
    fn a_skipped_claim_is_not_saved_and_the_others_are() {
        let spec = spec(serde_json::json!({"department": "d", "namespaces": ["shinan-approval"], "volumes": [{"claim": "data-postgres-*", "method": "Skip"}],
            "streams": [{"name": "approval-db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["pg_dump"], "restore": ["pg_restore"]}]}));
        let claims = ["data-postgres-0", "attachments"].map(|name| Claim { namespace: "shinan-approval".into(), name: name.into() });
        let plan = compiled(&spec, &claims);
        assert_eq!(
            ids(&plan),
            ["save/approval/objects", "save/approval/stream/approval-db", "save/approval/volume/attachments", "seal/approval", "verify/approval", "clean-up"]
        );
    }

    #[test]
    fn with_hooks_the_data_is_read_between_quiesce_and_resume() {
        let hook = |word: &str| serde_json::json!({"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["cms", word]});
        let spec = spec(serde_json::json!({"department": "d", "namespaces": ["n"], "hooks": {"quiesce": hook("stop"), "resume": hook("go")}}));
        let plan = compiled(&spec, &[]);
        assert_eq!(ids(&plan), ["quiesce/approval", "save/approval/objects", "resume/approval", "seal/approval", "verify/approval", "clean-up"]);
        let quiesce = &plan.steps()[0];
        assert!(matches!(&quiesce.undo, Some(Action::Execute { command, .. }) if command.command == ["cms", "go"]), "a failed backup resumes too");
    }

    #[test]
    fn a_star_matches_any_characters_and_nothing_else_is_special() {
        for (pattern, text, expected) in [
            ("data-*", "data-postgres-0", true),
            ("*", "", true),
            ("data", "data-0", false),
            ("*-0", "data-0", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("a.c", "abc", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }
}
