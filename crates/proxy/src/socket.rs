//! A connection in clear. Reads and writes are tried at once where the last wait for events says that they will do: the
//! runtime's own way there looks twice, and the C library's calls can be cancelled, which two locked operations pay for each time.

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

/// A connection in clear.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl Socket {
    /// Reads if something may be there; none if not.
    fn read(&self, room: &mut [u8]) -> Option<io::Result<usize>> {
        let most = room.len();
        let mut short = 0;
        let read = self.0.try_io(Interest::READABLE, || {
            let (_, count) = retry_on_intr(|| recv(&self.0, &mut *room, RecvFlags::empty()))?;
            if (1..most).contains(&count) {
                // Nothing more is there: the next wait need not find that out by another call.
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

    /// Writes if there may be room; none if not.
    fn write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
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
        // Room that is not filled with anything yet would have to be filled first, each time.
        if room.initialized().len() < room.capacity() {
            return Pin::new(&mut socket.0).poll_read(cx, room);
        }
        // Who never has to wait must let others run all the same.
        let turn = ready!(coop::poll_proceed(cx));
        if let Some(read) = socket.read(room.initialize_unfilled()) {
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
        if let Some(written) = socket.write(bytes) {
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
