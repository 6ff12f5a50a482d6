//! Checks frames of a client's connection before the `h2` crate sees them. It enforces what that crate lets pass or reports
//! with a less exact code: the first frame must be SETTINGS, and frames of fixed size must have it (RFC 9113, sections 3.4,
//! 4.2 and 6). And it saves what the crate would refuse without telling us: heads with odd paths (see
//! [`hpack`](super::hpack)). Frames are examined as they are read; only heads that are incomplete or odd are copied.

use super::hpack::{Odd, Table};
use h2::Reason;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;

/// The largest frame that a peer may send which was told no other limit (RFC 9113, section 6.5.2).
const FRAME_BYTES: usize = 16 * 1024;
/// Most frames of one head; fewer than this are a flood to the `h2` crate already.
const HEAD_FRAMES: usize = 64;
/// Most bytes of one head with its frame headers; a longer one could not be served.
const HEAD_BYTES: usize = 192 * 1024;
/// Most bytes of odd paths and authorities that wait for their streams to be accepted.
const ODD_BYTES: usize = 256 * 1024;
/// Bytes counted for an odd head in addition to its paths.
const ODD_ENTRY: usize = 128;
/// PING acknowledgements that may come unasked, in all (one is asked for, when the connection ends). The `h2` crate logs a
/// line for each that it did not expect.
const STRAY_ACKS: u32 = 16;

/// The rule that a connection's bytes break; read by the task that drives the connection.
pub(super) type Fault = Rc<Cell<Option<Reason>>>;

/// The odd parts of heads whose streams were not accepted yet, by stream.
#[derive(Debug, Default)]
pub(super) struct Oddities {
    by_stream: RefCell<BTreeMap<u32, Odd>>,
    bytes: Cell<usize>,
}

impl Oddities {
    /// The odd parts of this stream's head. Those of lower streams are dropped: they were never accepted, or have ended.
    pub(super) fn take(&self, stream: u32) -> Odd {
        if self.bytes.get() == 0 {
            return Odd::default();
        }
        let mut by_stream = self.by_stream.borrow_mut();
        let later = by_stream.split_off(&(stream + 1));
        let odd = by_stream.remove(&stream);
        *by_stream = later;
        let bytes = by_stream.values().map(|odd| odd.bytes() + ODD_ENTRY).sum();
        self.bytes.set(bytes);
        odd.unwrap_or_default()
    }

    fn put(&self, stream: u32, odd: Odd) -> Result<(), Reason> {
        let bytes = self.bytes.get() + odd.bytes() + ODD_ENTRY;
        if bytes > ODD_BYTES {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        self.bytes.set(bytes);
        self.by_stream.borrow_mut().insert(stream, odd);
        Ok(())
    }
}

/// A connection whose reads are checked.
pub(super) struct Guarded<W> {
    inner: W,
    frames: Frames,
    fault: Fault,
    /// Everything was written, and only the client's close is awaited.
    written: Rc<Cell<bool>>,
    /// Bytes that were read but not fully examined: a part of a frame header or of a head.
    held: Vec<u8>,
    /// Bytes that are read next, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
}

impl<W> Guarded<W> {
    pub(super) fn new(inner: W) -> (Guarded<W>, Fault, Rc<Oddities>) {
        let fault = Fault::default();
        let frames = Frames::default();
        let oddities = Rc::clone(&frames.oddities);
        let guarded = Guarded {
            inner,
            frames,
            fault: Rc::clone(&fault),
            written: Rc::default(),
            held: Vec::new(),
            ready: Vec::new(),
            taken: 0,
        };
        (guarded, fault, oddities)
    }

    /// A flag that is set once everything was written; it outlives the connection's move into `h2`.
    pub(super) fn written(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.written)
    }

    /// Examines the held bytes, and makes ready what is complete.
    fn advance(&mut self) -> Result<(), Reason> {
        loop {
            let pass = self.frames.look(&self.held)?;
            if pass.whole == 0 && pass.instead.is_none() {
                return Ok(());
            }
            self.ready.extend_from_slice(&self.held[..pass.whole]);
            let mut used = pass.whole;
            if let Some((frames, length)) = pass.instead {
                self.ready.extend_from_slice(&frames);
                used += length;
            }
            self.held.drain(..used);
        }
    }

    /// Takes bytes that cannot be passed on unchanged, and examines them to the end.
    fn hold(&mut self, rest: &[u8], instead: Option<(Vec<u8>, usize)>) -> Result<(), Reason> {
        let mut used = 0;
        if let Some((frames, length)) = instead {
            (self.ready, used) = (frames, length);
        }
        self.held.extend_from_slice(&rest[used..]);
        self.advance()
    }

