//! Other people's manifests, saved on one site and restored to another by the product's movers: everything is there again and equal, but for a short list of
//! documented differences, and what is left out is named.

mod compare;
mod projects;
mod site;

use crate::support::text;
use compare::{Difference, Identity, differences, everything};
use p861_core::{
    objects::{self, told},
    runs::{ConflictHandling, CopyRules},
};
use p861_crds::{platform::application::CronJobsInCopy, protection::restore::ConflictPolicy};
use p861_runs::movers::{
    restore::{Choice, ObjectsOutcome, ObjectsTask, restore},
    save::{Saved, save},
};
use p861_testbed::{components::manifests, report::Report};
use p861_vault::{Location, PartSpec, Repository, RepositoryAccess, SealSpec};
use projects::PROJECTS;
use serde_json::{Value, json};
use site::{Load, Site};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The namespace of the objects in `own.yaml`.
const OWN: &str = "own";
/// The page that lists what comes back otherwise.
const PAGE: &str = "docs/BACKUP-FORMAT.md";

/// What is otherwise after a restore, as [`PAGE`] lists it.
struct Documented {
    /// Empty for every kind.
    kind: &'static str,
    /// The field; at most one `*` stands for anything.
    path: &'static str,
    why: &'static str,
    /// Whether it holds for this difference of this object.
    only: fn(&Value, &Difference) -> bool,
}

const ALWAYS: fn(&Value, &Difference) -> bool = |_, _| true;
const OF_A_TOKEN: fn(&Value, &Difference) -> bool = |object, _| object["type"] == "kubernetes.io/service-account-token";
const TOKEN_VOLUME: fn(&Value, &Difference) -> bool =
    |_, field| [&field.before, &field.after].iter().all(|name| name.as_str().is_some_and(|name| name.starts_with("kube-api-access-")));

/// Nothing else may differ, and each of these does.
const DOCUMENTED: [Documented; 11] = [
    Documented {
        kind: "",
        path: "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
        why: "the next `kubectl apply` writes it",
        only: ALWAYS,
    },
    Documented { kind: "", path: "metadata.annotations.deployment.kubernetes.io/revision", why: "the Deployment's controller counts anew", only: ALWAYS },
    Documented {
        kind: "DaemonSet",
        path: "metadata.annotations.deprecated.daemonset.template.generation",
        why: "the API server counts: a restore writes it held, then lets it go",
        only: ALWAYS,
    },
    Documented { kind: "Job", path: "*controller-uid", why: "the API server takes it from the new Job's UID", only: ALWAYS },
    Documented { kind: "Pod", path: "spec.nodeName", why: "the scheduler chooses a node", only: ALWAYS },
    Documented { kind: "Pod", path: "spec.*[].name", why: "the volume of the ServiceAccount's token has a new random name", only: TOKEN_VOLUME },
    Documented { kind: "Secret", path: "data.token", why: "of a ServiceAccount's token: the cluster makes its own", only: OF_A_TOKEN },
    Documented { kind: "PersistentVolumeClaim", path: "spec.volumeName", why: "the claim is bound to a volume of its own", only: ALWAYS },
    Documented { kind: "PersistentVolumeClaim", path: "spec.dataSource*", why: "the files come from the backup", only: ALWAYS },
    Documented { kind: "PersistentVolumeClaim", path: "metadata.annotations.pv.kubernetes.io/*", why: "binding writes it", only: ALWAYS },
    Documented { kind: "PersistentVolumeClaim", path: "metadata.annotations.volume.kubernetes.io/*", why: "provisioning writes it", only: ALWAYS },
];

/// Written in an older version of its kind; the version that its group prefers demands more of it.
const REFUSED: [&str; 1] = ["TLSRoute gateway-api/example-route"];

impl Documented {
    fn fits(&self, object: &Value, difference: &Difference) -> bool {
        let path = difference.path.as_str();
        let on_path = match self.path.split_once('*') {
            None => self.path == path,
            Some((start, end)) => path.len() >= start.len() + end.len() && path.starts_with(start) && path.ends_with(end),
        };
        on_path && (self.kind.is_empty() || object["kind"] == self.kind) && (self.only)(object, difference)
    }

