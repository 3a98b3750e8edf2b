//! RoleBindings, of which a restore writes no more than it may: see [`p861_core::objects::rights`].

use super::{
    counting::Outcome,
    writing::{Item, Writer},
};
use crate::{asking::ask, movers::work::WorkError};
use p861_core::objects::{self, Rights};
use serde_json::Value;

/// How a binding is written that loses subjects.
const FEWER: &str = "without rights of people and of accounts elsewhere, which no restore gives: bind them by the District, or by hand";
/// How one counts that is not written.
const NOTHING: &str = "it gives rights only to people and to accounts elsewhere, which no restore does: bind them by the District, or by hand";

impl Writer<'_> {
    /// Takes off the subjects that a restore may not give rights to. The outcome if nothing is left to write.
    pub(super) async fn within_rights(&self, item: &mut Item<'_>) -> Result<Option<Outcome>, WorkError> {
        let of = (objects::group(&item.object), objects::kind(&item.object));
        let judge = |live: Option<&Value>| objects::rights(&item.object, live, |namespace| self.restored.contains(namespace));
        // In a copy nobody outside it has any: that is decided before.
        if self.isolated || of != ("rbac.authorization.k8s.io", "RoleBinding") || judge(None) == Rights::Whole {
            return Ok(None);
        }
        let live = match ask(self.pace, || item.what(), || item.place.get()).await? {
            Ok(live) => live,
            Err(status) => return Ok(Some(Outcome::Refused(status.message))),
        };
        match judge(live.as_ref()) {
            Rights::Whole => Ok(None),
            Rights::Fewer(fewer) => {
                item.object = fewer;
                item.adjusted.push(FEWER);
                Ok(None)
            }
            Rights::Nothing => Ok(Some(Outcome::Left(NOTHING, String::new()))),
        }
    }
}
