//! Room two: from an accepted socket to a stream of clear bytes. HTTP listeners pass through; TLS will end here.

use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A client's stream of clear bytes.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Ready when a read would not wait. Holds no buffer meanwhile.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ready when the client has closed; pending forever once it has sent more bytes instead.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Wire for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(|_| ())
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let mut peeked = tokio::io::ReadBuf::new(&mut byte);
        match self.poll_peek(cx, &mut peeked) {
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Waits until a read would not wait.
pub(crate) async fn readable<W: Wire>(wire: &W) {
    poll_fn(|cx| wire.poll_readable(cx)).await;
}
