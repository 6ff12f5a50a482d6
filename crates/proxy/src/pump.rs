//! Moves one body from a source to a sink with back-pressure: nothing more is read until the sink has taken what was read
//! before.

use crate::chunked::{BadChunk, Decoder};
use crate::framing::Framing;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of room needed before the data for a chunk's size line.
pub(crate) const HEADROOM: usize = 16;
/// Bytes of room needed behind the data for a chunk's end and the last chunk.
pub(crate) const TAILROOM: usize = 8;
/// Length of the line end behind a chunk's data.
const CHUNK_END: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[derive(Debug)]
enum Source {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    Done,
}

/// Why a body could not be moved.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The source closed or failed before the body's end.
    Source,
    /// The source's bytes break the chunked coding.
    BadChunk,
    /// The sink accepts no more bytes.
    Sink,
}

impl From<BadChunk> for PumpError {
    fn from(_: BadChunk) -> Self {
        PumpError::BadChunk
    }
}

/// The transfer of one body.
#[derive(Debug)]
pub(crate) struct Pump {
    source: Source,
    to_chunks: bool,
    /// The range that is ready to be written, in the buffer last fed.
    ready: (usize, usize),
    /// The range that was read beyond the body's end.
    leftover: (usize, usize),
    /// Everything that will be written is in `ready`.
    complete: bool,
    /// Body bytes moved, without chunk framing.
    pub(crate) moved: u64,
    /// Bytes taken from the source for this body, including its chunk framing.
    pub(crate) taken: u64,
    /// Bytes that [`Pump::poll`] wrote to the sink, including chunk framing.
    pub(crate) written: u64,
}

