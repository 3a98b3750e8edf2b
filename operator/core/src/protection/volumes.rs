//! How each claim of a backup is saved: from a volume snapshot, by its files as they are, or not at all. Decided before anything is read.
//!
//! | who says so | what | without a usable VolumeSnapshotClass |
//! |---|---|---|
//! | `spec.volumes[].method` of the Application | Snapshot | the backup is refused: data is not read live where somebody asked for one moment |
//! | the policy's `volumeMethod` | Snapshot | the files are read |
//! | either | Files | – |
//! | either | Skip | – |
//!
//! A choice that only a person can make (several classes and no default) refuses the backup in both rows.

use super::backup::{Claim, rule_of};
use crate::objects::LABEL_VALUE_MOVER;
use p861_crds::{
    ApplicationSpec, Reason,
    names::{ROLE_LABEL, RUN_LABEL},
    platform::application::VolumeMethod,
};
use std::{collections::BTreeMap, fmt};

/// Annotation of the VolumeSnapshotClass that a driver's snapshots have unless told otherwise.
pub const DEFAULT_CLASS_ANNOTATION: &str = "snapshot.storage.kubernetes.io/is-default-class";
/// The method of claims that no rule of the Application names, as long as no BackupPolicy says otherwise.
pub const DEFAULT_VOLUME_METHOD: VolumeMethod = VolumeMethod::Snapshot;

/// Whether a claim with these labels is a run's own, through which a mover reads a snapshot: it is no data of the application.
pub fn is_of_run(labels: &BTreeMap<String, String>) -> bool {
    labels.get(ROLE_LABEL).is_some_and(|role| role == LABEL_VALUE_MOVER) && labels.contains_key(RUN_LABEL)
}

/// What stands behind a claim on its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimVolume {
    /// The claim.
    pub claim: Claim,
    /// Its StorageClass; none if the claim names none.
    pub storage_class: Option<String>,
    /// The class exists, and this is its provisioner.
    pub provisioner: Option<String>,
    /// The CSI driver of its volume; none if the volume is not of a CSI driver.
    pub driver: Option<String>,
    /// The VolumeSnapshotClass that the Platform declares for the StorageClass on this site.
    pub declared: Option<String>,
}

/// A VolumeSnapshotClass of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotClass {
    /// Its name.
    pub name: String,
    /// Its CSI driver.
    pub driver: String,
    /// It has [`DEFAULT_CLASS_ANNOTATION`].
    pub is_default: bool,
}

/// How a claim is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedBy {
    /// From a snapshot of this VolumeSnapshotClass.
    Snapshot {
        /// Name of the class.
        class: String,
    },
    /// Its files are read as they are.
    Files,
}

/// Why a claim has no snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSnapshot {
    /// Its volume is not of a CSI driver.
    NotCsi,
    /// The site has no VolumeSnapshotClass of its driver.
    NoClass {
        /// The driver.
        driver: String,
    },
    /// Its StorageClass is not of the driver, or is gone: nothing could make a claim from a snapshot.
    NoStorageClass {
        /// The driver.
        driver: String,
    },
    /// The class that the Platform declares doesn't exist.
    DeclaredMissing {
        /// The class.
        class: String,
    },
    /// The class that the Platform declares is of another driver.
    DeclaredOfOther {
        /// The class.
        class: String,
        /// The claim's driver.
        driver: String,
    },
    /// Several classes, and none of them, or more than one, is the default.
    Ambiguous {
        /// The driver.
        driver: String,
        /// The classes.
        classes: Vec<String>,
    },
}

impl NoSnapshot {
    /// Whether a person must choose, so that reading the files instead would hide a mistake.
    fn needs_person(&self) -> bool {
        match self {
            Self::Ambiguous { .. } | Self::DeclaredOfOther { .. } => true,
            Self::NotCsi | Self::NoClass { .. } | Self::NoStorageClass { .. } | Self::DeclaredMissing { .. } => false,
        }
    }
}

impl fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCsi => f.write_str("its volume is not of a CSI driver, and only CSI drivers take snapshots"),
            Self::NoClass { driver } => write!(f, "the site has no VolumeSnapshotClass of driver {driver}: create one"),
            Self::NoStorageClass { driver } => {
                write!(f, "its StorageClass is gone or not of driver {driver}, so no claim can be made from a snapshot: create the class again")
            }
            Self::DeclaredMissing { class } => {
                write!(
                    f,
                    "VolumeSnapshotClass {class}, which the Platform declares, doesn't exist: create it, or correct volumeSnapshotClassName of the Platform"
                )
            }
            Self::DeclaredOfOther { class, driver } => {
                write!(
                    f,
                    "VolumeSnapshotClass {class}, which the Platform declares, is not of driver {driver}: correct volumeSnapshotClassName of the Platform"
                )
            }
            Self::Ambiguous { driver, classes } => write!(
                f,
                "driver {driver} has several VolumeSnapshotClasses ({}) and not exactly one default: annotate one with {DEFAULT_CLASS_ANNOTATION}=true, or name one \
                 in volumeSnapshotClassName of the Platform",
                classes.join(", ")
            ),
        }
    }
}

