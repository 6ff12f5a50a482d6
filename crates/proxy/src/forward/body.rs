//! A body on its way from a stream of HTTP/2 to another, trailers included.

use crate::h2::{Inflow, poll_room};
use bytes::{Bytes, BytesMut};
use h2::SendStream;
use std::task::{Context, Poll, ready};

/// Bytes of a request's body that are kept until an answer comes, so that a target that did not process the request is no harm.
pub(super) const REPLAY_BYTES: usize = 16 * 1024;

/// One body on its way from stream to stream.
#[derive(Default)]
pub(super) struct Body {
    pub(super) done: bool,
    /// Its sink takes no more: it is done, and was not sent to its end.
    pub(super) stopped: bool,
    pub(super) moved: u64,
    /// What it waits for is the sink's room, not its source.
    pub(super) held_up: bool,
    /// What was taken from the source, as long as that is not much.
    pub(super) kept: BytesMut,
    /// Something was taken from the source that was not kept.
    pub(super) taken: bool,
}

/// Why a body broke off.
pub(super) enum Broken {
    Source,
    Sink,
}

impl Body {
    /// A body that is not kept: it can be sent once only.
    pub(super) fn once(done: bool) -> Body {
        Body {
            done,
            taken: true,
            ..Body::default()
        }
    }

    /// The sink takes no more.
    pub(super) fn stop(&mut self) {
        (self.done, self.stopped) = (true, true);
    }

    /// Moves on as far as both streams allow. The source is given room again only for what the sink took.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Inflow,
        sink: &mut SendStream<Bytes>,
        progress: &mut bool,
    ) -> Poll<Result<(), Broken>> {
        if self.done {
            // What its target does not want is put together, too.
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
                    // Taken is taken: what can't be sent is kept all the same.
                    source.release(room);
                    sink.send_data(piece, false).map_err(|_| Broken::Sink)?;
                    self.moved += room as u64;
                    *progress = true;
                }
                Some(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                None => {
                    let trailers = ready!(source.poll_trailers(cx)).map_err(|_| Broken::Source)?;
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