    fn give(&mut self, room: &mut ReadBuf<'_>) {
        let left = &self.ready[self.taken..];
        let count = left.len().min(room.remaining());
        room.put_slice(&left[..count]);
        self.taken += count;
        if self.taken == self.ready.len() {
            (self.ready, self.taken) = (Vec::new(), 0);
        }
    }
}

/// How far bytes may be passed on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pass {
    /// Number of bytes that pass unchanged.
    whole: usize,
    /// Frames that follow them, and the number of bytes that they replace.
    instead: Option<(Vec<u8>, usize)>,
}

/// The position in the sequence of frames.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the preface read so far.
    preface: usize,
    /// Bytes of the current payload that are still to come.
    payload: usize,
    begun: bool,
    acks: u32,
    table: Table,
    /// Frames or heads came that `h2` will refuse; the refusal is left to it.
    broken: bool,
    oddities: Rc<Oddities>,
}

/// A frame header.
#[derive(Clone, Copy)]
struct Header {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<FRAME_HEADER>()?;
        Some(Header {
            length: u32::from_be_bytes([0, high, middle, low]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        })
    }
}

/// One header block with the frames that hold it.
struct Head {
    /// Bytes of all its frames, with their headers.
    length: usize,
    stream: u32,
    ends_stream: bool,
    /// The five bytes of the priority, if there is one.
    priority: Vec<u8>,
    block: Vec<u8>,
}

impl Frames {
    /// How far these bytes, which follow those already passed on, may pass.
    fn look(&mut self, bytes: &[u8]) -> Result<Pass, Reason> {
        // A wrong preface is found by the `h2` crate.
        let mut at = bytes.len().min(PREFACE.len() - self.preface);
        self.preface += at;
        let mut instead = None;
        while at < bytes.len() {
            let skipped = (bytes.len() - at).min(self.payload);
            self.payload -= skipped;
            at += skipped;
            let Some(header) = Header::read(&bytes[at..]) else {
                break;
            };
            self.judge(&header)?;
            if header.kind != HEADERS || self.broken {
                self.payload = header.length;
                at += FRAME_HEADER;
                continue;
            }
            match self.head(&bytes[at..])? {
                Seen::Whole(length) => at += length,
                Seen::Instead(frames, length) => {
                    instead = Some((frames, length));
                    break;
                }
                Seen::Part => break,
                Seen::Broken => self.broken = true,
            }
        }
        Ok(Pass { whole: at, instead })
    }

