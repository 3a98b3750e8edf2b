//! HTTP layer in front of each cluster: a request that changes something is sent only while this process holds the lease.
//!
//! Controllers check the lease before they act. This checks it again for each request, so that a pass that hangs between two writes can't continue after its
//! lease has expired.

use crate::{error::Error, leadership::Leadership, printable::Printable};
use http::{Method, Request};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use std::{
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
};
use tower::{BoxError, Layer, Service};

/// A client that refuses writes unless this process leads.
///
/// # Errors
/// If the configuration can't be used.
pub fn client(mut config: Config, leadership: &Leadership) -> Result<Client, kube::Error> {
    // Engine and controllers decide when to retry. The client's own retries would block a pass for a minute on an eviction that a disruption budget refuses.
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.with_layer(&Printable).with_layer(&WhileLeading(leadership.clone())).build())
}

/// The same client, except that it refuses every request that changes an object, whoever leads. For code that only looks. `exec` passes: checks look by a
/// command in a pod.
pub fn reading(client: &Client) -> Client {
    let (whole, namespace) = (client.clone(), client.default_namespace().to_owned());
    let gate = move |request: Request<Body>| {
        let whole = whole.clone();
        async move {
            if !is_read(request.method()) {
                let what = format!("{} {} by code that may only read", request.method(), request.uri().path());
                return Err(BoxError::from(Error::Internal(what)));
            }
            Ok(whole.send(request).await?)
        }
    };
    Client::new(tower::service_fn(gate), namespace)
}

/// Refuses writes unless this process leads.
#[derive(Clone, Debug)]
struct WhileLeading(Leadership);

impl<S> Layer<S> for WhileLeading {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, leadership: self.0.clone() }
    }
}

/// The way to a cluster behind the gate.
#[derive(Clone, Debug)]
struct Guarded<S> {
    inner: S,
    leadership: Leadership,
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// `exec` and `attach` are GET requests, but count as writes.
fn changes_something<B>(request: &Request<B>) -> bool {
    !is_read(request.method()) || ["/exec", "/attach"].iter().any(|end| request.uri().path().ends_with(end))
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if changes_something(&request) && !self.leadership.holds() {
            return Box::pin(ready(Err(Error::LeaseLost.into())));
        }
        let answer = self.inner.call(request);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{convert::Infallible, time::Duration};

    async fn sent(leadership: &Leadership, method: Method, path: &str) -> bool {
        let server = tower::service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(())));
        let mut gate = WhileLeading(leadership.clone()).layer(server);
        let request = Request::builder().method(method).uri(path).body(()).expect("a request");
        gate.call(request).await.is_ok()
    }

    #[tokio::test]
    async fn nothing_is_changed_without_the_lease_and_reading_goes_on() {
        let (pods, exec) = ("/api/v1/namespaces/n/pods", "/api/v1/namespaces/n/pods/p/exec?command=psql");
        let leadership = Leadership::none();
        assert!(sent(&leadership, Method::GET, pods).await);
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(!sent(&leadership, method, pods).await);
        }
        assert!(!sent(&leadership, Method::GET, exec).await);
        leadership.lead_for(Duration::from_mins(1));
        assert!(sent(&leadership, Method::PATCH, pods).await);
        assert!(sent(&leadership, Method::GET, exec).await);
        leadership.lead_for(Duration::ZERO);
        assert!(!sent(&leadership, Method::PATCH, pods).await, "an expired lease is none");
    }

    #[tokio::test]
    async fn a_client_that_only_reads_sends_no_write_and_says_which_it_refused() {
        let server = tower::service_fn(|_: Request<Body>| ready(Ok::<_, Infallible>(http::Response::new(Body::empty()))));
        let reading = reading(&Client::new(server, "default"));
        let (pods, exec) = ("/api/v1/namespaces/n/pods", "/api/v1/namespaces/n/pods/p/exec?command=psql");
        for (method, path, passes) in [
            (Method::GET, pods, true),
            (Method::GET, exec, true),
            (Method::POST, pods, false),
            (Method::PUT, pods, false),
            (Method::PATCH, pods, false),
            (Method::DELETE, pods, false),
        ] {
            let request = Request::builder().method(method.clone()).uri(path).body(Body::empty()).expect("a request");
            let answer = reading.send(request).await;
            assert_eq!(answer.is_ok(), passes, "{method} {path}");
            let told = answer.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(passes || told.contains(&format!("{method} {path}")), "{told}");
        }
    }
}
