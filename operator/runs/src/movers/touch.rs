//! Whether a mover has begun to change anything. What fails before has certainly changed nothing, and its answer says so: a restore that changed nothing leaves no mixture.
//!
//! It is noted where no writer can pass it by: before a request to the site that may change something is sent, and before the first change of a volume.

use http::{Method, Request};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Nothing is changed, and something may be.
const NOTHING: u8 = 0;
/// Something is changed, or may be.
const SOMETHING: u8 = 1;
/// Nothing is changed, and nothing will be: the mover has said so.
const CLOSED: u8 = 2;

/// The note of one mover. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Touch(Arc<AtomicU8>);

impl Touch {
    /// Something is about to be changed. Doesn't return once the mover has said that it has changed nothing: its process ends.
    pub fn note(&self) {
        if self.0.compare_exchange(NOTHING, SOMETHING, Ordering::SeqCst, Ordering::SeqCst) == Err(CLOSED) {
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether something was changed, or may have been.
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::SeqCst) == SOMETHING
    }

    /// Whether nothing was changed; and nothing is from here on: work on other threads may not have ended.
    pub fn close(&self) -> bool {
        self.0.compare_exchange(NOTHING, CLOSED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Whether a request may change something: a trial doesn't, and a command in a pod does, though it is a GET.
fn may_change<B>(request: &Request<B>) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_trial = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "dryRun=All"));
    if reads { ["/exec", "/attach"].iter().any(|end| request.uri().path().ends_with(end)) } else { !is_trial }
}

impl<S> Layer<S> for Touch {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting { inner, touch: self.clone() }
    }
}

/// The way to a cluster, with the note.
#[derive(Clone, Debug)]
pub struct Noting<S> {
    inner: S,
    touch: Touch,
}

impl<S, B> Service<Request<B>> for Noting<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if may_change(&request) {
            self.touch.note();
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::{convert::Infallible, future::ready};

    #[test]
    fn fault_i2_who_has_said_that_nothing_was_changed_changes_nothing_any_more() {
        let touch = Touch::default();
        assert!(touch.close());
        let late = touch.clone();
        let writes = std::thread::spawn(move || late.note());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!writes.is_finished() && !touch.is_noted());
        let touch = Touch::default();
        touch.note();
        assert!(!touch.close() && touch.is_noted());
    }

    #[test]
    fn fault_i2_only_a_request_that_may_change_something_is_noted() {
        let (maps, exec) = ("/api/v1/namespaces/n/configmaps", "/api/v1/namespaces/n/pods/p/exec?command=psql");
        for (method, path, noted) in [
            (Method::GET, maps, false),
            (Method::GET, exec, true),
            (Method::POST, maps, true),
            (Method::POST, "/api/v1/namespaces/n/configmaps?&dryRun=All&fieldManager=p861-operator", false),
            (Method::PATCH, "/api/v1/namespaces/n/configmaps/a?dryRun=All", false),
            (Method::PUT, maps, true),
            (Method::PATCH, maps, true),
            (Method::DELETE, maps, true),
        ] {
            let touch = Touch::default();
            let mut service = touch.layer(tower::service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(()))));
            let request = Request::builder().method(method.clone()).uri(path).body(()).unwrap();
            service.call(request).now_or_never().unwrap().unwrap();
            assert_eq!(touch.is_noted(), noted, "{method} {path}");
        }
    }
}
