//! One stream of a client, seen by the stages as a connection: the request's body is read from it, the answer's body is
//! written to it, and the answer's head is sent as a head.

use super::Inflow;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How far the answer has got.
enum Answer {
    /// Not begun.
    None(SendResponse<Bytes>),
    /// The head was sent.
    Begun(SendStream<Bytes>),
    /// The end was sent.
    Ended,
}

/// A client's stream.
pub(crate) struct Stream {
    /// The request's body.
    pub(crate) body: Inflow,
    answer: Answer,
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Stream {
    pub(crate) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> Stream {
        Stream {
            body: Inflow::new(body),
            answer: Answer::None(respond),
        }
    }

    /// Both directions, once the answer's head was sent.
    pub(crate) fn both(&mut self) -> Option<(&mut Inflow, &mut SendStream<Bytes>)> {
        match &mut self.answer {
            Answer::Begun(sink) => Some((&mut self.body, sink)),
            Answer::None(_) | Answer::Ended => None,
        }
    }

    /// Marks the answer as complete.
    pub(crate) fn ended(&mut self) {
        self.answer = Answer::Ended;
    }

    /// Ready when the client has reset the stream.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.answer {
            Answer::None(respond) => respond.poll_reset(cx).map(|_| ()),
            Answer::Begun(sink) => sink.poll_reset(cx).map(|_| ()),
            Answer::Ended => Poll::Pending,
        }
    }

    /// Sends the answer's head; `ends`: there is no body.
    pub(crate) fn send_head(&mut self, head: Response<()>, ends: bool) -> io::Result<()> {
        let Answer::None(respond) = &mut self.answer else {
            return Err(broken());
        };
        let sink = respond.send_response(head, ends).map_err(|_| broken())?;
        self.answer = if ends { Answer::Ended } else { Answer::Begun(sink) };
        Ok(())
    }

    /// Ends an answer whose body was written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Answer::Begun(sink) = &mut self.answer {
            sink.send_data(Bytes::new(), true).map_err(|_| broken())?;
            self.answer = Answer::Ended;
        }
        Ok(())
    }
}

/// Waits until some of `wanted` bytes may be sent; none if the stream no longer exists.
pub(crate) fn poll_room(
    cx: &mut Context<'_>,
    sink: &mut SendStream<Bytes>,
    wanted: usize,
) -> Poll<Option<usize>> {
    sink.reserve_capacity(wanted);
    loop {
        let room = sink.capacity();
        if room > 0 {
            return Poll::Ready(Some(room.min(wanted)));
        }
        match ready!(sink.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(None),
        }
    }
}

impl Drop for Stream {
    /// Resets a stream whose answer never came or broke off: the client must not take it for a complete one.
    fn drop(&mut self) {
        match &mut self.answer {
            Answer::None(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Begun(sink) => sink.send_reset(Reason::INTERNAL_ERROR),
            Answer::Ended => {}
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = match ready!(self.body.poll_bytes(cx)) {
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => return Poll::Ready(Ok(())),
        };
        let count = room.remaining().min(bytes.len());
        room.put_slice(&bytes.split_to(count));
        // The window reopens only for bytes that were passed on, so the client is slowed to the target's pace.
        self.body.release(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Answer::Begun(sink) = &mut self.answer else {
            return Poll::Ready(Err(broken()));
        };
        // Only as much as the client's window has room for: `h2` would queue the rest without a bound, and the target would
        // not be slowed to the client's pace.
        let Some(room) = ready!(poll_room(cx, sink, bytes.len())) else {
            return Poll::Ready(Err(broken()));
        };
        // Copied, because the buffer is filled again while `h2` still holds the data.
        let sent = sink.send_data(Bytes::copy_from_slice(&bytes[..room]), false);
        Poll::Ready(sent.map(|()| room).map_err(|_| broken()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish())
    }
}
