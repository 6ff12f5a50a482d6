//! A body that comes bit by bit, as the output of language models does.

use bytes::Bytes;
use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use hyper::body::{Body, Frame};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Time between two bits; the first comes at once.
const STEP: Duration = Duration::from_millis(50);
/// The content of a bit.
const BIT: &[u8] = b"token ";

/// A body that lasts this long, with a bit each 50 ms.
pub(super) struct Trickle<H> {
    end: Instant,
    sleep: Pin<Box<Sleep>>,
    _held: Option<H>,
}

impl<H> Trickle<H> {
    pub(super) fn new(time: Duration, held: Option<H>) -> Trickle<H> {
        let now = Instant::now();
        Trickle {
            end: now + time,
            sleep: Box::pin(tokio::time::sleep_until(now)),
            _held: held,
        }
    }
}

impl<H: Unpin> Body for Trickle<H> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.sleep.as_mut().poll(cx));
        let due = self.sleep.deadline();
        if due >= self.end {
            return Poll::Ready(None);
        }
        let next = (due + STEP).min(self.end);
        self.sleep.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(BIT)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test(start_paused = true)]
    async fn takes_its_time() {
        let began = Instant::now();
        let body = Trickle::<()>::new(Duration::from_millis(220), None)
            .collect()
            .await
            .unwrap();
        assert_eq!(body.to_bytes(), BIT.repeat(5));
        assert_eq!(began.elapsed(), Duration::from_millis(220));
    }
}
