//! Whose the namespaces of sites are, read from the hub before a plan is begun and before each effect that fills a namespace: an Application may have been declared since.

use crate::{
    context::Hub,
    error::{Error, Result},
    hub,
};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use p861_core::runs::{Action, Occupants, Scope};
use p861_crds::Application;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What was read since an attempt began is good for so long: an attempt may take hours, and a hundred of them begin at the same time.
const TTL: SignedDuration = SignedDuration::from_secs(30);

/// When it was read, and what was there.
type Read = (Timestamp, Arc<Occupants>);

/// All applications, as they were read last. Clones share it.
#[derive(Clone, Default)]
pub struct Occupancy(Arc<Mutex<Option<Read>>>);

impl Occupancy {
    /// Refuses an action that fills a namespace of another application than its run's. `since` is when the attempt began: what was read before is not believed.
    ///
    /// # Errors
    /// `NamespaceTaken`, with the namespace and whose it is; else if the hub can't be read.
    pub async fn refuse(&self, hub: &Hub, scope: &Scope, action: &Action, since: Timestamp) -> Result<()> {
        if action.occupies().is_empty() {
            return Ok(());
        }
        let occupants = self.since(&hub.client, since).await?;
        occupants.refuse(scope, action).map_err(|occupied| Error::invalid(occupied.reason(), occupied.to_string()))
    }

    /// One reads, and the others wait for what it reads.
    async fn since(&self, client: &Client, since: Timestamp) -> Result<Arc<Occupants>> {
        let mut known = self.0.lock().await;
        let now = Timestamp::now();
        let is_good = |read: Timestamp| read >= since && read <= now && now.duration_since(read) < TTL;
        if let Some((_, occupants)) = known.as_ref().filter(|(read, _)| is_good(*read)) {
            return Ok(occupants.clone());
        }
        let mut occupants = Occupants::of(&hub::districts(client).await?);
        hub::for_each(client, |application: Application| occupants.add(&application)).await?;
        let occupants = Arc::new(occupants);
        *known = Some((now, occupants.clone()));
        Ok(occupants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use p861_core::runs::Allotment;
    use serde_json::{Value, json};
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// A hub with one district and these applications, which counts how often it is asked for them.
    fn client(applications: Vec<Value>, asked: &Arc<AtomicUsize>) -> Client {
        let asked = asked.clone();
        let answer = move |request: Request<Body>| {
            let items = if request.uri().path().ends_with("/applications") {
                asked.fetch_add(1, Ordering::Relaxed);
                applications.clone()
            } else {
                vec![district()]
            };
            let body = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}).to_string();
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(body.into_bytes()))))
        };
        Client::new(tower::service_fn(answer), "n")
    }

    fn district() -> Value {
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}})
    }

    fn application(name: &str, namespace: &str) -> Value {
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "shinan"},
            "spec": {"department": "d", "namespaces": [namespace]}})
    }

    #[tokio::test]
    async fn fault_i1_what_was_read_before_an_attempt_began_is_not_believed_and_many_attempts_read_once() {
        let (asked, occupancy) = (Arc::default(), Occupancy::default());
        let client = client(vec![application("portal", "shinan-portal")], &asked);
        let scope = Scope::of_district("shinan", ["west"], Allotment::of(&serde_json::from_value(district()).unwrap())).with_application("bad");
        let stop = |namespace: &str| Action::Stop { site: "west".into(), namespaces: [(namespace.to_owned(), Vec::new())].into() };
        let before = Timestamp::now();
        for _ in 0..100 {
            let occupants = occupancy.since(&client, before).await.unwrap();
            assert!(occupants.refuse(&scope, &stop("shinan-portal")).is_err() && occupants.refuse(&scope, &stop("shinan-look")).is_ok());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        occupancy.since(&client, Timestamp::now()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2, "an attempt that has begun since");
    }
}
