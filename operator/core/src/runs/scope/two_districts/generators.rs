//! Makes actions and tasks of every variant, of a district's own names or of any.

use super::super::{tests::read, *};
use crate::{
    isolation::Entrypoint,
    maintenance::drain::DrainConsent,
    runs::{
        Bubble, ClaimSnapshot, ConflictHandling, CopyRules, ExtraFiles, MoverTask, ObjectsMode, PreflightSubject, RefusedFiles, SealFacts, SnapshotToForget,
    },
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    ObjectReference, WorkloadKind, WorkloadReference,
    common::ContainerCommand,
    platform::{
        application::{CopyPatch, CronJobsInCopy, Marker, ObjectSelector},
        check::{Check, ConditionCheck, ExecCheck, HttpCheck, HttpExpectation, OutputExpectation, TcpCheck},
        platform::{Bundle, OciBundle},
    },
    protection::{
        backup::VerificationLevel,
        restore::{Mapping, RestoreSelection},
    },
};
use proptest::{
    collection::{btree_map, btree_set, vec},
    option,
    prelude::*,
    sample::select,
    strategy::Union,
};
use serde_json::json;
use std::collections::BTreeMap;

/// In the name of everything that is the other district's.
pub(super) const OTHER: &str = "laoshan";
/// The drill of an isolated run.
pub(super) const DRILL: &str = "k7m2q";

/// Names of things: the district's own, or any.
#[derive(Clone, Copy)]
pub(super) enum Names {
    Own,
    Any,
}

