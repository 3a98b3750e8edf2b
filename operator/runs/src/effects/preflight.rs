//! Checks of the standby before a run creates anything.

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{Error, ErrorContext as _, Result},
    repository,
    sites::for_each,
};
use k8s_openapi::api::{core::v1::Node, storage::v1::StorageClass};
use kube::{Api, ResourceExt, api::ListParams};
use p861_core::{
    engine::{Evidence, Failure, PreflightResult},
    recovery::ground,
    runs::{AllottedSite, PreflightSubject},
    told::Noun,
};
use p861_crds::Reason;

/// How long a standby may be unreachable before the check fails.
const UNREACHABLE_PATIENCE: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// Result of one check.
struct PreflightCheck {
    name: &'static str,
    problem: Option<String>,
    seen: String,
}

/// Performs all checks and reports all problems at once, so that a person can fix them together.
pub async fn perform(context: &RunContext, step_context: &StepContext, site: &AllottedSite, subjects: &[PreflightSubject]) -> Result<EffectOutcome> {
    let mut checks = Vec::new();
    let client = match context.sites.client(site).await {
        Ok(client) => client,
        // For a moment it may be away; after that the drill learns that it has no standby.
        Err(error) if error.is_unreachable() && jiff::Timestamp::now().duration_since(step_context.started) < UNREACHABLE_PATIENCE => return Err(error),
        Err(error) => {
            let checks = vec![PreflightResult { name: "StandbyReachable".into(), passed: false, seen: error.to_string() }];
            let failure = Failure::transient(Reason::PreflightFailed, format!("StandbyReachable: {error}"));
            return Ok(EffectOutcome::Failed(failure, Some(Evidence::Preflight { checks })));
        }
    };
    let (mut total, mut ready) = (0_usize, 0_usize);
    let count = |node: Node| {
        total += 1;
        ready += usize::from(crate::hub::is_ready(&node));
    };
    for_each(&Api::<Node>::all(client.clone()), ListParams::default(), || format!("the nodes of {site}"), count).await?;
    checks.push(PreflightCheck {
        name: "StandbyReachable",
        problem: (ready == 0).then(|| format!("{site} has no ready node")),
        seen: format!("{site}: {ready} of {} ready", Noun::Node.count(total)),
    });

    let classes: Api<StorageClass> = Api::all(client);
    let classes: Vec<String> =
        classes.list(&ListParams::default()).await.context(|| format!("list the storage classes of {site}"))?.items.iter().map(ResourceExt::name_any).collect();
    let (problem, seen) = ground::judge_classes(site, &classes, subjects);
    checks.push(PreflightCheck { name: "StorageClasses", problem, seen });
    if let Some(seen) = ground::told_images(subjects) {
        checks.push(PreflightCheck { name: "Images", problem: None, seen });
    }

    let run = &step_context.run;
    let key = match repository::open_store(&context.hub, &run.namespace, &run.repository).await {
        Ok(store) => store.measure("snapshots/").await.map(|stored| stored.objects).map_err(|error| crate::repository::vault("open the repository", &error)),
        Err(error) => Err(error),
    };
    checks.push(match key {
        Ok(count) => {
            PreflightCheck { name: "KeyAccess", problem: None, seen: format!("repository {} opened, {}", run.repository, Noun::Snapshot.count(count)) }
        }
        Err(error) => PreflightCheck { name: "KeyAccess", problem: Some(error.to_string()), seen: error.to_string() },
    });
    checks.push(PreflightCheck {
        name: "RecoverableData",
        problem: None,
        seen: subjects.iter().map(|s| format!("{} from {}", s.application, s.backup)).collect::<Vec<_>>().join(", "),
    });

    let problems: Vec<String> = checks.iter().filter_map(|check| check.problem.as_ref().map(|problem| format!("{}: {problem}", check.name))).collect();
    let result = |check: PreflightCheck| PreflightResult { name: check.name.into(), passed: check.problem.is_none(), seen: check.seen };
    let evidence = Evidence::Preflight { checks: checks.into_iter().map(result).collect() };
    if problems.is_empty() {
        return Ok(EffectOutcome::done(evidence));
    }
    let error = Error::transient(Reason::PreflightFailed, problems.join("; "));
    Ok(EffectOutcome::Failed(Failure::transient(Reason::PreflightFailed, error.to_string()), Some(evidence)))
}