/// Claims that can't be saved in the way that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSnapshots {
    application: String,
    claims: Vec<(Claim, NoSnapshot)>,
}

impl NoSnapshots {
    /// The reason of the API.
    pub fn reason(&self) -> Reason {
        Reason::NoSnapshotClass
    }
}

impl std::error::Error for NoSnapshots {}

impl fmt::Display for NoSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application {}: nothing is saved, because no snapshot can be taken: ", self.application)?;
        for (claim, why) in &self.claims {
            write!(f, "of claim {}/{}: {why}; ", claim.namespace, claim.name)?;
        }
        let (its, name) = if self.claims.len() == 1 { ("its", "name") } else { ("their", "names") };
        write!(f, "or save {its} files while they are in use: {its} {name} in spec.volumes, with method Files")
    }
}

/// The VolumeSnapshotClass of a claim's snapshots.
///
/// # Errors
/// [`NoSnapshot`], if there is none or nothing says which.
pub fn snapshot_class(volume: &ClaimVolume, classes: &[SnapshotClass]) -> Result<String, NoSnapshot> {
    let driver = volume.driver.clone().ok_or(NoSnapshot::NotCsi)?;
    let class = match &volume.declared {
        Some(declared) => {
            let class = classes.iter().find(|class| class.name == *declared).ok_or_else(|| NoSnapshot::DeclaredMissing { class: declared.clone() })?;
            if class.driver != driver {
                return Err(NoSnapshot::DeclaredOfOther { class: declared.clone(), driver });
            }
            class
        }
        None => of_driver(&driver, classes)?,
    };
    // The claim that the snapshot is read through is made by the same StorageClass.
    if volume.provisioner.as_ref() != Some(&driver) {
        return Err(NoSnapshot::NoStorageClass { driver });
    }
    Ok(class.name.clone())
}

/// The driver's default class, or else its only one.
fn of_driver<'a>(driver: &str, classes: &'a [SnapshotClass]) -> Result<&'a SnapshotClass, NoSnapshot> {
    let of_driver: Vec<&SnapshotClass> = classes.iter().filter(|class| class.driver == driver).collect();
    let defaults: Vec<&SnapshotClass> = of_driver.iter().copied().filter(|class| class.is_default).collect();
    match (defaults.as_slice(), of_driver.as_slice()) {
        ([default], _) => Ok(default),
        (_, []) => Err(NoSnapshot::NoClass { driver: driver.to_owned() }),
        ([], [only]) => Ok(only),
        _ => {
            let mut classes: Vec<String> = of_driver.iter().map(|class| class.name.clone()).collect();
            classes.sort();
            Err(NoSnapshot::Ambiguous { driver: driver.to_owned(), classes })
        }
    }
}

