//! What happens in the night, alert by alert, and what the runbook of the same name says to do about it.

mod change;
mod duty;
mod operator;
mod platform;
mod protection;

use super::night::{DISTRICT, Night};
use futures::future::{FutureExt as _, LocalBoxFuture};

/// Seen to end in another suite.
pub const DRILL_FAILED: &str = "P861DrillFailed";

type Act = for<'a> fn(&'a mut Night) -> LocalBoxFuture<'a, ()>;

/// Labels of an alert, and their values.
pub type Labels = &'static [(&'static str, &'static str)];

/// A cause of an alert, and its end.
pub struct Cause {
    pub alert: &'static str,
    /// Which alert of this name it is: others of the night may have made one, too.
    pub labels: Labels,
    pub happens: Act,
    /// The words of its runbook, under Mitigation, that are followed; none if it ends by itself, or with another.
    pub runbook: &'static str,
    pub mitigated: Act,
}

fn cause(alert: &'static str, labels: Labels, happens: Act, runbook: &'static str, mitigated: Act) -> Cause {
    Cause { alert, labels, happens, runbook, mitigated }
}

/// Nothing of its own: it follows from another's cause, or ends with it.
fn follows(_: &mut Night) -> LocalBoxFuture<'_, ()> {
    async {}.boxed_local()
}

/// Every cause, in the order in which they happen and are seen to.
pub fn all() -> Vec<Cause> {
    let mut all = of_operator_and_change();
    all.extend(of_sites_and_protection());
    all.extend(of_platform());
    all.extend(of_objects_and_duty());
    all
}

fn of_operator_and_change() -> Vec<Cause> {
    vec![
        // First, while nothing else has happened that the operator would have to see again.
        cause("P861OperatorStarved", &[], |n| async move { operator::starved(n) }.boxed_local(), "give it more processor time", follows),
        cause(
            "P861CleanUpFailed",
            &[("district", DISTRICT), ("kind", "MaintenanceTicket")],
            |n| change::silent_for_ever(n).boxed_local(),
            "correct `spec.monitoring.alertmanager.url` of the Site",
            |n| change::alertmanager_back(n).boxed_local(),
        ),
        // A change that can't clean up stands still. Its page sends to the one above.
        cause("P861RunStuck", &[("district", DISTRICT), ("kind", "MaintenanceTicket")], follows, "", follows),
        cause(
            "P861AlertsNotArriving",
            &[("roster", "a-day")],
            |n| duty::heartbeat(n).boxed_local(),
            "add the rule",
            |n| async move { duty::heartbeat_mended(n) }.boxed_local(),
        ),
        cause(
            "P861DutyUncovered",
            &[("roster", "b-night")],
            |n| duty::gap_in_duty(n).boxed_local(),
            "Complete the rotations of that level",
            |n| duty::gap_filled(n).boxed_local(),
        ),
    ]
}

fn of_sites_and_protection() -> Vec<Cause> {
    vec![
        cause(
            "P861SiteUnreachable",
            &[("site", "far")],
            |n| platform::far_refuses(n).boxed_local(),
            "put a kubeconfig with it into the Secret",
            |n| platform::far_mended(n).boxed_local(),
        ),
        // The plan's only drill is of long ago. The next one fails, since its standby has no storage class.
        cause("P861DrillOverdue", &[("plan", "core")], follows, "Run an isolated drill", |n| async move { protection::drilled(n) }.boxed_local()),
        cause(
            "P861SiteNodesNotReady",
            &[("site", "near")],
            |n| platform::node_goes(n).boxed_local(),
            "wait until they have finished",
            |n| platform::node_comes(n).boxed_local(),
        ),
        cause(
            "P861RepositoryNotReady",
            &[("repository", "vault")],
            |n| protection::wrong_key(n).boxed_local(),
            "Find the password that the repository was created with",
            |n| protection::right_key(n).boxed_local(),
        ),
        cause(
            "P861RepositoryDamaged",
            &[("repository", "attic")],
            |n| protection::damage(n).boxed_local(),
            "restore the file under the same name",
            |n| protection::damage_mended(n).boxed_local(),
        ),
        // The restore of what is damaged fails.
        cause("P861RunFailed", &[("kind", "Restore")], follows, "ends by itself half an hour after the last failure", follows),
        cause(
            "P861BackupFailed",
            &[("application", "volume")],
            |n| protection::volume(n).boxed_local(),
            "Take another backup",
            |n| protection::volume_gone(n).boxed_local(),
        ),
        cause(
            "P861BackupOverdue",
            &[("application", "late")],
            |n| protection::late(n).boxed_local(),
            "Take a backup now",
            |n| async move { protection::in_time(n) }.boxed_local(),
        ),
        cause(
            "P861BackupMissed",
            &[("policy", "daily")],
            |n| protection::no_namespace(n).boxed_local(),
            "bring back what it names on its site",
            |n| protection::namespace_made(n).boxed_local(),
        ),
    ]
}