    /// Checks a frame's header.
    fn judge(&mut self, header: &Header) -> Result<(), Reason> {
        let Header {
            length, kind, flags, ..
        } = *header;
        if !core::mem::replace(&mut self.begun, true) && kind != SETTINGS {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if kind == PING && flags & ACK != 0 {
            self.acks += 1;
            if self.acks > STRAY_ACKS {
                return Err(Reason::ENHANCE_YOUR_CALM);
            }
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
            Ok(())
        } else {
            Err(Reason::FRAME_SIZE_ERROR)
        }
    }

    /// Reads the head whose first frame begins at these bytes.
    fn head(&mut self, bytes: &[u8]) -> Result<Seen, Reason> {
        let head = match gather(bytes)? {
            Gathered::Whole(head) => head,
            Gathered::Part => return Ok(Seen::Part),
            Gathered::Broken => return Ok(Seen::Broken),
        };
        // Read even where nothing is odd: later heads refer to the dynamic table that this one fills.
        match self.table.read(&head.block) {
            Ok(None) => Ok(Seen::Whole(head.length)),
            Ok(Some((odd, block))) => {
                self.oddities.put(head.stream, odd)?;
                Ok(Seen::Instead(write(&head, &block), head.length))
            }
            Err(_) => Ok(Seen::Broken),
        }
    }
}

/// The result of reading a head.
enum Seen {
    /// It passes unchanged; its number of bytes.
    Whole(usize),
    /// These frames replace so many bytes.
    Instead(Vec<u8>, usize),
    /// It is incomplete.
    Part,
    /// It is invalid.
    Broken,
}

enum Gathered {
    Whole(Head),
    Part,
    Broken,
}

/// Assembles a header block from its frames (RFC 9113, sections 6.2 and 6.10). Copies nothing before all of them have come:
/// a head may come byte by byte.
fn gather(bytes: &[u8]) -> Result<Gathered, Reason> {
    let mut payloads: Vec<(Header, usize)> = Vec::new();
    let mut length = 0;
    loop {
        let Some(header) = Header::read(&bytes[length..]) else {
            return Ok(Gathered::Part);
        };
        let kind = if payloads.is_empty() {
            HEADERS
        } else {
            CONTINUATION
        };
        let first = payloads.first().map_or(header.stream, |first| first.0.stream);
        if header.kind != kind
            || header.stream != first
            || header.length > FRAME_BYTES
            || payloads.len() == HEAD_FRAMES
        {
            return Ok(Gathered::Broken);
        }
        payloads.push((header, length + FRAME_HEADER));
        length += FRAME_HEADER + header.length;
        if length > HEAD_BYTES {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        if bytes.len() < length {
            return Ok(Gathered::Part);
        }
        if header.flags & END_HEADERS != 0 {
            break;
        }
    }
    let mut head = Head {
        length,
        stream: payloads[0].0.stream,
        ends_stream: payloads[0].0.flags & END_STREAM != 0,
        priority: Vec::new(),
        block: Vec::new(),
    };
    for (header, start) in payloads {
        let mut payload = &bytes[start..start + header.length];
        if header.kind == HEADERS {
            let Some((priority, rest)) = fragment(payload, header.flags) else {
                return Ok(Gathered::Broken);
            };
            head.priority = priority.to_vec();
            payload = rest;
        }
        head.block.extend_from_slice(payload);
    }
    Ok(Gathered::Whole(head))
}

/// The priority and the header block fragment of a HEADERS frame.
fn fragment(mut payload: &[u8], flags: u8) -> Option<(&[u8], &[u8])> {
    if flags & PADDED != 0 {
        let (&padding, rest) = payload.split_first()?;
        payload = rest.get(..rest.len().checked_sub(usize::from(padding))?)?;
    }
    payload.split_at_checked(if flags & PRIORITIZED != 0 { 5 } else { 0 })
}

/// Frames of the same head with another block.
fn write(head: &Head, block: &[u8]) -> Vec<u8> {
    let all = [&head.priority[..], block].concat();
    let mut frames = Vec::with_capacity(all.len() + FRAME_HEADER);
    let mut pieces = all.chunks(FRAME_BYTES).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let mut flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        if kind == HEADERS {
            flags |= if head.ends_stream { END_STREAM } else { 0 };
            flags |= if head.priority.is_empty() { 0 } else { PRIORITIZED };
        }
        let length = (piece.len() as u32).to_be_bytes();
        frames.extend_from_slice(&length[1..]);
        frames.extend_from_slice(&[kind, flags]);
        frames.extend_from_slice(&head.stream.to_be_bytes());
        frames.extend_from_slice(piece);
        kind = CONTINUATION;
    }
    frames
}

impl<W: AsyncRead + Unpin> AsyncRead for Guarded<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.taken < this.ready.len() {
                this.give(room);
                return Poll::Ready(Ok(()));
            }
            // `h2` gets nothing more: `streams` sees the fault, and ends the connection with its code.
            if this.fault.get().is_some() {
                return Poll::Pending;
            }
            let looked = if this.held.is_empty() {
                let before = room.filled().len();
                ready!(Pin::new(&mut this.inner).poll_read(cx, room))?;
                let bytes = &room.filled()[before..];
                if bytes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                match this.frames.look(bytes) {
                    Ok(pass) if pass.whole == bytes.len() => return Poll::Ready(Ok(())),
                    Ok(pass) => {
                        let held = this.hold(&bytes[pass.whole..], pass.instead);
                        room.set_filled(before + pass.whole);
                        if pass.whole > 0 && held.is_ok() {
                            return Poll::Ready(Ok(()));
                        }
                        held
                    }
                    Err(reason) => {
                        room.set_filled(before);
                        Err(reason)
                    }
                }
            } else {
                let mut more = [0; 4096];
                let mut more = ReadBuf::new(&mut more);
                ready!(Pin::new(&mut this.inner).poll_read(cx, &mut more))?;
                if more.filled().is_empty() {
                    // The connection ends within a frame; the `h2` crate will see that.
                    this.ready = core::mem::take(&mut this.held);
                    continue;
                }
                this.hold(more.filled(), None)
            };
            if let Err(reason) = looked {
                // None of this passes and nothing more is read: the task that drives the connection ends it.
                this.fault.set(Some(reason));
                return Poll::Pending;
            }
        }
    }
}

impl<W: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<W> {
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

