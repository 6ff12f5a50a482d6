//! A client's stream as requests see it, whether it is a socket, TLS over one, or an HTTP/2 stream.

use crate::h2::Stream;
use crate::socket::Socket;
use crate::tls::{End, TlsStream};
use http::Response;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;

/// A client's plaintext bytes: requests are read from it, answers are written to it.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin {
    /// Ready when a read would not block. Holds no buffer meanwhile.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ready when the client has closed; pending forever if it has sent more bytes instead.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the client has closed, perhaps behind bytes that were not read. For requests that wait for a slot with their
    /// bodies unread.
    fn has_left(&self) -> bool {
        false
    }

    /// Joins the frames of the request's body that have come while nobody takes them.
    fn gather(&mut self, _cx: &mut Context<'_>) {}

    /// Announces the end of the connection (TLS close_notify), if that is possible at once. Only for a connection on which
    /// no answer is owed: after a truncated body it would make the part look complete.
    fn farewell(&mut self) {}

    /// Makes the connection's end recognisable as premature (a reset), where nothing else tells it from the end of an
    /// answer.
    fn break_off(&mut self) {}
}

/// How the parts of an answer other than its body are sent. By default they are bytes like all others.
pub(crate) trait ResponseSink {
    /// Answers are sent in frames: their heads by `send_head`, their ends by `finish`. Each request has its own sink.
    const FRAMED: bool = false;

    /// Sends an answer's head; `ends`: there is no body. Only for framed answers.
    fn send_head(&mut self, _head: Response<()>, _ends: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends an answer whose body was written. Does nothing where its length or the connection's end delimits it.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The HTTP/2 stream, if it is one.
    fn stream(&mut self) -> Option<&mut Stream> {
        None
    }
}

/// The transport of a client's requests.
pub(crate) trait Wire: ByteStream + ResponseSink {
    /// How the future that forwards a request is stored: in place, or boxed where many requests may wait for a slot first
    /// and must not each take up a forwarding's memory.
    type Forwarding<F: Future>: Future<Output = F::Output>;

    /// Stores it that way.
    fn hold<F: Future>(forwarding: F) -> Self::Forwarding<F>;
}

impl ResponseSink for Socket {}

impl Wire for Socket {
    type Forwarding<F: Future> = F;

    fn hold<F: Future>(forwarding: F) -> F {
        forwarding
    }
}

impl ByteStream for Socket {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_read_ready(cx).map(|_| ())
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let mut peeked = tokio::io::ReadBuf::new(&mut byte);
        match self.0.poll_peek(cx, &mut peeked) {
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    fn has_left(&self) -> bool {
        has_ended(&self.0)
    }

    fn break_off(&mut self) {
        let _ = self.0.set_zero_linger();
    }
}

/// Whether the peer has closed, perhaps behind bytes that were not read.
pub(crate) fn has_ended(stream: &TcpStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let ready = std::pin::pin!(stream.ready(Interest::READABLE)).poll(&mut cx);
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

impl<E: End> ResponseSink for TlsStream<E> {}

impl<E: End> Wire for TlsStream<E> {
    type Forwarding<F: Future> = F;

    fn hold<F: Future>(forwarding: F) -> F {
        forwarding
    }
}

impl<E: End> ByteStream for TlsStream<E> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        TlsStream::poll_readable(self, cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        TlsStream::poll_gone(self, cx)
    }

    fn has_left(&self) -> bool {
        has_ended(self.socket())
    }

    fn farewell(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(self).poll_shutdown(&mut cx);
    }
}

impl<W: Wire> ResponseSink for Box<W> {}

impl<W: Wire> Wire for Box<W> {
    type Forwarding<F: Future> = W::Forwarding<F>;

    fn hold<F: Future>(forwarding: F) -> W::Forwarding<F> {
        W::hold(forwarding)
    }
}

impl<W: Wire> ByteStream for Box<W> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_readable(cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_gone(cx)
    }

    fn has_left(&self) -> bool {
        (**self).has_left()
    }

    fn farewell(&mut self) {
        (**self).farewell();
    }
}

impl Wire for Stream {
    type Forwarding<F: Future> = Pin<Box<F>>;

    fn hold<F: Future>(forwarding: F) -> Pin<Box<F>> {
        Box::pin(forwarding)
    }
}

impl ByteStream for Stream {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Stream::poll_gone(self, cx)
    }

    fn gather(&mut self, cx: &mut Context<'_>) {
        self.body.gather(cx);
    }
}

impl ResponseSink for Stream {
    const FRAMED: bool = true;

    fn send_head(&mut self, head: Response<()>, ends: bool) -> io::Result<()> {
        Stream::send_head(self, head, ends)
    }

    fn finish(&mut self) -> io::Result<()> {
        Stream::finish(self)
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        Some(self)
    }
}

/// Waits until a read would not block.
pub(crate) async fn readable<S: ByteStream>(stream: &mut S) {
    poll_fn(|cx| stream.poll_readable(cx)).await;
}