impl Names {
    fn of(self, own: &'static [&'static str], others: &'static [&'static str]) -> BoxedStrategy<String> {
        match self {
            Self::Own => select(own).prop_map(str::to_owned).boxed(),
            // Rarely another's, so that actions with many names pass at times.
            Self::Any => prop_oneof![9 => select(own), 1 => select(others)].prop_map(str::to_owned).boxed(),
        }
    }

    fn site(self) -> BoxedStrategy<SiteName> {
        self.of(&["west", "east"], &["laoshan-site"]).prop_map(SiteName::from).boxed()
    }

    fn namespace(self) -> BoxedStrategy<String> {
        self.of(&["shinan-approval", "shinan-data"], &["laoshan-approval", "laoshan-data", "shinan-approval/../laoshan-data"])
    }

    fn namespaces(self) -> BoxedStrategy<Vec<String>> {
        vec(self.namespace(), 0..3).boxed()
    }

    fn hub(self) -> BoxedStrategy<String> {
        self.of(&["shinan"], &["laoshan"])
    }

    fn repository(self) -> BoxedStrategy<String> {
        self.of(&["main"], &["laoshan-main"])
    }

    /// An object in a namespace that the action names besides: it is another's only if it leads out of that namespace.
    fn object(self) -> BoxedStrategy<String> {
        self.of(&["web", "postgres-0.data"], &["../../laoshan-approval/deployments/web", "web/../../laoshan-approval", "laoshan?x=web"])
    }

    fn owner(self) -> BoxedStrategy<String> {
        self.of(&["shinan/chg-1"], &["laoshan/chg-1"])
    }

    fn workload(self) -> BoxedStrategy<WorkloadReference> {
        (self.object(), option::of(self.namespace()))
            .prop_map(|(name, namespace)| WorkloadReference { kind: WorkloadKind::Deployment, name, namespace })
            .boxed()
    }

    fn command(self) -> BoxedStrategy<ContainerCommand> {
        self.workload().prop_map(|workload_ref| ContainerCommand { workload_ref, container: Some("main".into()), command: vec!["sh".into()] }).boxed()
    }

    fn check(self) -> BoxedStrategy<Check> {
        let page = self.of(&["/", "/health?deep=1"], &["/../../../laoshan-approval/services/web", "/%2E%2e/laoshan"]);
        let http = (self.object(), page).prop_map(|(service_name, path)| {
            let expect = HttpExpectation { status: 200, pattern: Some("ok".into()) };
            (Some(HttpCheck { service_name, port: 80, path, expect }), None, None, None)
        });
        let tcp = self.object().prop_map(|service_name| (None, Some(TcpCheck { service_name, port: 80 }), None, None));
        let exec = self.workload().prop_map(|workload_ref| {
            let expect = Some(OutputExpectation { pattern: "1".into() });
            (None, None, Some(ExecCheck { workload_ref, container: Some("main".into()), command: vec!["sh".into()], expect }), None)
        });
        let condition = self.workload().prop_map(|workload_ref| (None, None, None, Some(ConditionCheck { workload_ref, r#type: "Available".into() })));
        prop_oneof![http, tcp, exec, condition]
            .prop_map(|(http, tcp, exec, condition)| {
                let (name, period, deadline) = ("c".into(), "30s".into(), "2m".into());
                Check { name, http, tcp, exec, condition, period, deadline, failures: 3 }
            })
            .boxed()
    }

    fn rules(self) -> BoxedStrategy<CopyRules> {
        let labels = self.of(&["app"], &["platform861.io/laoshan"]);
        (btree_map(self.namespace(), self.namespace(), 0..2), labels)
            .prop_map(|(namespaces, label)| CopyRules {
                namespaces,
                storage_classes: vec![Mapping { from: "block".into(), to: "fast".into() }],
                images: vec![Mapping { from: "one.example".into(), to: "two.example".into() }],
                isolated: false,
                stopped: true,
                cron_jobs: CronJobsInCopy::Suspend,
                patches: vec![CopyPatch { target: selector(), patch: serde_json::Map::new() }],
                kinds: Vec::new(),
                resolver: Vec::new(),
                labels: BTreeMap::from([(label, "web".to_owned())]),
            })
            .boxed()
    }
}

pub(super) fn selector() -> ObjectSelector {
    ObjectSelector { group: Some("apps".into()), kind: "Deployment".into(), name: Some("web".into()) }
}

pub(super) fn selection() -> RestoreSelection {
    read(json!({"tiers": ["data"], "resources": [{"group": "apps", "kind": "Deployment", "name": "web"}]}))
}

/// A generator for each variant of an enum, and a `match` of them all: a new variant doesn't compile before it has a generator. The generators give all fields,
/// so that a new field doesn't compile either.
macro_rules! of_each_variant {
    ($type:ident, $generators:ident, $variant_of:ident, |$names:ident| $($variant:ident => $generator:expr,)*) => {
        pub(super) fn $generators($names: Names) -> Vec<(&'static str, BoxedStrategy<$type>)> {
            vec![$((stringify!($variant), $generator.boxed())),*]
        }

        pub(super) fn $variant_of(value: &$type) -> &'static str {
            match value {
                $($type::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

of_each_variant! { MoverTask, tasks, task_variant, |n|
    BackupObjects => n.namespaces().prop_map(|namespaces| {
        MoverTask::BackupObjects { namespaces, exclude: vec![selector()], cluster: Vec::new(), parent: Some("5a1f".into()) }
    }),
    BackupVolume => any::<bool>().prop_map(|from_snapshot| MoverTask::BackupVolume { part: "volumes/a".into(), parent: Some("5a1f".into()), from_snapshot }),
    BackupStream => (n.namespace(), n.workload()).prop_map(|(namespace, workload_ref)| {
        MoverTask::BackupStream { part: "streams/a".into(), namespace, workload_ref, container: Some("main".into()), dump: vec!["pg_dump".into()] }
    }),
    Seal => (n.object(), n.object(), n.hub(), n.site(), n.namespaces()).prop_map(|(backup, application, district, site, namespaces)| {
        MoverTask::Seal { facts: SealFacts { backup, application, district, site, namespaces, parts: vec!["objects".into()], missing: Vec::new(), half_restored: None, consistent: true } }
    }),
    VerifyStored => Just(MoverTask::VerifyStored { snapshot: Some("5a1f".into()) }),
    RestoreObjects => (n.rules(), vec(n.workload(), 0..2)).prop_map(|(rules, workloads)| MoverTask::RestoreObjects {
        snapshot: "5a1f".into(),
        rules,
        select: selection(),
        workloads,
        exclude: vec![selector()],
        cluster: Vec::new(),
        conflict: ConflictHandling::Own,
        mode: ObjectsMode::Write,
        absent: vec!["shinan-new".into()],
    }),
    RestoreVolume => Just(MoverTask::RestoreVolume {
        snapshot: "5a1f".into(),
        part: "volumes/a".into(),
        paths: vec!["a".into()],
        path_prefix: Some("b".into()),
        extra_files: ExtraFiles::Keep,
    }),
    PreviewVolume => Just(MoverTask::PreviewVolume {
        snapshot: "5a1f".into(),
        part: "volumes/a".into(),
        paths: vec!["a".into()],
        path_prefix: Some("b".into()),
        extra_files: ExtraFiles::Keep,
        refuses: Some(RefusedFiles::InTheWay),
    }),
    RestoreStream => (n.namespace(), n.workload()).prop_map(|(namespace, workload_ref)| MoverTask::RestoreStream {
        snapshot: "5a1f".into(),
        part: "streams/a".into(),
        namespace,
        workload_ref,
        container: Some("main".into()),
        restore: vec!["psql".into()],
    }),
    Forget => (n.hub(), vec((n.object(), option::of(n.object())), 0..3)).prop_map(|(district, named)| {
        let of = |(application, backup)| SnapshotToForget { snapshot: "5a1f".into(), application, backup, why: "no place".into() };
        MoverTask::Forget { district, at: Timestamp::UNIX_EPOCH, snapshots: named.into_iter().map(of).collect() }
    }),
    Prune => Just(MoverTask::Prune { delay: SignedDuration::from_hours(23), max_repack_bytes: 1, memory_limit: "1Gi".into() }),
}

pub(super) fn task(names: Names) -> BoxedStrategy<MoverTask> {
    Union::new(tasks(names).into_iter().map(|(_, generator)| generator)).boxed()
}

pub(super) fn subject((application, backup, repository): (String, String, String)) -> PreflightSubject {
    PreflightSubject {
        application,
        backup,
        repository,
        snapshot: "5a1f".into(),
        time: Timestamp::UNIX_EPOCH,
        level: Some(VerificationLevel::Stored),
        classes: BTreeMap::from([("block".to_owned(), "fast".to_owned())]),
        classes_unknown: Some("away".into()),
        images: vec![Mapping { from: "one.example".into(), to: "two.example".into() }],
    }
}

pub(super) fn bubble(names: Names) -> impl Strategy<Value = Bubble> {
    // Copies have the names that follow from their originals. An entrypoint may be said to mean anything.
    let entrypoint = (names.namespace(), names.object()).prop_map(|(original, service)| Entrypoint {
        hostname: "approval.example".into(),
        namespace: names::bubble_namespace(&original, DRILL),
        service,
    });
    (btree_set(names.namespace(), 0..3), vec(entrypoint, 0..2)).prop_map(|(originals, entrypoints)| Bubble {
        id: DRILL.into(),
        namespaces: originals.into_iter().map(|original| (original.clone(), names::bubble_namespace(&original, DRILL))).collect(),
        allow_egress: vec!["10.0.0.0/8".into()],
        entrypoints,
    })
}

pub(super) fn bundle(names: Names) -> impl Strategy<Value = Bundle> {
    let image = (names.object(), names.object()).prop_map(|(pull, ca)| {
        let (image, digest) = ("one.example/ingress".into(), "sha256:1".into());
        let (pull_secret_ref, ca_secret_ref) = (Some(ObjectReference::new(pull)), Some(ObjectReference::new(ca)));
        Bundle { oci: Some(OciBundle { image, digest, pull_secret_ref, ca_secret_ref }), config_map_ref: None }
    });
    prop_oneof![image, names.object().prop_map(|map| Bundle { oci: None, config_map_ref: Some(ObjectReference::new(map)) })]
}

of_each_variant! { Action, actions, action_variant, |n|
    Move => (n.site(), n.namespace(), option::of(n.object()), n.namespaces(), task(n)).prop_map(|(site, namespace, claim, namespaces, task)| {
        Action::Move { site, namespace, claim, namespaces, task }
    }),
    Execute => (n.site(), n.namespace(), n.command()).prop_map(|(site, namespace, command)| Action::Execute { site, namespace, command }),
    Preflight => (n.site(), vec((n.object(), n.object(), n.repository()).prop_map(subject), 0..2)).prop_map(|(site, subjects)| Action::Preflight { site, subjects }),
    Isolate => (n.site(), bubble(n)).prop_map(|(site, bubble)| Action::Isolate { site, bubble }),
    ProveIsolation => (n.site(), bubble(n)).prop_map(|(site, bubble)| Action::ProveIsolation { site, bubble }),
    RemoveBubble => (n.site(), bubble(n)).prop_map(|(site, bubble)| Action::RemoveBubble { site, bubble }),
    Stop => (n.site(), btree_map(n.namespace(), vec(n.object(), 0..2), 0..3)).prop_map(|(site, namespaces)| Action::Stop { site, namespaces }),
    StartAgain => (n.site(), n.namespaces()).prop_map(|(site, namespaces)| Action::StartAgain { site, namespaces }),
    Start => (
        n.site(),
        btree_map(n.namespace(), vec(n.workload(), 0..2), 0..2),
        btree_map(n.namespace(), vec(n.object(), 0..2), 0..2),
    )
        .prop_map(|(site, workloads, claims)| Action::Start { site, workloads, claims, saved_as: BTreeMap::new(), awaited: BTreeMap::new() }),
    Check => (n.site(), n.namespace(), n.check()).prop_map(|(site, namespace, check)| Action::Check { site, namespace, check }),
    ReadMarker => (n.site(), n.namespace(), n.workload()).prop_map(|(site, namespace, workload_ref)| {
        let (write, read) = (vec!["$(MARKER)".into()], vec!["psql".into()]);
        Action::ReadMarker { site, namespace, marker: Marker { workload_ref, container: Some("main".into()), period: "1m".into(), write, read } }
    }),
    TakeSnapshots => (n.site(), vec((n.namespace(), n.object()), 0..3)).prop_map(|(site, claims)| {
        let of = |(namespace, claim)| ClaimSnapshot { namespace, claim, class: "snap".into(), storage_class: "block".into(), bytes: 1 };
        Action::TakeSnapshots { site, snapshots: claims.into_iter().map(of).collect() }
    }),
    RemoveSnapshots => (n.site(), n.namespaces()).prop_map(|(site, namespaces)| Action::RemoveSnapshots { site, namespaces }),
    RemoveMovers => (n.site(), n.namespaces()).prop_map(|(site, namespaces)| Action::RemoveMovers { site, namespaces }),
    TakeBackup => (n.object(), n.object()).prop_map(|(application, backup)| Action::TakeBackup { application, backup }),
    Silence => (n.site(), n.owner(), n.hub(), option::of(n.site())).prop_map(|(site, owner, district, labelled)| {
        let labels = [("district", Some(district)), ("site", labelled.map(String::from)), ("alertname", Some("Down".into()))];
        let labels = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        Action::Silence { site, owner, labels: vec![labels] }
    }),
    EndSilence => (n.site(), n.owner()).prop_map(|(site, owner)| Action::EndSilence { site, owner }),
    InspectNode => (n.site(), n.object(), n.hub()).prop_map(|(site, node, district)| {
        Action::InspectNode { site, node, district: Some(district), consent: DrainConsent::default() }
    }),
    Cordon => (n.site(), n.object(), n.owner()).prop_map(|(site, node, owner)| Action::Cordon { site, node, owner }),
    Uncordon => (n.site(), n.object(), n.owner()).prop_map(|(site, node, owner)| Action::Uncordon { site, node, owner }),
    Drain => (n.site(), n.object(), n.hub()).prop_map(|(site, node, district)| {
        Action::Drain { site, node, district: Some(district), consent: DrainConsent::default() }
    }),
    InstallComponent => (n.site(), n.object(), bundle(n)).prop_map(|(site, component, bundle)| {
        Action::InstallComponent { site, component, version: "1.0.0".into(), bundle, digest: "sha256:1".into() }
    }),
    RevertComponent => (n.site(), n.object()).prop_map(|(site, component)| Action::RevertComponent { site, component, version: "1.0.0".into() }),
    EndInstallation => (n.site(), n.object()).prop_map(|(site, component)| Action::EndInstallation { site, component }),
    Watch => (n.site(), vec((n.namespace(), n.check()), 0..2)).prop_map(|(site, checks)| {
        Action::Watch { site, checks, duration: SignedDuration::from_mins(1) }
    }),
    MakeNamespaces => (n.site(), n.namespaces(), n.hub(), any::<bool>()).prop_map(|(site, namespaces, district, preview)| {
        Action::MakeNamespaces { site, namespaces, district, preview }
    }),
    Ask => Just(Action::Ask {}),
}

pub(super) fn action(names: Names) -> BoxedStrategy<Action> {
    Union::new(actions(names).into_iter().map(|(_, generator)| generator)).boxed()
}
