//! RoleBindings, of which a restore writes no more than it may: see [`p861_core::objects::rights`].

use super::{
    counting::Outcome,
    writing::{Item, Writer},
};
use crate::{asking::ask, movers::work::WorkError, sites::for_each};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Api, api::ListParams};
use p861_core::objects::{self, Rights};
use serde_json::Value;

/// How a binding is written that loses subjects.
const FEWER: &str = "without rights of people and of accounts elsewhere, which no restore gives: bind them by the District, or by hand";
/// How one counts that is not written.
const NOTHING: &str = "it gives rights only to people and to accounts elsewhere, which no restore does: bind them by the District, or by hand";

/// How a Role counts that is left as it is.
const WIDER: &str = "people, or accounts elsewhere, are bound to it, and no restore gives them other rights: apply it by hand";

impl Writer<'_> {
    /// Takes off the subjects that a restore may not give rights to. The outcome if nothing is left to write.
    pub(super) async fn within_rights(&self, item: &mut Item<'_>) -> Result<Option<Outcome>, WorkError> {
        let of = (objects::group(&item.object), objects::kind(&item.object));
        if !self.isolated && of == ("rbac.authorization.k8s.io", "Role") {
            return self.widens(item).await;
        }
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

    /// The outcome if the Role must stay as it is.
    async fn widens(&self, item: &Item<'_>) -> Result<Option<Outcome>, WorkError> {
        let namespace = objects::namespace(&item.object);
        // Nobody is bound in one that isn't there.
        if self.absent.iter().any(|absent| absent == namespace) {
            return Ok(None);
        }
        let live = match ask(self.pace, || item.what(), || item.place.get()).await? {
            Ok(live) => live,
            Err(status) => return Ok(Some(Outcome::Refused(status.message))),
        };
        let (mut bindings, mut unreadable) = (Vec::new(), None);
        let take = |binding: RoleBinding| match serde_json::to_value(binding) {
            Ok(binding) => bindings.push(binding),
            Err(error) => unreadable = Some(error),
        };
        let of_namespace = Api::<RoleBinding>::namespaced(self.client.clone(), namespace);
        for_each(&of_namespace, ListParams::default(), || format!("the RoleBindings of {namespace}"), take).await?;
        if let Some(error) = unreadable {
            return Ok(Some(Outcome::Refused(format!("who is bound to it can't be read: {error}"))));
        }
        let more = objects::gives_more(&item.object, live.as_ref(), &bindings, |namespace| self.restored.contains(namespace));
        Ok(more.then(|| Outcome::Left(WIDER, String::new())))
    }
}
