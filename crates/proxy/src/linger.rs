//! After the last answer of a connection: what its client still sends is read over, so that the answer is not lost to a reset.

use crate::session::Session;
use crate::wire::Wire;
use forebay_units::Mono;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// Time in which a client that owes nothing may still send and close, after an answer that closes its connection.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// Silence allowed to a client whose body is read over.
const OWED_SILENCE: Duration = Duration::from_secs(30);
/// How long such a client may be slow, and what it must have sent by then for each second.
const OWED_GRACE: Duration = Duration::from_secs(5);
const OWED_RATE: u64 = 1024;

/// What a client still owes when its answer is out and its connection is to close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owes {
    /// Bytes of the rest of its request's body; [`u64::MAX`] if that is not known. Many clients read nothing before they have written
    /// all of that: their answer would be lost to a reset.
    body: u64,
    /// How long it may take for it, in all.
    within: Duration,
}

impl Owes {
    pub(crate) fn of(body: u64, within: Duration) -> Owes {
        Owes { body, within }
    }

    /// When the wait for more ends, so much having come since it began.
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

/// Says that nothing more comes, and reads what the client still sends, so that the answer is not lost to a reset (RFC 9112
/// section 9.6). The buffers' room serves others meanwhile. (A stream of HTTP/2 that is dropped before its request's end takes the
/// answer along that still waits to be written.)
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
            if owes.body > 0 && read - (count as u64) < owes.body {
                deadline.arm(owes.until(began, worker.recent(), read), false);
            }
        }
    });
    let _ = deadline.until(closing).await;
}