fn of_platform() -> Vec<Cause> {
    vec![
        cause(
            "P861PlatformLayerMissing",
            &[("layer", "Storage")],
            |n| platform::platform(n).boxed_local(),
            "Apply the REMEDY",
            |n| platform::class_made(n).boxed_local(),
        ),
        cause(
            "P861CertificateExpiring",
            &[("site", "here")],
            |n| platform::certificate(n, 5).boxed_local(),
            "renew it at its source",
            |n| platform::certificate(n, 90).boxed_local(),
        ),
        // Its layer is weak because of the certificate, and that has been renewed.
        cause("P861PlatformLayerWeak", &[("layer", "Security")], follows, "Apply the REMEDY", follows),
        cause("P861PlatformFull", &[("district", DISTRICT)], follows, "Strengthen the weakest layer first", |n| platform::strengthened(n).boxed_local()),
        // The disks that were bought have been declared by now.
        cause("P861PlatformRunsShort", &[("layer", "Storage")], follows, "After adding capacity, declare it in the Platform", follows),
    ]
}

fn of_objects_and_duty() -> Vec<Cause> {
    vec![
        cause(
            "P861InvalidObject",
            &[("kind", "Backup")],
            |n| operator::older_object(n).boxed_local(),
            "Delete runs that are no longer needed",
            |n| operator::older_object_gone(n).boxed_local(),
        ),
        cause(
            "P861ReconcileErrors",
            &[("kind", "Approval"), ("category", "refused")],
            |n| operator::rights_taken(n).boxed_local(),
            "upgrade p861 charts/p861 --reuse-values --force-conflicts",
            |n| async move { operator::rights_back(n) }.boxed_local(),
        ),
        cause(
            "P861ObjectsNotReconciled",
            &[("district", DISTRICT), ("kind", "BackupRepository")],
            |n| operator::slow_repository(n).boxed_local(),
            "A repository that nobody uses any more can be deleted",
            |n| operator::slow_repository_gone(n).boxed_local(),
        ),
        cause(
            "P861AlertPostsRefused",
            &[("result", "unauthorized")],
            |n| async move { duty::stranger(n) }.boxed_local(),
            "replace the token",
            |n| duty::token_replaced(n).boxed_local(),
        ),
        // Late, because what can't be delivered is tried less and less often.
        cause(
            "P861MessagesUndelivered",
            &[("district", DISTRICT)],
            |n| duty::messages(n).boxed_local(),
            "fix the channel",
            |n| duty::messages_mended(n).boxed_local(),
        ),
        cause("P861PeopleUnreachable", &[("roster", "a-day")], follows, "set the time to the next minute or two", |n| duty::people_tested(n).boxed_local()),
        cause(
            "P861TicketOverdue",
            &[("clock", "Acknowledge")],
            |n| duty::clocks(n).boxed_local(),
            "acknowledge it yourself",
            |n| duty::all_acknowledged(n).boxed_local(),
        ),
    ]
}

/// What can only happen when all else is over: without an operator nothing is seen to.
pub fn last() -> Vec<Cause> {
    vec![
        // The drill that was due has failed. That one that passes ends it is seen where there are pods to drill with, in the suite e2e.
        cause(DRILL_FAILED, &[("plan", "core")], |n| protection::drill_failed(n).boxed_local(), "Run another drill", follows),
        // The cause below starts another.
        cause("P861OperatorDown", &[], |n| operator::operator_ends(n).boxed_local(), "", follows),
        cause(
            "P861NoLeader",
            &[],
            |n| async move { operator::no_leader(n) }.boxed_local(),
            "Permissions: restore them",
            |n| async move { operator::lease_allowed(n) }.boxed_local(),
        ),
    ]
}
