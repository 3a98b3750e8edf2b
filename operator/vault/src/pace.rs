//! How fast a process uploads to repositories: a thin line is shared with the people of an office. One rate holds for all that a process writes.
//!
//! What is large is sent one object after the other, in pieces of which each is followed by the pause that the rate asks for: so the line is never full for longer than a
//! piece takes. What is small (leases, results, records) goes at once: a lease must not wait, and it is too little to matter.

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Sleep,
};

/// A body of at most so many bytes is small.
const SMALL_BYTES: u64 = 64 << 10;
/// No rate is lower: how long a transfer may take at most follows from it.
const MIN_BYTES_PER_SECOND: u64 = 4 << 10;
/// Pieces that a second has, if they are not too large or too small by that.
const PIECES_PER_SECOND: u64 = 8;
/// Smallest and largest piece.
const PIECE_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=64 << 10;

static OF_PROCESS: LazyLock<Pace> = LazyLock::new(Pace::default);

/// Sets how many bytes this process uploads per second from now on, in all; none if there is no limit. What is under way follows.
pub fn set_upload_rate(bytes_per_second: Option<u64>) {
    OF_PROCESS.set(bytes_per_second);
}

/// A rate, and whose turn it is. Clones share both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Bytes per second; 0 if there is no limit.
    rate: AtomicU64,
    /// Held while something large is sent.
    turn: Mutex<()>,
}

impl Pace {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        OF_PROCESS.clone()
    }

    pub(crate) fn set(&self, bytes_per_second: Option<u64>) {
        self.0.rate.store(bytes_per_second.map_or(0, |rate| rate.max(MIN_BYTES_PER_SECOND)), Ordering::Relaxed);
    }

    fn rate(&self) -> Option<u64> {
        Some(self.0.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    fn holds_up(&self, bytes: u64) -> bool {
        bytes > SMALL_BYTES && self.rate().is_some()
    }

    /// Waits until so many bytes may be sent; nothing else that is large is sent until what it gives is dropped.
    pub(crate) async fn turn(&self, bytes: u64) -> Option<MutexGuard<'_, ()>> {
        if self.holds_up(bytes) { Some(self.0.turn.lock().await) } else { None }
    }

    /// How much longer than without a limit so many bytes may take, whatever the limit becomes meanwhile.
    pub(crate) fn longer(&self, bytes: u64) -> Duration {
        if self.holds_up(bytes) { Duration::from_secs(bytes / MIN_BYTES_PER_SECOND) } else { Duration::ZERO }
    }

    /// The pause after so many bytes that were written at once; none after what is small.
    pub(crate) fn pause(&self, bytes: u64) -> Duration {
        if self.holds_up(bytes) { self.pause_after(bytes) } else { Duration::ZERO }
    }

    fn pause_after(&self, bytes: u64) -> Duration {
        self.rate().map_or(Duration::ZERO, |rate| Duration::from_micros(bytes.saturating_mul(1_000_000) / rate))
    }

    /// A body that is sent at this pace.
    pub(crate) fn body(&self, body: SdkBody) -> SdkBody {
        if body.content_length().is_some_and(|bytes| self.holds_up(bytes)) {
            SdkBody::from_body_1_x(Paced { body, rest: Bytes::new(), pause: None, pace: self.clone() })
        } else {
            body
        }
    }

    fn piece(&self) -> u64 {
        self.rate().map_or(*PIECE_BYTES.end(), |rate| (rate / PIECES_PER_SECOND).clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end()))
    }
}

struct Paced {
    body: SdkBody,
    /// What the body gave and was not sent yet.
    rest: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    pace: Pace,
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(usize::try_from(self.pace.piece()).unwrap_or(usize::MAX));
        let piece = self.rest.split_to(length);
        let pause = self.pace.pause_after(piece.len() as u64);
        self.pause = (!pause.is_zero()).then(|| Box::pin(tokio::time::sleep(pause)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = Body::size_hint(&self.body);
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Instant;

    async fn pieces(pace: &Pace, bytes: usize) -> Vec<(usize, Duration)> {
        let (began, mut body, mut found) = (Instant::now(), pace.body(SdkBody::from(vec![7_u8; bytes])), Vec::new());
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let data = frame.expect("a frame").into_data().expect("data");
            assert!(data.iter().all(|byte| *byte == 7));
            found.push((data.len(), began.elapsed()));
        }
        assert_eq!(found.iter().map(|(length, _)| length).sum::<usize>(), bytes, "all of it");
        found
    }

    #[tokio::test]
    async fn a_large_body_is_sent_in_pieces_at_the_rate_and_follows_it_when_it_changes() {
        let pace = Pace::default();
        pace.set(Some(256 << 10));
        let sent = pieces(&pace, 160 << 10).await;
        let (_, last) = sent.last().expect("pieces");
        assert!(sent.iter().all(|(length, _)| *length == 32 << 10), "{sent:?}");
        // Four pauses of an eighth of a second lie before the fifth piece.
        assert!((0.5..3.0).contains(&last.as_secs_f64()), "{last:?}");
        pace.set(None);
        assert_eq!(pieces(&pace, 512 << 10).await.len(), 1, "no limit, no pieces");
    }

    #[tokio::test]
    async fn a_small_body_goes_at_once_while_a_large_one_is_sent_and_two_large_ones_take_turns() {
        let pace = Pace::default();
        pace.set(Some(1));
        assert_eq!(pieces(&pace, 64 << 10).await.len(), 1);
        let large = pace.turn(65 << 10).await;
        assert!(large.is_some() && pace.turn(64 << 10).await.is_none(), "what is small takes no turn");
        let next = tokio::time::timeout(Duration::from_millis(50), pace.turn(65 << 10));
        assert!(next.await.is_err(), "the second waits");
        drop(large);
        assert!(pace.turn(65 << 10).await.is_some());
        // No rate is below the least, so that it is known how long a transfer may take.
        assert_eq!(pace.longer(64 << 20), Duration::from_secs(16 << 10));
        assert_eq!((pace.longer(1), pace.pause(1)), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn a_body_keeps_its_length_so_that_the_request_says_it() {
        let pace = Pace::default();
        pace.set(Some(1 << 20));
        assert_eq!(pace.body(SdkBody::from(vec![0_u8; 300_000])).content_length(), Some(300_000));
    }
}
