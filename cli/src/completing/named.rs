//! Which arguments name what.

use clap::Arg;
use kube::{Resource, core::ApiResource};

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A context of the kubeconfig.
    Context,
    /// An application of the district.
    Application,
    /// A backup.
    Backup,
    /// A district.
    District,
    /// A drill.
    Drill,
    /// A recovery plan.
    Plan,
    /// A backup policy.
    Policy,
    /// A backup repository.
    Repository,
    /// A restore.
    Restore,
    /// A duty roster.
    Roster,
    /// A site.
    Site,
    /// A step of the run that was typed before it.
    Step,
    /// A template, of the district or of the city.
    Template,
    /// A ticket.
    Ticket,
    /// A maintenance window.
    Window,
}

/// Where the objects of a kind are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// They are the whole city's.
    Cluster,
    /// In the namespace of the district.
    District,
    /// There, and in the operator's.
    DistrictAndCity,
}

impl Named {
    /// The kind, as the API server serves it; none of what is no object on the hub.
    pub fn resource(self) -> Option<ApiResource> {
        fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        Some(match self {
            Self::Context | Self::Step => return None,
            Self::Application => of::<p861_crds::Application>(),
            Self::Backup => of::<p861_crds::Backup>(),
            Self::District => of::<p861_crds::District>(),
            Self::Drill => of::<p861_crds::Drill>(),
            Self::Plan => of::<p861_crds::RecoveryPlan>(),
            Self::Policy => of::<p861_crds::BackupPolicy>(),
            Self::Repository => of::<p861_crds::BackupRepository>(),
            Self::Restore => of::<p861_crds::Restore>(),
            Self::Roster => of::<p861_crds::DutyRoster>(),
            Self::Site => of::<p861_crds::Site>(),
            Self::Template => of::<p861_crds::ChangeTemplate>(),
            Self::Ticket => of::<p861_crds::MaintenanceTicket>(),
            Self::Window => of::<p861_crds::MaintenanceWindow>(),
        })
    }

    /// Where its objects are.
    pub fn place(self) -> Place {
        match self {
            Self::District | Self::Site => Place::Cluster,
            Self::Template => Place::DistrictAndCity,
            _ => Place::District,
        }
    }
}

/// What an argument of a command names, if it names what there is already.
pub fn of(path: &[String], argument: &Arg) -> Option<Named> {
    let word = |index: usize| path.get(index).map(String::as_str).unwrap_or_default();
    let (noun, verb, id) = (word(0), word(1), argument.get_id().as_str());
    Some(match (id, noun, verb) {
        ("context" | "site_context", ..) => Named::Context,
        ("district", ..) => Named::District,
        // The name of the Application that is drafted, and of an object in a backup.
        ("name", "app", "discover") | ("name", "restore", "get") => return None,
        ("site" | "sites", ..) | ("name", "site", _) => Named::Site,
        ("application" | "applications", ..) | ("name", "app", _) | ("of", "backup", "retention") => Named::Application,
        ("name", "policy", _) => Named::Policy,
        ("repository", ..) | ("name", "repository", _) => Named::Repository,
        ("backup" | "belief", "restore", _) | ("name" | "belief", "backup", _) => Named::Backup,
        ("name", "restore", _) => Named::Restore,
        ("plan", "drill", _) | ("name", "plan", _) => Named::Plan,
        ("name", "drill", _) => Named::Drill,
        ("window", ..) | ("name", "window", _) => Named::Window,
        ("template", ..) | ("name", "template", _) => Named::Template,
        ("name", "ticket", _) => Named::Ticket,
        ("roster", ..) => Named::Roster,
        ("step", ..) => Named::Step,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args, text::Language};
    use clap::Command;
    use std::collections::BTreeSet;

    /// Arguments that take a text of one's own, or a name of what the hub has no list of.
    const NOT_NAMED: &[&str] = &[
        "as_group",
        "as_user",
        "by",
        "component",
        "digest",
        "drain",
        "due",
        "folder",
        "from",
        "keep_until",
        "name of app discover",
        "name of restore get",
        "namespace",
        "namespace_on_site",
        "not_after",
        "note",
        "operator_namespace",
        "person",
        "plan of ticket open",
        "reason",
        "rollback",
        "scenario",
        "text",
        "title",
    ];

    #[test]
    fn every_argument_that_names_an_object_is_completed() {
        fn collect(command: &Command, path: &[String], found: &mut BTreeSet<String>) {
            let texts = command.get_arguments().filter(|argument| argument.get_action().takes_values());
            let texts = texts.filter(|argument| argument.get_value_parser().type_id() == std::any::TypeId::of::<String>());
            for argument in texts.filter(|argument| of(path, argument).is_none()) {
                let id = argument.get_id().as_str();
                let ambiguous = id == "name" || id == "plan";
                found.insert(if ambiguous { format!("{id} of {}", path.join(" ")) } else { id.to_owned() });
            }
            for inner in command.get_subcommands() {
                collect(inner, &[path, &[inner.get_name().to_owned()]].concat(), found);
            }
        }
        let mut found = BTreeSet::new();
        collect(&args::command(Language::En, false), &[], &mut found);
        let unknown: Vec<&String> = found.iter().filter(|id| !NOT_NAMED.contains(&id.as_str())).collect();
        assert!(unknown.is_empty(), "say in `of` what these name, or that they name nothing: {unknown:?}");
    }
}