    /// Reads and drops what the client still sends until it closes too: a socket that is closed with unread bytes is reset,
    /// and the last answers are lost. The task that drives the connection limits the wait.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        self.written.set(true);
        let mut rest = [0; 4096];
        loop {
            let mut room = ReadBuf::new(&mut rest);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
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

    /// The bytes that pass when these frames are read in pieces of this size, and the odd parts.
    fn read(frames: &[Vec<u8>], read: usize) -> Result<(Vec<u8>, Rc<Oddities>), Reason> {
        struct Pieces(Vec<u8>, usize);
        impl AsyncRead for Pieces {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                room: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let count = self.1.min(self.0.len()).min(room.remaining());
                room.put_slice(&self.0[..count]);
                self.0.drain(..count);
                Poll::Ready(Ok(()))
            }
        }
        let bytes: Vec<u8> = PREFACE.iter().copied().chain(frames.concat()).collect();
        let (mut guarded, fault, oddities) = Guarded::new(Pieces(bytes, read.max(1)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut out = Vec::new();
        loop {
            let mut room = [0; 512];
            let mut room = ReadBuf::new(&mut room);
            match Pin::new(&mut guarded).poll_read(&mut cx, &mut room) {
                Poll::Pending => return Err(fault.get().expect("only a fault ends it")),
                Poll::Ready(_) if room.filled().is_empty() => break,
                Poll::Ready(_) => out.extend_from_slice(room.filled()),
            }
        }
        Ok((out.split_off(PREFACE.len()), oddities))
    }

    fn looked(frames: &[Vec<u8>], size: usize) -> Result<(), Reason> {
        let (out, _) = read(frames, size)?;
        assert_eq!(out, frames.concat());
        Ok(())
    }

    /// A head in two frames, with padding, a priority and this path.
    fn head(stream: u8, path: &[u8]) -> [Vec<u8>; 2] {
        let block = [&[0x82, 0x87, 0x01, 1, b'a', 0x04, path.len() as u8][..], path].concat();
        let (one, two) = block.split_at(7);
        let payload = [&[2][..], &[0, 0, 0, 0, 15], one, &[0, 0]].concat();
        let frame = |kind, flags, payload: &[u8]| {
            let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
            bytes.extend([kind, flags, 0, 0, 0, stream]);
            bytes.extend_from_slice(payload);
            bytes
        };
        [
            frame(HEADERS, END_STREAM | PADDED | PRIORITIZED, &payload),
            frame(CONTINUATION, END_HEADERS, two),
        ]
    }

    #[test]
    fn odd_paths_are_kept_beside() {
        let first = frame(SETTINGS, 0, 12);
        for size in [1, 5, 9, 40, 10_000] {
            let [a, b] = head(1, b"/a<b>");
            let [c, d] = head(3, b"/plain");
            let [e, f] = head(5, b"/#x");
            let data = frame(0, 0, 100);
            let frames = [
                first.clone(),
                a,
                b,
                data.clone(),
                c.clone(),
                d.clone(),
                data.clone(),
                e,
                f,
                data.clone(),
            ];
            let (out, oddities) = read(&frames, size).unwrap();
            let plain = [c, d].concat();
            assert!(
                out.windows(plain.len()).any(|window| window == plain),
                "untouched"
            );
            assert!(!out.contains(&b'<') && out.ends_with(&data));
            assert_eq!(oddities.take(1).path.as_deref(), Some(&b"/a<b>"[..]));
            assert_eq!(oddities.take(3), Odd::default());
            assert_eq!(oddities.take(5).path.as_deref(), Some(&b"/#x"[..]));
            assert_eq!(oddities.bytes.get(), 0);
        }
    }

    /// Each cost 100 bytes of log for 17 bytes of a client.
    #[test]
    fn answers_to_no_ping_end_the_connection() {
        let mut frames = vec![frame(SETTINGS, 0, 0)];
        frames.extend((0..STRAY_ACKS).map(|_| frame(PING, ACK, 8)));
        assert_eq!(looked(&frames, 99), Ok(()));
        frames.push(frame(PING, ACK, 8));
        assert_eq!(looked(&frames, 99), Err(Reason::ENHANCE_YOUR_CALM));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut frames = vec![frame(SETTINGS, 0, 0), frame(HEADERS, 0, FRAME_BYTES)];
        frames.extend((0..HEAD_BYTES / FRAME_BYTES).map(|_| frame(CONTINUATION, 0, FRAME_BYTES)));
        assert_eq!(looked(&frames, 9_999), Err(Reason::ENHANCE_YOUR_CALM));
        let odd = (0..ODD_BYTES / ODD_ENTRY).flat_map(|at| {
            let mut head = head(0, b"/<");
            for frame in &mut head {
                frame[5..9].copy_from_slice(&(2 * at as u32 + 1).to_be_bytes());
            }
            head
        });
        let frames: Vec<_> = [frame(SETTINGS, 0, 0)].into_iter().chain(odd).collect();
        assert_eq!(read(&frames, 9_999).err(), Some(Reason::ENHANCE_YOUR_CALM));
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
            frames.extend(lengths.iter().map(|&length| frame(if length % 3 == 0 { HEADERS } else { 0 }, END_HEADERS, length)));
            prop_assert_eq!(looked(&frames, read), Ok(()));
            frames.push(frame(PING, 0, 9));
            prop_assert_eq!(looked(&frames, read), Err(Reason::FRAME_SIZE_ERROR));
        }
    }
}
