//! A body on its way from one HTTP/2 stream to another, with its trailers.

use crate::h2::{Inflow, poll_room};
use bytes::{Bytes, BytesMut};
use h2::SendStream;
use std::task::{Context, Poll, ready};

/// Bytes of a request's body that are kept until an answer comes, so that the request can be sent again if a target did not
/// process it.
pub(super) const REPLAY_BYTES: usize = 16 * 1024;

/// The transfer of one body from stream to stream.
#[derive(Default)]
pub(super) struct Body {
    pub(super) done: bool,
    /// The sink accepts no more: the body is done, but was not sent to its end.
    pub(super) stopped: bool,
    pub(super) moved: u64,
    /// It waits for room in the sink, not for the source.
    pub(super) held_up: bool,
    /// The bytes taken from the source, while they are no more than [`REPLAY_BYTES`].
    pub(super) kept: BytesMut,
    /// Something was taken from the source that was not kept, so the body cannot be sent again.
    pub(super) taken: bool,
}

/// The side that failed.
pub(super) enum Broken {
    Source,
    Sink,
}

impl Body {
    /// A body of which nothing is kept: it can be sent only once.
    pub(super) fn once(done: bool) -> Body {
        Body {
            done,
            taken: true,
            ..Body::default()
        }
    }

    /// Stops the transfer because the sink accepts no more.
    pub(super) fn stop(&mut self) {
        (self.done, self.stopped) = (true, true);
    }

    /// Moves on as far as both streams allow. The source's window is reopened only for bytes that the sink took.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Inflow,
        sink: &mut SendStream<Bytes>,
        progress: &mut bool,
    ) -> Poll<Result<(), Broken>> {
        if self.done {
            // A body that its target does not want keeps arriving, and must be gathered as well, or its frames would
            // exhaust the frame budget.
            source.gather(cx);
        }
        while !self.done {
            self.held_up = false;
            match ready!(source.poll_bytes(cx)) {
                Some(Ok(bytes)) => {
                    let Poll::Ready(room) = poll_room(cx, sink, bytes.len()) else {
                        self.held_up = true;
                        source.gather(cx);
                        return Poll::Pending;
                    };
                    let piece = bytes.split_to(room.ok_or(Broken::Sink)?);
                    let room = piece.len();
                    if self.taken || self.kept.len() + room > REPLAY_BYTES {
                        (self.taken, self.kept) = (true, BytesMut::new());
                    } else {
                        self.kept.extend_from_slice(&piece);
                    }
                    // Released before sending: even if that fails, the bytes have left the source and are kept.
                    source.release(room);
                    sink.send_data(piece, false).map_err(|_| Broken::Sink)?;
                    self.moved += room as u64;
                    *progress = true;
                }
                Some(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                None => {
                    let trailers = ready!(source.poll_trailers(cx)).map_err(|_| Broken::Source)?;
                    // Trailers are not kept, so a body that has some cannot be sent again.
                    self.taken |= trailers.is_some();
                    match trailers {
                        Some(trailers) => sink.send_trailers(trailers),
                        None => sink.send_data(Bytes::new(), true),
                    }
                    .map_err(|_| Broken::Sink)?;
                    self.done = true;
                    *progress = true;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
