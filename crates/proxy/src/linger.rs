//! Lingering close: what a client still sends after the last answer of its connection is read and dropped, so that the
//! answer is not lost to a reset.

use crate::session::Session;
use crate::wire::Wire;
use forebay_units::Mono;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// Time that a client which owes nothing has to send and close, after an answer that closes its connection.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// Longest silence of a client whose remaining body is read.
const OWED_SILENCE: Duration = Duration::from_secs(30);
/// How long such a client may be slow, and the bytes per second that it must have sent after that.
const OWED_GRACE: Duration = Duration::from_secs(5);
const OWED_RATE: u64 = 1024;

/// The rest of the request that a client still owes when its answer is out and its connection is about to close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owes {
    /// Bytes left of its request's body; [`u64::MAX`] if unknown. Many clients read nothing before they have written their
    /// whole body: a reset would destroy their answer.
    body: u64,
    /// The most time that it may take for that, in all.
    within: Duration,
}

impl Owes {
    pub(crate) fn of(body: u64, within: Duration) -> Owes {
        Owes { body, within }
    }

    /// When the wait for more ends, after `read` bytes since it began.
    fn until(self, began: Mono, now: Mono, read: u64) -> Mono {
        if self.body == 0 {
            return began + LINGER;
        }
        if read >= self.body {
            return now + LINGER;
        }
        let paid = Duration::from_secs(read / OWED_RATE);
        (now + OWED_SILENCE)
            .min(began + OWED_GRACE.max(paid).saturating_add(OWED_GRACE))
            .min(began + self.within)
    }
}

/// Closes the sending half, and reads what the client still sends, so that the answer is not lost to a reset (RFC 9112,
/// section 9.6). The request buffers serve others meanwhile. An HTTP/2 stream needs this too: dropping it before its
/// request's end would discard the part of the answer that still waits to be written.
pub(crate) async fn linger<W: Wire>(session: &mut Session<'_, W>, owes: Owes) {
    let Session {
        worker,
        client,
        deadline,
        buffers,
        ..
    } = session;
    worker.buffer_pool.borrow_mut().clear(buffers);
    let (began, mut read) = (worker.now(), 0);
    deadline.watch(None);
    deadline.arm(owes.until(began, began, read), false);
    let closing = poll_fn(|cx| {
        ready!(Pin::new(&mut **client).poll_shutdown(cx))?;
        let mut rest = [0; 4096];
        loop {
            let mut room = ReadBuf::new(&mut rest);
            ready!(Pin::new(&mut **client).poll_read(cx, &mut room))?;
            let count = room.filled().len();
            if count == 0 {
                return Poll::Ready(std::io::Result::Ok(()));
            }
            read += count as u64;
            // Bytes beyond the owed body do not extend the wait, or a client could stay forever.
            if owes.body > 0 && read - (count as u64) < owes.body {
                deadline.arm(owes.until(began, worker.recent(), read), false);
            }
        }
    });
    let _ = deadline.until(closing).await;
}
