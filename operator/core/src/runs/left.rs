//! What stays where people gave up removing, undoing or releasing it, and how it is removed by hand.

use super::Action;
use p861_crds::names::{DRILL_LABEL, RUN_LABEL};

/// What the effect would have removed, taken back or released, and what a person does about it.
pub(super) fn left(effect: &Action) -> String {
    match effect {
        Action::RemoveMovers { site, namespaces } => format!(
            "ServiceAccounts, RoleBindings and Jobs of the run in {} on {site}, with the rights of its movers: delete those whose names begin with p861-",
            namespaces.join(", ")
        ),
        Action::RemoveBubble { site, bubble } => {
            let namespaces: Vec<&str> = bubble.namespaces.values().map(String::as_str).collect();
            format!("the copy in {} on {site}: kubectl delete namespaces -l {DRILL_LABEL}={}", namespaces.join(", "), bubble.id)
        }
        Action::RemoveSnapshots { site, namespaces } => {
            format!("VolumeSnapshots in {} on {site}: kubectl delete volumesnapshots -l {RUN_LABEL}=<uid of this object>", namespaces.join(", "))
        }
        Action::StartAgain { site, namespaces } => {
            format!("workloads in {} on {site} stopped that ran before: restore again, or start them by hand", namespaces.join(", "))
        }
        Action::Execute { site, namespace, command } => {
            format!("the application's writes stopped: run {:?} in its pods in {namespace} on {site}", command.command.join(" "))
        }
        _ => "what it would have taken back".to_owned(),
    }
}