/// How each claim is saved; claims that are skipped are left out. `policy` is the method of claims that no rule of the Application names.
///
/// # Errors
/// [`NoSnapshots`], with all claims of which a snapshot is asked for and can't be taken.
pub fn decide<'a>(
    application: &str,
    spec: &ApplicationSpec,
    policy: VolumeMethod,
    volumes: impl IntoIterator<Item = &'a ClaimVolume>,
    classes: &[SnapshotClass],
) -> Result<BTreeMap<Claim, SavedBy>, NoSnapshots> {
    let mut saved = BTreeMap::new();
    let mut refused = Vec::new();
    for volume in volumes {
        let rule = rule_of(spec, &volume.claim.name);
        let by = match rule.unwrap_or(policy) {
            VolumeMethod::Skip => continue,
            VolumeMethod::Files => SavedBy::Files,
            VolumeMethod::Snapshot => match snapshot_class(volume, classes) {
                Ok(class) => SavedBy::Snapshot { class },
                Err(why) if rule.is_some() || why.needs_person() => {
                    refused.push((volume.claim.clone(), why));
                    continue;
                }
                Err(_) => SavedBy::Files,
            },
        };
        saved.insert(volume.claim.clone(), by);
    }
    refused.sort_by(|(a, _), (b, _)| a.cmp(b));
    if refused.is_empty() { Ok(saved) } else { Err(NoSnapshots { application: application.to_owned(), claims: refused }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VolumeMethod::{Files, Skip, Snapshot};
    use serde_json::{Value, json};

    const DRIVER: &str = "hostpath.csi.k8s.io";

    fn spec(volumes: &Value) -> ApplicationSpec {
        serde_json::from_value(json!({"department": "d", "namespaces": ["shinan-portal"], "volumes": volumes})).expect("a spec")
    }

    fn volume(name: &str) -> ClaimVolume {
        ClaimVolume {
            claim: Claim { namespace: "shinan-portal".into(), name: name.into() },
            storage_class: Some("block".into()),
            provisioner: Some(DRIVER.into()),
            driver: Some(DRIVER.into()),
            declared: None,
        }
    }

    fn class(name: &str, driver: &str, is_default: bool) -> SnapshotClass {
        SnapshotClass { name: name.into(), driver: driver.into(), is_default }
    }

    fn by(class: &str) -> SavedBy {
        SavedBy::Snapshot { class: class.into() }
    }

    #[test]
    fn a_claim_is_saved_as_the_application_says_or_else_as_the_policy_says() {
        let only = [class("snap", DRIVER, false), class("other", "nfs.example", true)];
        for (name, rule, policy, classes, expected) in [
            ("nobody says anything", None, Snapshot, &only[..], Some(by("snap"))),
            ("and there is no class", None, Snapshot, &only[1..], Some(SavedBy::Files)),
            ("and there are no classes at all", None, Snapshot, &only[2..], Some(SavedBy::Files)),
            ("the policy says Files", None, Files, &only[..], Some(SavedBy::Files)),
            ("the policy says Skip", None, Skip, &only[..], None),
            ("the rule says Files", Some("Files"), Snapshot, &only[..], Some(SavedBy::Files)),
            ("the rule says Skip", Some("Skip"), Snapshot, &only[..], None),
            ("the rule says Snapshot", Some("Snapshot"), Files, &only[..], Some(by("snap"))),
        ] {
            let rules = rule.map_or(json!([]), |method| json!([{"claim": "data-*", "method": method}]));
            let saved = decide("portal", &spec(&rules), policy, [&volume("data-0")], classes).expect("decided");
            assert_eq!(saved.into_values().next(), expected, "{name}");
        }
    }

    #[test]
    fn the_class_is_the_platforms_or_the_drivers_default_or_its_only_one() {
        let declared = |class: &str| ClaimVolume { declared: Some(class.into()), ..volume("c") };
        let two = [class("a", DRIVER, false), class("b", DRIVER, false)];
        let with_default = [class("a", DRIVER, false), class("b", DRIVER, true), class("c", "nfs.example", true)];
        let two_defaults = [class("b", DRIVER, true), class("a", DRIVER, true)];
        let driver = || DRIVER.to_owned();
        let ambiguous = || Err(NoSnapshot::Ambiguous { driver: driver(), classes: vec!["a".into(), "b".into()] });
        for (name, volume, classes, expected) in [
            ("the only one", volume("c"), &two[..1], Ok("a")),
            ("the default", volume("c"), &with_default[..], Ok("b")),
            ("two", volume("c"), &two[..], ambiguous()),
            ("two defaults", volume("c"), &two_defaults[..], ambiguous()),
            ("declared", declared("a"), &with_default[..], Ok("a")),
            ("declared among two", declared("b"), &two[..], Ok("b")),
            ("declared and missing", declared("z"), &two[..], Err(NoSnapshot::DeclaredMissing { class: "z".into() })),
            ("declared of another driver", declared("c"), &with_default[..], Err(NoSnapshot::DeclaredOfOther { class: "c".into(), driver: driver() })),
            ("of another driver", volume("c"), &with_default[2..], Err(NoSnapshot::NoClass { driver: driver() })),
            ("not CSI", ClaimVolume { driver: None, ..volume("c") }, &two[..1], Err(NoSnapshot::NotCsi)),
            ("of a class that is gone", ClaimVolume { provisioner: None, ..volume("c") }, &two[..1], Err(NoSnapshot::NoStorageClass { driver: driver() })),
            (
                "of a class of another provisioner",
                ClaimVolume { provisioner: Some("nfs.example".into()), ..volume("c") },
                &two[..1],
                Err(NoSnapshot::NoStorageClass { driver: driver() }),
            ),
        ] {
            assert_eq!(snapshot_class(&volume, classes), expected.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn a_snapshot_that_is_asked_for_and_cannot_be_taken_refuses_the_backup_with_all_claims_named() {
        let rules = json!([{"claim": "data-*", "method": "Snapshot"}, {"claim": "cache", "method": "Skip"}]);
        let volumes = [ClaimVolume { driver: None, ..volume("data-1") }, volume("data-0"), volume("cache"), volume("files")];
        let refused = decide("portal", &spec(&rules), Snapshot, &volumes, &[]).expect_err("two are asked for");
        assert_eq!(refused.reason(), Reason::NoSnapshotClass);
        assert_eq!(
            refused.to_string(),
            "application portal: nothing is saved, because no snapshot can be taken: of claim shinan-portal/data-0: the site has no VolumeSnapshotClass of driver \
             hostpath.csi.k8s.io: create one; of claim shinan-portal/data-1: its volume is not of a CSI driver, and only CSI drivers take snapshots; or save their \
             files while they are in use: their names in spec.volumes, with method Files"
        );
    }

    #[test]
    fn what_a_person_must_choose_refuses_the_backup_also_if_nobody_asked_for_a_snapshot() {
        let two = [class("a", DRIVER, false), class("b", DRIVER, false)];
        let refused = decide("portal", &spec(&json!([])), Snapshot, [&volume("c")], &two).expect_err("ambiguous");
        assert!(refused.to_string().contains("several VolumeSnapshotClasses (a, b) and not exactly one default"), "{refused}");
        let files = json!([{"claim": "c", "method": "Files"}]);
        assert!(decide("portal", &spec(&files), Snapshot, [&volume("c")], &two).is_ok(), "the way out that it names");
    }
}