impl Pump {
    /// A body delimited by `framing`; written in chunks if `to_chunks`, unchanged otherwise.
    pub(crate) fn new(framing: Framing, to_chunks: bool) -> Pump {
        let source = match framing {
            Framing::None | Framing::Length(0) => Source::Done,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Decoder::new()),
            Framing::UntilClose => Source::UntilClose,
        };
        let complete = matches!(source, Source::Done);
        Pump {
            source,
            to_chunks,
            ready: (0, 0),
            leftover: (0, 0),
            complete,
            moved: 0,
            taken: 0,
            written: 0,
        }
    }

    /// The body of an answer; its decoder accepts what targets send.
    pub(crate) fn of_answer(framing: Framing, to_chunks: bool) -> Pump {
        let mut pump = Pump::new(framing, to_chunks);
        if let Source::Chunked(decoder) = &mut pump.source {
            *decoder = Decoder::of_answer();
        }
        pump
    }

    /// Whether the whole body was read.
    pub(crate) fn is_read(&self) -> bool {
        self.complete
    }

    /// Bytes of the body that are still to be read; [`u64::MAX`] if the length is unknown.
    pub(crate) fn left(&self) -> u64 {
        match self.source {
            Source::Done => 0,
            Source::Length(left) => left,
            Source::Chunked(_) | Source::UntilClose => u64::MAX,
        }
    }

    /// Whether everything read so far has been written.
    pub(crate) fn is_written(&self) -> bool {
        self.ready.0 == self.ready.1
    }

    /// Whether the whole body has been read and written.
    pub(crate) fn is_done(&self) -> bool {
        self.complete && self.ready.0 == self.ready.1
    }

    /// The range that was read beyond the body's end, in the buffer last fed.
    pub(crate) fn leftover(&self) -> (usize, usize) {
        self.leftover
    }

    /// Takes the ready range, so that the caller can write it together with something else.
    pub(crate) fn take_ready(&mut self) -> (usize, usize) {
        core::mem::take(&mut self.ready)
    }

    /// Decodes `buffer[from..to]`, fresh from the source, and makes it ready to be written. If the body goes out in chunks,
    /// the buffer must have HEADROOM before `from` and TAILROOM behind `to`, unused or holding bytes that nobody needs.
    pub(crate) fn feed(&mut self, buffer: &mut [u8], from: usize, to: usize) -> Result<(), PumpError> {
        self.decode(buffer, from, to)?;
        self.frame(buffer);
        Ok(())
    }

    /// The first half of [`Pump::feed`]: finds out which part of `buffer[from..to]` is the body. Touches nothing before
    /// `from`.
    pub(crate) fn decode(&mut self, buffer: &mut [u8], from: usize, to: usize) -> Result<(), PumpError> {
        let (end, read) = match &mut self.source {
            Source::Done => (from, from),
            Source::UntilClose => (to, to),
            Source::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(to - from);
                *left -= take as u64;
                if *left == 0 {
                    self.source = Source::Done;
                }
                (from + take, from + take)
            }
            Source::Chunked(decoder) => {
                let (end, read) = decoder.decode(buffer, from, to)?;
                if decoder.is_done() {
                    self.source = Source::Done;
                }
                (end, read)
            }
        };
        self.moved += (end - from) as u64;
        self.taken += (read - from) as u64;
        self.leftover = (read, to);
        self.complete = matches!(self.source, Source::Done);
        self.ready = (from, end);
        Ok(())
    }

    /// The second half of [`Pump::feed`]: frames the decoded bytes for the sink.
    pub(crate) fn frame(&mut self, buffer: &mut [u8]) {
        if self.to_chunks {
            let (from, end) = self.ready;
            if self.complete {
                self.move_leftover(buffer, from, end);
            }
            self.ready = enchunk(buffer, from, end, self.complete);
        }
    }

    /// The last chunk is written behind the data. If fewer bytes than it needs were read there (the rest of the source's
    /// own last chunk came with an earlier read), it would overwrite the beginning of the client's next request, so that is
    /// moved back.
    fn move_leftover(&mut self, buffer: &mut [u8], from: usize, end: usize) {
        let (read, to) = self.leftover;
        let written = end + if end > from { CHUNK_END } else { 0 } + LAST_CHUNK.len();
        if read < written && read < to {
            buffer.copy_within(read..to, written);
            self.leftover = (written, written + to - read);
        }
    }

    /// Appends the part of the body that `raw` holds to `out`, framed for the sink; returns how many bytes of `raw` it
    /// took.
    pub(crate) fn feed_into(&mut self, raw: &mut [u8], out: &mut Vec<u8>) -> Result<usize, PumpError> {
        let to_chunks = self.to_chunks;
        let length = raw.len();
        self.decode(raw, 0, length)?;
        // Taken at once: the range is one of `raw`, and means nothing in the buffer of a later poll.
        let (from, to) = self.take_ready();
        if to_chunks && to > from {
            use std::io::Write as _;
            let _ = write!(out, "{:x}\r\n", to - from);
        }
        out.extend_from_slice(&raw[from..to]);
        if to_chunks && to > from {
            out.extend_from_slice(b"\r\n");
        }
        if to_chunks && self.complete {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(self.leftover.0)
    }

    /// Handles the source's close: the end of a body that is delimited by the close, a truncation of any other.
    fn close(&mut self, buffer: &mut [u8]) -> Result<(), PumpError> {
        if !matches!(self.source, Source::UntilClose) {
            // Taking this for the end would pass a truncated body on as a whole one.
            return Err(PumpError::Source);
        }
        self.source = Source::Done;
        self.complete = true;
        self.ready = if self.to_chunks {
            enchunk(buffer, HEADROOM, HEADROOM, true)
        } else {
            (0, 0)
        };
        Ok(())
    }

    /// Moves on as far as source and sink allow. Sets `progress` if a byte was read or written.
    pub(crate) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        buffer: &mut [u8],
        progress: &mut bool,
    ) -> Poll<Result<(), PumpError>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            // Written before anything is read: the next read reuses the buffer, and a sink that takes nothing must stop the
            // reading.
            if !ready!(self.poll_write(cx, sink, buffer, progress))? {
                return Poll::Ready(Ok(()));
            }
            // Room for chunk framing on both sides of the data, so that it is framed in place and goes out in one write.
            let limit = buffer.len() - TAILROOM;
            let mut room = ReadBuf::new(&mut buffer[HEADROOM..limit]);
            match ready!(Pin::new(&mut *source).poll_read(cx, &mut room)) {
                Ok(()) if room.filled().is_empty() => self.close(buffer)?,
                Ok(()) => {
                    *progress = true;
                    let to = HEADROOM + room.filled().len();
                    self.feed(buffer, HEADROOM, to)?;
                }
                Err(_) => return Poll::Ready(Err(PumpError::Source)),
            }
        }
    }

    /// Reads to the body's end and drops what it reads. For a sink that accepts no more while the sender may not read an
    /// answer before it has sent everything.
    pub(crate) fn poll_discard<R>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        buffer: &mut [u8],
        progress: &mut bool,
    ) -> Poll<Result<(), PumpError>>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        // What the sink did not take is dropped as well.
        self.ready = (0, 0);
        while !self.complete {
            let mut room = ReadBuf::new(buffer);
            match ready!(Pin::new(&mut *source).poll_read(cx, &mut room)) {
                Ok(()) if room.filled().is_empty() => self.close(buffer)?,
                Ok(()) => {
                    *progress = true;
                    let to = room.filled().len();
                    self.decode(buffer, 0, to)?;
                }
                Err(_) => return Poll::Ready(Err(PumpError::Source)),
            }
            self.ready = (0, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is ready. True if more is to be read, false if the body is complete.
    fn poll_write<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        buffer: &[u8],
        progress: &mut bool,
    ) -> Poll<Result<bool, PumpError>> {
        while self.ready.0 < self.ready.1 {
            let written = ready!(Pin::new(&mut *sink).poll_write(cx, &buffer[self.ready.0..self.ready.1]));
            match written {
                Ok(0) | Err(_) => return Poll::Ready(Err(PumpError::Sink)),
                Ok(count) => {
                    *progress = true;
                    self.ready.0 += count;
                    self.written += count as u64;
                }
            }
        }
        Poll::Ready(Ok(!self.complete))
    }
}

