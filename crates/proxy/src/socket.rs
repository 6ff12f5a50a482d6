//! A plaintext connection. Reads and writes are tried at once if the last poll said that they will succeed: tokio's own
//! path checks twice, and the C library's calls are cancellation points, which cost two atomic operations each.

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

/// A plaintext connection.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl Socket {
    /// Reads if something may be there; none otherwise.
    fn try_read(&self, room: &mut [u8]) -> Option<io::Result<usize>> {
        let most = room.len();
        let mut short = 0;
        let read = self.0.try_io(Interest::READABLE, || {
            let (_, count) = retry_on_intr(|| recv(&self.0, &mut *room, RecvFlags::empty()))?;
            if (1..most).contains(&count) {
                // Nothing more is there: with this, the next wait needs no further system call to find that out.
                short = count;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        if short > 0 {
            Some(Ok(short))
        } else {
            unless_blocked(read)
        }
    }

    /// Writes if there may be room; none otherwise.
    fn try_write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        unless_blocked(self.0.try_io(Interest::WRITABLE, || {
            Ok(retry_on_intr(|| send(&self.0, bytes, SendFlags::NOSIGNAL))?)
        }))
    }
}

fn unless_blocked(done: io::Result<usize>) -> Option<io::Result<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        done => Some(done),
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        // Room that is not initialised would have to be filled first, each time.
        if room.initialized().len() < room.capacity() {
            return Pin::new(&mut socket.0).poll_read(cx, room);
        }
        // A connection that never has to wait must still let others run.
        let turn = ready!(coop::poll_proceed(cx));
        if let Some(read) = socket.try_read(room.initialize_unfilled()) {
            turn.made_progress();
            room.advance(read?);
            return Poll::Ready(Ok(()));
        }
        drop(turn);
        Pin::new(&mut socket.0).poll_read(cx, room)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let turn = ready!(coop::poll_proceed(cx));
        if let Some(written) = socket.try_write(bytes) {
            turn.made_progress();
            return Poll::Ready(written);
        }
        drop(turn);
        Pin::new(&mut socket.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket(listener.accept().await.unwrap().0), peer)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn short_reads_lose_nothing() {
        run(async {
            let (mut socket, mut peer) = pair().await;
            let mut room = [0; 64];
            for text in [&b"one"[..], b"two", b"a longer one"] {
                peer.write_all(text).await.unwrap();
                let mut read = 0;
                while read < text.len() {
                    read += socket.read(&mut room[read..]).await.unwrap();
                }
                assert_eq!(&room[..read], text);
            }
            peer.write_all(b"last").await.unwrap();
            drop(peer);
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"last");
        });
    }

    #[test]
    fn who_never_waits_lets_others_run() {
        const ENOUGH: usize = 1_000;
        run(async {
            let (mut socket, mut peer) = pair().await;
            peer.write_all(&[b'x'; ENOUGH]).await.unwrap();
            socket.0.readable().await.unwrap();
            let read = poll_fn(|cx| {
                let mut byte = [0];
                let mut count = 0;
                while count < ENOUGH
                    && Pin::new(&mut socket)
                        .poll_read(cx, &mut ReadBuf::new(&mut byte))
                        .is_ready()
                {
                    count += 1;
                }
                Poll::Ready(count)
            });
            let read = read.await;
            tokio::task::yield_now().await;
            let written = poll_fn(|cx| {
                let mut count = 0;
                while count < ENOUGH && Pin::new(&mut socket).poll_write(cx, b"x").is_ready() {
                    count += 1;
                }
                Poll::Ready(count)
            });
            assert!((1..ENOUGH / 2).contains(&read), "{read}");
            let written = written.await;
            assert!((1..ENOUGH / 2).contains(&written), "{written}");
        });
    }
}
