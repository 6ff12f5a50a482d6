//! What the `h2` crate lets pass or calls by a less exact name: the first frame must be SETTINGS, and frames of fixed
//! sizes must have them (RFC 9113 sections 3.4, 4.2 and 6). Looks at frame headers as they are read; copies nothing.

use h2::Reason;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;

/// What a connection's bytes break, told to whoever drives it.
pub(super) type Fault = Rc<Cell<Option<Reason>>>;

/// A connection whose reads are looked at.
pub(super) struct Guarded<W> {
    inner: W,
    frames: Frames,
    fault: Fault,
}

impl<W> Guarded<W> {
    pub(super) fn new(inner: W) -> (Guarded<W>, Fault) {
        let fault = Fault::default();
        let guarded = Guarded {
            inner,
            frames: Frames::default(),
            fault: Rc::clone(&fault),
        };
        (guarded, fault)
    }
}

/// Where in the sequence of frames the bytes are.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the preface read.
    preface: usize,
    header: [u8; FRAME_HEADER],
    /// Bytes of the header read.
    read: usize,
    /// Bytes of the payload still to come.
    payload: usize,
    begun: bool,
}

impl Frames {
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
        // A preface that is none is found out by its reader.
        let preface = bytes.len().min(PREFACE.len() - self.preface);
        self.preface += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.payload);
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let more = bytes.len().min(FRAME_HEADER - self.read);
            self.header[self.read..self.read + more].copy_from_slice(&bytes[..more]);
            self.read += more;
            bytes = &bytes[more..];
            if self.read == FRAME_HEADER {
                self.read = 0;
                self.payload = self.judge()?;
            }
        }
        Ok(())
    }

    /// The payload's length, if this frame may have it.
    fn judge(&mut self) -> Result<usize, Reason> {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if !core::mem::replace(&mut self.begun, true) && kind != SETTINGS {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let fits = match kind {
            PRIORITY => length == 5,
            RST_STREAM | WINDOW_UPDATE => length == 4,
            SETTINGS if flags & ACK != 0 => length == 0,
            SETTINGS => length.is_multiple_of(6),
            PING => length == 8,
            GOAWAY => length >= 8,
            _ => true,
        };
        if fits {
            Ok(length)
        } else {
            Err(Reason::FRAME_SIZE_ERROR)
        }
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Guarded<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, room))?;
        if let Err(reason) = self.frames.look(&room.filled()[before..]) {
            // Nothing of this goes on, and nothing more is read: whoever drives the connection ends it.
            self.fault.set(Some(reason));
            room.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Guarded<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 0]);
        bytes.resize(FRAME_HEADER + length, 7);
        bytes
    }

    fn looked(frames: &[Vec<u8>], read: usize) -> Result<(), Reason> {
        let bytes: Vec<u8> = PREFACE.iter().copied().chain(frames.concat()).collect();
        let mut state = Frames::default();
        bytes.chunks(read.max(1)).try_for_each(|part| state.look(part))
    }

    #[test]
    fn sizes_and_the_first_frame() {
        let first = frame(SETTINGS, 0, 12);
        assert_eq!(looked(&[frame(PING, 0, 8)], 99), Err(Reason::PROTOCOL_ERROR));
        for (kind, flags, length) in [
            (PRIORITY, 0, 4),
            (RST_STREAM, 0, 5),
            (SETTINGS, ACK, 6),
            (SETTINGS, 0, 7),
            (PING, 0, 7),
            (GOAWAY, 0, 7),
            (WINDOW_UPDATE, 0, 3),
        ] {
            let frames = [first.clone(), frame(0, 0, 100), frame(kind, flags, length)];
            assert_eq!(looked(&frames, 7), Err(Reason::FRAME_SIZE_ERROR), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn however_it_is_read(lengths in proptest::collection::vec(0usize..400, 0..12), read in 1usize..300) {
            let mut frames = vec![frame(SETTINGS, 0, 6), frame(SETTINGS, ACK, 0), frame(PING, 0, 8)];
            frames.extend(lengths.iter().map(|&length| frame(0, 0, length)));
            prop_assert_eq!(looked(&frames, read), Ok(()));
            frames.push(frame(PING, 0, 9));
            prop_assert_eq!(looked(&frames, read), Err(Reason::FRAME_SIZE_ERROR));
        }
    }
}
