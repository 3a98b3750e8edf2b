//! A mover's request to end: it is told so by a signal, begins nothing new, and says what it has done.

use std::time::Duration;
use tokio::sync::watch;

/// How long work that was told to end waits for the answers to what it has asked for.
pub const END_PATIENCE: Duration = Duration::from_millis(1_500);

/// Makes the request.
#[derive(Debug)]
pub struct Ender(watch::Sender<bool>);

impl Ender {
    /// Makes it. Once is enough.
    pub fn end(&self) {
        self.0.send_replace(true);
    }
}

/// The request, as work sees it.
#[derive(Clone, Debug)]
pub struct EndRequest(watch::Receiver<bool>);

/// A request that can be made, and what sees it.
pub fn end_request() -> (Ender, EndRequest) {
    let (sender, receiver) = watch::channel(false);
    (Ender(sender), EndRequest(receiver))
}

impl EndRequest {
    /// One that nobody makes.
    pub fn never() -> Self {
        end_request().1
    }

    /// Whether it was made.
    pub fn is_made(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is made.
    pub async fn made(&self) {
        let mut request = self.0.clone();
        if request.wait_for(|made| *made).await.is_err() {
            // Nobody is left who could make it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it was made and [`END_PATIENCE`] is over.
    pub async fn over(&self) {
        self.made().await;
        tokio::time::sleep(END_PATIENCE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_seen_by_all_and_one_that_nobody_can_make_never_is() {
        let (ender, request) = end_request();
        let other = request.clone();
        assert!(!request.is_made());
        ender.end();
        other.made().await;
        assert!(request.is_made() && other.is_made());
        let waits = tokio::time::timeout(Duration::from_millis(50), EndRequest::never().made()).await;
        assert!(waits.is_err(), "it would end every work at once");
        let since = std::time::Instant::now();
        request.over().await;
        assert!(since.elapsed() >= END_PATIENCE);
    }
}
