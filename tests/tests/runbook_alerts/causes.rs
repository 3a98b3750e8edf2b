//! What happens in the night, alert by alert, and what the runbook of the same name says to do about it.

mod change;
mod duty;
mod operator;
mod platform;
mod protection;

use super::night::Night;
use futures::future::{FutureExt as _, LocalBoxFuture};

/// Seen to end in another suite.
pub const DRILL_FAILED: &str = "P861DrillFailed";

type Act = for<'a> fn(&'a mut Night) -> LocalBoxFuture<'a, ()>;

/// A cause of an alert, and its end.
pub struct Cause {
    pub alert: &'static str,
    pub happens: Act,
    pub mitigated: Act,
}

/// Nothing of its own: it follows from another's cause, or ends with it.
fn follows(_: &mut Night) -> LocalBoxFuture<'_, ()> {
    async {}.boxed_local()
}

/// Every cause, in the order in which they happen and are seen to.
pub fn all() -> Vec<Cause> {
    let cause = |alert, happens: Act, mitigated: Act| Cause { alert, happens, mitigated };
    vec![
        // First, while nothing else has happened that the operator would have to see again.
        cause("P861OperatorStarved", |n| operator::starved(n).boxed_local(), follows),
        cause("P861CleanUpFailed", |n| change::silent_for_ever(n).boxed_local(), |n| change::alertmanager_back(n).boxed_local()),
        // A change that can't clean up stands still.
        cause("P861RunStuck", follows, follows),
        cause("P861AlertsNotArriving", |n| duty::heartbeat(n).boxed_local(), |n| async move { duty::heartbeat_mended(n) }.boxed_local()),
        cause("P861DutyUncovered", |n| duty::gap_in_duty(n).boxed_local(), |n| duty::gap_filled(n).boxed_local()),
        cause("P861SiteUnreachable", |n| platform::far_refuses(n).boxed_local(), |n| platform::far_mended(n).boxed_local()),
        // The plan's only drill is of long ago. The next one fails, since its standby has no storage class.
        cause("P861DrillOverdue", follows, |n| async move { protection::drilled(n) }.boxed_local()),
        cause("P861SiteNodesNotReady", |n| platform::node_goes(n).boxed_local(), |n| platform::node_comes(n).boxed_local()),
        cause("P861RepositoryNotReady", |n| protection::wrong_key(n).boxed_local(), |n| protection::right_key(n).boxed_local()),
        cause("P861RepositoryDamaged", |n| protection::damage(n).boxed_local(), |n| protection::damage_mended(n).boxed_local()),
        // The restore of what is damaged fails.
        cause("P861RunFailed", follows, follows),
        cause("P861BackupFailed", |n| protection::volume(n).boxed_local(), |n| protection::volume_gone(n).boxed_local()),
        cause("P861BackupOverdue", |n| protection::late(n).boxed_local(), |n| async move { protection::in_time(n) }.boxed_local()),
        cause("P861PlatformLayerMissing", |n| platform::platform(n).boxed_local(), |n| platform::class_made(n).boxed_local()),
        cause("P861CertificateExpiring", |n| platform::certificate(n, 5).boxed_local(), |n| platform::certificate(n, 90).boxed_local()),
        // Its layer is weak because of the certificate.
        cause("P861PlatformLayerWeak", follows, follows),
        cause("P861PlatformFull", follows, |n| platform::strengthened(n).boxed_local()),
        cause("P861PlatformRunsShort", follows, follows),
        cause("P861InvalidObject", |n| operator::older_object(n).boxed_local(), |n| operator::older_object_gone(n).boxed_local()),
        cause("P861ReconcileErrors", |n| operator::rights_taken(n).boxed_local(), |n| async move { operator::rights_back(n) }.boxed_local()),
        cause("P861ObjectsNotReconciled", |n| operator::slow_repository(n).boxed_local(), |n| operator::slow_repository_gone(n).boxed_local()),
        cause("P861AlertPostsRefused", |n| async move { duty::stranger(n) }.boxed_local(), follows),
        // Late, because what can't be delivered is tried less and less often.
        cause("P861MessagesUndelivered", |n| duty::messages(n).boxed_local(), |n| duty::messages_mended(n).boxed_local()),
        cause("P861PeopleUnreachable", follows, |n| duty::people_tested(n).boxed_local()),
        cause("P861TicketOverdue", |n| duty::clocks(n).boxed_local(), |n| duty::all_acknowledged(n).boxed_local()),
    ]
}

/// What can only happen when all else is over: without an operator nothing is seen to.
pub fn last() -> Vec<Cause> {
    vec![
        // The drill that was due has failed: its site has no nodes. That a drill that passes ends it is seen where there are some, in the suite e2e.
        Cause { alert: DRILL_FAILED, happens: |n| protection::drill_failed(n).boxed_local(), mitigated: follows },
        Cause { alert: "P861OperatorDown", happens: |n| operator::operator_ends(n).boxed_local(), mitigated: follows },
        Cause {
            alert: "P861NoLeader",
            happens: |n| async move { operator::no_leader(n) }.boxed_local(),
            mitigated: |n| async move { operator::lease_allowed(n) }.boxed_local(),
        },
    ]
}