/// Writes chunk framing around `buffer[from..to]`, and the last chunk behind it; returns the range to send.
fn enchunk(buffer: &mut [u8], from: usize, to: usize, last: bool) -> (usize, usize) {
    let (mut start, mut end) = (from, to);
    if to > from {
        // The size line is written backwards from the data, so that its digits need no fixed width.
        start -= 2;
        buffer[start..from].copy_from_slice(b"\r\n");
        let mut size = to - from;
        while size > 0 {
            start -= 1;
            buffer[start] = b"0123456789abcdef"[size % 16];
            size /= 16;
        }
        buffer[end..end + CHUNK_END].copy_from_slice(b"\r\n");
        end += CHUNK_END;
    }
    if last {
        buffer[end..end + LAST_CHUNK.len()].copy_from_slice(LAST_CHUNK);
        end += LAST_CHUNK.len();
    }
    (start, end)
}

/// Writes `first` and then `second`, in one call if the sink takes both; `written` counts the bytes that went out, on an
/// error too.
pub(crate) fn poll_write_pair<W: AsyncWrite + Unpin + ?Sized>(
    cx: &mut Context<'_>,
    sink: &mut W,
    first: &[u8],
    second: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    while *written < first.len() + second.len() {
        let result = if *written >= first.len() {
            Pin::new(&mut *sink).poll_write(cx, &second[*written - first.len()..])
        } else if second.is_empty() {
            Pin::new(&mut *sink).poll_write(cx, &first[*written..])
        } else {
            // One call for both: a head that goes out alone would cost a packet of its own.
            let slices = [io::IoSlice::new(&first[*written..]), io::IoSlice::new(second)];
            Pin::new(&mut *sink).poll_write_vectored(cx, &slices)
        };
        match ready!(result)? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => *written += count,
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(framing: Framing, to_chunks: bool, wire: &[u8], read: usize) -> (Vec<u8>, bool) {
        let mut pump = Pump::new(framing, to_chunks);
        let mut out = Vec::new();
        for part in wire.chunks(read.max(1)) {
            let mut buffer = vec![0; HEADROOM + part.len() + TAILROOM];
            buffer[HEADROOM..HEADROOM + part.len()].copy_from_slice(part);
            pump.feed(&mut buffer, HEADROOM, HEADROOM + part.len()).unwrap();
            let (from, to) = pump.take_ready();
            out.extend_from_slice(&buffer[from..to]);
        }
        (out, pump.is_done())
    }

    #[test]
    fn into_and_out_of_chunks() {
        assert_eq!(
            through(Framing::Length(5), false, b"hello", 2),
            (b"hello".to_vec(), true)
        );
        assert_eq!(
            through(Framing::Length(5), true, b"hello", 9),
            (b"5\r\nhello\r\n0\r\n\r\n".to_vec(), true)
        );
        let chunked = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
        assert_eq!(
            through(Framing::Chunked, false, chunked, 3),
            (b"hello".to_vec(), true)
        );
        assert_eq!(
            through(Framing::Chunked, true, chunked, 99),
            (b"5\r\nhello\r\n0\r\n\r\n".to_vec(), true)
        );
    }

    #[test]
    fn bytes_behind_the_body_are_left() {
        let mut pump = Pump::new(Framing::Chunked, true);
        let mut out = Vec::new();
        let mut raw = b"2\r\nhi\r\n0\r\n\r\nGET /".to_vec();
        let used = pump.feed_into(&mut raw, &mut out).unwrap();
        assert_eq!(&raw[used..], b"GET /");
        assert_eq!(out, b"2\r\nhi\r\n0\r\n\r\n");
        assert!(pump.is_done());
    }

    #[test]
    fn what_follows_a_body_is_left_wherever_reads_part_it() {
        let wire = b"3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nHEAD / HTTP/1.1";
        let short = b"1\r\na\r\n0\r\n\r\nHEAD / HTTP/1.1";
        for (wire, body) in [
            (&wire[..], &b"3\r\nabc\r\n0\r\n\r\n"[..]),
            (short, b"1\r\na\r\n0\r\n\r\n"),
        ] {
            let behind = wire.len() - b"HEAD / HTTP/1.1".len();
            for cut in 1..wire.len() {
                let mut pump = Pump::new(Framing::Chunked, true);
                let (mut out, mut left) = (Vec::new(), Vec::new());
                for part in [&wire[..cut], &wire[cut..]] {
                    if pump.is_done() {
                        left.extend_from_slice(part);
                        continue;
                    }
                    let mut buffer = vec![0; HEADROOM + part.len() + TAILROOM];
                    buffer[HEADROOM..HEADROOM + part.len()].copy_from_slice(part);
                    pump.feed(&mut buffer, HEADROOM, HEADROOM + part.len()).unwrap();
                    let (from, to) = pump.take_ready();
                    out.extend_from_slice(&buffer[from..to]);
                    let (from, to) = pump.leftover();
                    left.extend_from_slice(&buffer[from..to]);
                }
                assert_eq!(left, &wire[behind..], "cut at {cut}");
                assert!(out.len() >= body.len(), "{out:?}");
                assert_eq!(
                    through(Framing::Chunked, false, &out, 99),
                    through(Framing::Chunked, false, body, 99)
                );
            }
        }
    }

    proptest! {
        #[test]
        fn rechunking_keeps_the_body_and_the_leftover(body in "[a-z]{1,50}", sizes in proptest::collection::vec(1_usize..9, 1..20), read in 1_usize..40) {
            let mut wire = Vec::new();
            let (mut rest, mut sizes) = (body.as_bytes(), sizes.into_iter().cycle());
            while !rest.is_empty() {
                let take = sizes.next().unwrap().min(rest.len());
                wire.extend_from_slice(format!("{take:x}\r\n").as_bytes());
                wire.extend_from_slice(&rest[..take]);
                wire.extend_from_slice(b"\r\n");
                rest = &rest[take..];
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (chunks, done) = through(Framing::Chunked, true, &wire, read);
            prop_assert!(done);
            let (plain, done) = through(Framing::Chunked, false, &chunks, 1000);
            prop_assert!(done);
            prop_assert_eq!(plain, body.as_bytes());
        }
    }
}
