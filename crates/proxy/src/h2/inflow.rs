//! The incoming body of a stream.

use bytes::{Bytes, BytesMut};
use h2::{Error, RecvStream};
use http::HeaderMap;
use std::task::{Context, Poll, Waker, ready};

/// The frames of one body, as bytes. Its sender may send more only when bytes that were taken are released.
pub(crate) struct Inflow {
    frames: RecvStream,
    next: Bytes,
    /// Bytes that came after `next`, joined.
    behind: BytesMut,
    /// Bytes at the front whose window was already reopened: they were taken, released and put back.
    released: usize,
}

impl Inflow {
    pub(crate) fn new(frames: RecvStream) -> Inflow {
        Inflow {
            frames,
            next: Bytes::new(),
            behind: BytesMut::new(),
            released: 0,
        }
    }

    /// Puts bytes back that were taken from the front and released.
    pub(crate) fn put_back(&mut self, mut bytes: BytesMut) {
        // Releasing these a second time would open the window wider than agreed.
        self.released += bytes.len();
        bytes.extend_from_slice(&self.next);
        self.next = bytes.freeze();
    }

    /// Bytes to take from the front, at least one; none at the body's end.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<&mut Bytes, Error>>> {
        while self.next.is_empty() {
            if !self.behind.is_empty() {
                self.next = core::mem::take(&mut self.behind).freeze();
                break;
            }
            match ready!(self.frames.poll_data(cx)) {
                Some(Ok(bytes)) => self.next = bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(&mut self.next)))
    }

    /// Puts what has come together while nobody takes it: kept frame by frame it would cost a multiple of itself, for which
    /// the `h2` crate ends the whole connection. The sender's window bounds it.
    pub(crate) fn gather(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Ok(bytes))) = self.frames.poll_data(cx) {
            if self.is_empty() {
                self.next = bytes;
            } else {
                self.behind.extend_from_slice(&bytes);
            }
        }
    }

    /// Nothing has come that was not taken, as far as was looked.
    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.behind.is_empty()
    }

    /// The body is empty, as far as is known: its end came with the head, or right behind it in a frame of its own.
    pub(crate) fn is_nothing(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.frames.is_end_stream()
            || matches!(self.poll_bytes(&mut cx), Poll::Ready(None)) && self.frames.is_end_stream()
    }

    /// Lets the sender send so many bytes more. One that reset the stream needs no room.
    pub(crate) fn release(&mut self, count: usize) {
        let again = count.min(self.released);
        self.released -= again;
        if count > again {
            let _ = self.frames.flow_control().release_capacity(count - again);
        }
    }

    /// What came behind the body.
    pub(crate) fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Error>> {
        self.frames.poll_trailers(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;

    const FRAME: &[u8] = &[b'a'; 16];
    const FRAMES: usize = 3_000;
    const BODIES: usize = 5;

    /// Bodies of small frames, one after the other, that nobody takes while they come: what was read of them at last.
    async fn read(gathers: bool) -> Result<usize, Error> {
        let (ours, theirs) = tokio::io::duplex(1024 * 1024);
        let client = async {
            let (sender, mut connection) = h2::client::handshake(theirs).await?;
            let mut waiting = Vec::new();
            for _ in 0..BODIES {
                let mut sender = sender.clone();
                let (response, mut body) = sender.send_request(http::Request::new(()), false)?;
                for _ in 0..FRAMES {
                    body.send_data(Bytes::from_static(FRAME), false)?;
                }
                body.send_data(Bytes::new(), true)?;
                waiting.push((response, body));
                poll_turns(&mut connection).await?;
            }
            connection.await
        };
        let server = async {
            let mut connection = h2::server::Builder::new()
                .initial_connection_window_size(super::super::serve::CONNECTION_WINDOW)
                .data_frame_budget(super::super::serve::FRAME_BUDGET)
                .handshake::<_, Bytes>(ours)
                .await?;
            let (mut bodies, mut waiting) = (Vec::new(), Vec::new());
            while bodies.len() < BODIES {
                poll_fn(|cx| {
                    if gathers {
                        bodies.iter_mut().for_each(|body: &mut Inflow| body.gather(cx));
                    }
                    connection.poll_accept(cx)
                })
                .await
                .expect("a request")
                .map(|(request, respond)| {
                    bodies.push(Inflow::new(request.into_body()));
                    waiting.push(respond);
                })?;
            }
            let mut read = 0;
            for body in &mut bodies {
                poll_fn(|cx| {
                    loop {
                        if let Poll::Ready(Some(Err(error))) = connection.poll_accept(cx) {
                            return Poll::Ready(Err(error));
                        }
                        match ready!(body.poll_bytes(cx)) {
                            Some(bytes) => {
                                let count = core::mem::take(bytes?).len();
                                body.release(count);
                                read += count;
                            }
                            None => return Poll::Ready(Ok(())),
                        }
                    }
                })
                .await?;
            }
            Ok(read)
        };
        let (mut client, mut server) = (pin!(client), pin!(server));
        let mut left: Option<Result<(), Error>> = None;
        poll_fn(|cx| {
            if left.is_none()
                && let Poll::Ready(ended) = client.as_mut().poll(cx)
            {
                left = Some(ended);
            }
            server.as_mut().poll(cx)
        })
        .await
    }

    /// Lets the connection send what it may.
    async fn poll_turns<C: Future<Output = Result<(), Error>> + Unpin>(
        connection: &mut C,
    ) -> Result<(), Error> {
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            match std::pin::Pin::new(&mut *connection).poll(cx) {
                Poll::Pending if turns > 20 => Poll::Ready(Ok(())),
                polled => polled,
            }
        })
        .await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn small_frames_that_wait_end_no_connection() {
        assert_eq!(read(true).await.unwrap(), BODIES * FRAMES * FRAME.len());
        // What this is for.
        assert!(read(false).await.is_err());
    }
}
