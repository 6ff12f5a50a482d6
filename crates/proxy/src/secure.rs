//! Room two: from an accepted socket to a stream of clear bytes. HTTP listeners pass through, TLS ends here.

use crate::accept::Visit;
use crate::h2;
use crate::socket::Socket;
use crate::sweep::Slot;
use crate::tls::{self, End, Failed, ListenerTls, Shaken, TlsStream};
use crate::worker::Worker;
use http::Response;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

/// From accept to the end of the TLS handshake, whatever the client does meanwhile. ALB's is not published; HAProxy's
/// advice is 10 s.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client's stream of clear bytes.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Answers go out in frames: their heads by `send_head`, their ends by `finish`. Each request has its own.
    const FRAMED: bool = false;

    /// How a request's passage to its target is held: in place, or in a box where many requests may wait for a slot first,
    /// which must not cost each of them a passage's room.
    type Passage<F: Future>: Future<Output = F::Output>;

    /// Holds it so.
    fn hold<F: Future>(passage: F) -> Self::Passage<F>;

    /// Ready when a read would not wait. Holds no buffer meanwhile.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ready when the client has closed; pending forever once it has sent more bytes instead.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the client's end has come, perhaps behind bytes that were not read: asked of requests that wait for a slot with
    /// their bodies unread.
    fn has_left(&self) -> bool {
        false
    }

    /// Says that nothing more comes, if that can be said at once. Only for a connection that owes nothing: after a cut
    /// body it would make a part look like the whole.
    fn farewell(&mut self) {}

    /// Lets the connection's end be seen as one that came too early, where nothing else tells that from the end of an answer.
    fn break_off(&mut self) {}

    /// Sends an answer's head; `ends`: there is no body. Only where answers are framed.
    fn send_head(&mut self, _head: Response<()>, _ends: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends an answer whose body was written. Nothing to do where its length or the connection's end says so.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Puts together what came of the request's body in frames, while nobody takes it.
    fn gather(&mut self, _cx: &mut Context<'_>) {}

    /// The stream of frames, where it is one.
    fn stream(&mut self) -> Option<&mut h2::Stream> {
        None
    }
}

impl Wire for Socket {
    type Passage<F: Future> = F;

    fn hold<F: Future>(passage: F) -> F {
        passage
    }

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

/// Whether the peer's end has come, perhaps behind bytes that were not read.
pub(crate) fn has_ended(stream: &TcpStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let ready = std::pin::pin!(stream.ready(Interest::READABLE)).poll(&mut cx);
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

impl<E: End> Wire for TlsStream<E> {
    type Passage<F: Future> = F;

    fn hold<F: Future>(passage: F) -> F {
        passage
    }

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

impl<W: Wire> Wire for Box<W> {
    type Passage<F: Future> = W::Passage<F>;

    fn hold<F: Future>(passage: F) -> W::Passage<F> {
        W::hold(passage)
    }

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

/// Waits until a read would not wait.
pub(crate) async fn readable<W: Wire>(wire: &mut W) {
    poll_fn(|cx| wire.poll_readable(cx)).await;
}

/// Shakes hands with a client; none if that came to nothing, which is counted here. One deadline for all of it: a client
/// that sends a byte now and then does not extend it.
pub(crate) async fn secure(
    worker: &Rc<Worker>,
    stream: TcpStream,
    tls: &ListenerTls,
    visit: &Visit,
    slot: &Slot,
) -> Option<Shaken> {
    slot.arm(visit.accepted + HANDSHAKE_TIMEOUT, true);
    let since = || worker.now().since(visit.accepted);
    let spoke = Cell::new(false);
    let shaken = slot.until(tls::accept(stream, tls, since, &spoke)).await;
    let picture = worker.picture();
    let stats = picture
        .listener(visit.place.listener)
        .map(|listener| listener.stats.of(worker.mind.borrow().worker));
    let count = |counter: fn(&forebay_node::ListenerStats) -> &std::sync::atomic::AtomicU64| {
        if let Some(stats) = stats {
            counter(stats).fetch_add(1, Relaxed);
        }
    };
    match shaken {
        Ok(Ok(shaken)) => {
            count(|stats| &stats.handshakes);
            if shaken.facts.resumed {
                count(|stats| &stats.resumed);
            }
            return Some(shaken);
        }
        Ok(Err(Failed::Silent)) => {}
        Ok(Err(Failed::Clear(mut stream))) => {
            count(|stats| &stats.handshake_failures);
            // As nginx, whose page ALB's are: 400 in clear, so that whoever typed http:// sees why.
            let _ = slot.until(stream.write_all(&wrong_port(worker))).await;
            let _ = slot.until(drain(&mut stream)).await;
        }
        Ok(Err(Failed::Handshake(error))) => {
            tracing::debug!(%error, peer = %visit.peer, "TLS handshake failed");
            count(|stats| &stats.handshake_failures);
        }
        // Too slow, or its listener is gone.
        Err(_) if spoke.get() => count(|stats| &stats.handshake_failures),
        Err(_) => {}
    }
    None
}

fn wrong_port(worker: &Worker) -> Vec<u8> {
    let said = "The plain HTTP request was sent to HTTPS port";
    let page = format!(
        "<html>\r\n<head><title>400 {said}</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n<center>{said}</center>\r\n</body>\r\n</html>\r\n"
    );
    let mut answer = b"HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\nDate: ".to_vec();
    worker.write_date(&mut answer);
    answer.extend_from_slice(
        format!(
            "\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        )
        .as_bytes(),
    );
    answer
}

/// Says that nothing more comes and reads what is still on its way, so that the answer is not lost to a reset.
async fn drain(stream: &mut TcpStream) {
    use tokio::io::AsyncReadExt as _;
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    while let Ok(1..) = stream.read(&mut rest).await {}
}