    /// Its line in [`PAGE`].
    fn line(&self) -> String {
        format!("| {} | `{}` | {} |", if self.kind.is_empty() { "any" } else { self.kind }, self.path, self.why)
    }
}

/// Kinds whose objects nobody misses, and that nobody is told of.
fn is_silent(missing: &Identity) -> bool {
    matches!((missing.group.as_str(), missing.kind.as_str()), ("" | "events.k8s.io", "Event") | ("coordination.k8s.io", "Lease"))
}

/// Saves these namespaces into a repository in this folder, as a Backup's movers do.
async fn backup(site: &Site, namespaces: &[String], folder: &Path) -> (Saved, RepositoryAccess, String) {
    let objects = folder.join("objects");
    let saved = save(&site.client, namespaces, &[], &[], (&objects, std::sync::mpsc::channel().0), &|_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    let access =
        RepositoryAccess { location: Location::Folder { path: folder.join("repository") }, credentials: None, password: "correct horse".into(), id: None };
    // The repository has a runtime of its own.
    let snapshot = tokio::task::block_in_place(|| {
        let repository = Repository::open_or_init(&access).expect("a repository");
        repository.write_folder(&PartSpec { run: "r", part: "objects", host: "first", parent: None }, &objects, &|_| {}).expect("the part");
        let spec = SealSpec {
            run: "r".into(),
            host: "first".into(),
            time: "2026-11-15T00:50:03Z".parse().expect("a time"),
            tags: Vec::new(),
            parts: vec!["objects".into()],
            inventory: json!({}),
            label: "everything".into(),
        };
        repository.seal(&spec, &|| Ok(())).expect("sealed").snapshot
    });
    (saved, access, snapshot)
}

/// Restores them under their own names, and starts what a restore writes held.
async fn bring_up(site: &Site, access: RepositoryAccess, snapshot: &str, namespaces: &BTreeSet<String>) -> ObjectsOutcome {
    let rules = CopyRules {
        namespaces: namespaces.iter().map(|name| (name.clone(), name.clone())).collect(),
        storage_classes: Vec::new(),
        images: Vec::new(),
        isolated: false,
        stopped: true,
        cron_jobs: CronJobsInCopy::Run,
        patches: Vec::new(),
        kinds: Vec::new(),
        resolver: Vec::new(),
        labels: BTreeMap::new(),
    };
    let conflict = ConflictHandling::Policy(ConflictPolicy::Refuse);
    let task = ObjectsTask {
        run: String::new(),
        snapshot: snapshot.into(),
        rules,
        choice: Choice::default(),
        conflict,
        preview: false,
        absent: Vec::new(),
        again: None,
    };
    let outcome = restore(&site.client, access, &task, &|_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    for (identity, object) in everything(&site.client, namespaces).await {
        if let Some(patch) = objects::start(&object) {
            site.merge(&object, &patch).await.unwrap_or_else(|error| panic!("start {}: {error}", identity.told()));
        }
    }
    outcome
}

/// How often each documented difference was found.
///
/// # Panics
/// If anything else differs, or a documented difference is nowhere.
fn compare(before: &BTreeMap<Identity, Value>, after: &BTreeMap<Identity, Value>) -> [usize; DOCUMENTED.len()] {
    let (mut counts, mut others) = ([0; DOCUMENTED.len()], Vec::new());
    for (identity, object) in before {
        let Some(restored) = after.get(identity) else { continue };
        for difference in differences(object, restored) {
            match DOCUMENTED.iter().position(|documented| documented.fits(object, &difference)) {
                Some(place) => counts[place] += 1,
                None => others.push(format!("{}: {}: {} → {}", identity.told(), difference.path, difference.before, difference.after)),
            }
        }
    }
    assert!(others.is_empty(), "{} differences are not documented:\n{}", others.len(), others.join("\n"));
    for (documented, count) in DOCUMENTED.iter().zip(counts) {
        assert!(count > 0, "nothing differs so any more, take it off the list: {}", documented.line());
    }
    counts
}

/// Everything that is to be there, by namespace.
fn loads() -> Vec<Load> {
    let folders = manifests::ensure(&PROJECTS.map(|project| project.carrier), &Report::stderr()).expect("the projects' manifests");
    let of_project = |(project, folder): (projects::Project, std::path::PathBuf)| Load::read(project.carrier.name, &folder, project.at_least);
    let own = Load::of(OWN, include_str!("foreign_manifests/own.yaml"));
    PROJECTS.into_iter().zip(folders).map(of_project).chain([own]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b_everything_of_five_projects_comes_back_on_another_site_but_for_what_is_documented() {
    let loads = tokio::task::spawn_blocking(loads).await.expect("the manifests");
    let namespaces: BTreeSet<String> = loads.iter().map(|load| load.namespace.clone()).collect();
    let (mut first, mut second) = tokio::join!(Site::start(), Site::start());
    for site in [&mut first, &mut second] {
        site.define(&loads).await;
    }
    for load in &loads {
        second.make_namespace(&load.namespace, &json!({}), &json!({})).await;
        if load.namespace == OWN {
            // B3 and B5: on the first site, people have put something into what every cluster makes.
            let account = json!({"metadata": {"labels": {"team": "orchard"}}, "imagePullSecrets": [{"name": "pull"}]});
            first.make_namespace(OWN, &json!({"team": "orchard", "pod-security.kubernetes.io/warn": "baseline"}), &account).await;
            first.fill_in_order(load).await;
        } else {
            first.make_namespace(&load.namespace, &load.labels, &json!({})).await;
            first.fill(load).await;
        }
    }
    let before = everything(&first.client, &namespaces).await;

    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = namespaces.iter().cloned().collect();
    let (saved, access, snapshot) = backup(&first, &names, folder.path()).await;
    let outcome = bring_up(&second, access, &snapshot, &namespaces).await;
    let refused: BTreeSet<String> = outcome.listed.iter().map(|listed| format!("{} {}/{}", listed.kind, listed.namespace, listed.name)).collect();
    assert_eq!((&refused, outcome.changes.not_served), (&REFUSED.map(str::to_owned).into(), 0), "{:?}", outcome.listed);
    let after = everything(&second.client, &namespaces).await;

    let missing: BTreeSet<String> = before.keys().filter(|identity| !after.contains_key(identity) && !is_silent(identity)).map(Identity::told).collect();
    let left_out: BTreeSet<String> = told(&saved.left_out).into_iter().flat_map(|left| left.names).collect();
    // A restore gives nobody rights: bindings of accounts of namespaces that are not restored are named, and not written.
    let unbound: BTreeSet<String> = outcome.left.iter().map(|left| format!("{} {}/{}", left.kind, left.namespace, left.name)).collect();
    assert!(!unbound.is_empty() && unbound.iter().all(|left| left.starts_with("RoleBinding ")), "{:?}", outcome.left);
    assert_eq!(missing, &(&left_out | &refused) | &unbound, "what isn't back is named in the inventory or by the restore, and nothing else is");
    assert_eq!(left_out, BTreeSet::from(["ConfigMap own/leaving", "Pod own/ended", "Pod own/leaf-1"].map(str::to_owned)));
    // Events tell of what came back: those that work there write them.
    let new = after.keys().filter(|identity| !before.contains_key(identity));
    let more: Vec<String> = new.map(Identity::told).filter(|told| !told.starts_with("Event ")).collect();
    assert!(more.is_empty(), "nobody saved these: {more:?}");

    let counts = compare(&before, &after);
    let found: Vec<String> = DOCUMENTED.iter().zip(counts).map(|(documented, count)| format!("  {count} {} {}", documented.kind, documented.path)).collect();
    println!("{} objects of {} projects and {OWN}: no difference but the documented ones\n{}", after.len(), PROJECTS.len(), found.join("\n"));
}

#[test]
fn every_difference_after_a_restore_is_documented() {
    let page = text(PAGE);
    for documented in &DOCUMENTED {
        assert!(page.contains(&documented.line()), "{PAGE} lacks: {}", documented.line());
    }
}
