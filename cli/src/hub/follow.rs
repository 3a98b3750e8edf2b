//! Following one object: a watch, opened anew at least every [`WATCH`] seconds with a fresh read before it, through failures of the hub.

use super::{Hub, Kind, explain::failure, read::present};
use crate::{error::Failure, exit::ExitStatus, text};
use futures::StreamExt as _;
use kube::{
    Api,
    api::WatchParams,
    core::{ApiResource, DynamicObject, WatchEvent},
};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;

/// Seconds after which the API server ends a watch. The read before the next one is the resync.
const WATCH: u32 = 25;
/// Between two attempts to reach the hub.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Events of following an object.
#[derive(Clone, Debug)]
pub enum Seen<K> {
    /// The object, as it is now; also when nothing changed.
    Object(Box<K>, Value),
    /// The object is not there, or not any more.
    Gone,
    /// The hub does not answer; it is tried again.
    Unreachable(Failure),
    /// The hub refuses; it is useless to try again.
    Refused(Failure),
}

/// Follows one object of the district until the receiver is dropped, or the hub refuses.
pub fn follow<K: Kind>(hub: &Hub, name: &str) -> mpsc::Receiver<Seen<K>> {
    let (sender, receiver) = mpsc::channel(16);
    let (api, resource) = hub.api::<K>(Some(&hub.namespace));
    let follower = Follower { api, resource, address: hub.address.clone(), name: name.to_owned(), sender };
    tokio::spawn(follower.run());
    receiver
}

struct Follower<K> {
    api: Api<DynamicObject>,
    resource: ApiResource,
    address: String,
    name: String,
    sender: mpsc::Sender<Seen<K>>,
}

impl<K: Kind> Follower<K> {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let version = match self.api.get_opt(&self.name).await {
                Ok(Some(object)) => {
                    pause = FIRST_PAUSE;
                    let version = object.metadata.resource_version.clone().unwrap_or_default();
                    if !self.show(&object).await {
                        return;
                    }
                    version
                }
                Ok(None) => {
                    let _ = self.sender.send(Seen::Gone).await;
                    return;
                }
                Err(error) => {
                    let failure = failure(&error, &self.address, &text::to_read(K::NOUN, &self.name));
                    let hopeless = failure.exit != ExitStatus::Unreachable;
                    if self.sender.send(if hopeless { Seen::Refused(failure) } else { Seen::Unreachable(failure) }).await.is_err() || hopeless {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            };
            if !self.watch(&version).await {
                return;
            }
        }
    }

    /// Watches until the watch ends, for any reason. False if the receiver is closed.
    async fn watch(&self, version: &str) -> bool {
        let params = WatchParams::default().fields(&format!("metadata.name={}", self.name)).timeout(WATCH);
        let Ok(events) = self.api.watch(&params, version).await else {
            // Who may read but not watch reads again after a pause; so does everyone while the hub is in trouble.
            tokio::time::sleep(FIRST_PAUSE).await;
            return !self.sender.is_closed();
        };
        let mut events = events.boxed();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.sender.closed() => return false,
            };
            match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    if !self.show(&object).await {
                        return false;
                    }
                }
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                // Deleted, too old a version, a broken line, or the end of the watch's time: the read that follows tells.
                Some(Ok(WatchEvent::Deleted(_))) | None => return true,
                Some(Ok(WatchEvent::Error(_)) | Err(_)) => {
                    tokio::time::sleep(FIRST_PAUSE).await;
                    return true;
                }
            }
        }
    }

    async fn show(&self, object: &DynamicObject) -> bool {
        let raw = present(object, &self.resource);
        let seen = match serde_json::from_value(raw.clone()) {
            Ok(object) => Seen::Object(Box::new(object), raw),
            Err(error) => Seen::Refused(Failure::unexpected(text::unreadable(K::NOUN, &self.name, &error.to_string()))),
        };
        let readable = matches!(seen, Seen::Object(..));
        self.sender.send(seen).await.is_ok() && readable
    }
}
