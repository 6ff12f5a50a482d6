//! A plaintext stream over TLS.
//!
//! Nothing is buffered while a connection idles: ciphertext is read into and written from buffers that all connections of a
//! thread share. Only the rest (part of a record, a record larger than the reader's room, bytes that the socket did not
//! take) is kept with the connection.
//!
//! A write completes only when its ciphertext went to the socket, because the stages do not flush. A write that was pending
//! must be retried with the same bytes in front.

use super::end::{End, RECORD_BYTES, RECORD_OVERHEAD, encode, encrypt};
use rustls::CommonState;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Plaintext encrypted for one write: four full records.
const WRITE_BYTES: usize = 64 * 1024;
/// Ciphertext read at once: more than the largest record, and handshake messages up to rustls' limit.
const READ_BYTES: usize = 80 * 1024;
/// Ciphertext of our own making that may wait (tickets, answers to key updates). A peer that makes us produce more without
/// reading any is cut off.
const WAITING_BYTES: usize = WRITE_BYTES + 16 * 1024;

struct Scratch {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        incoming: vec![0; READ_BYTES],
        outgoing: Vec::new(),
    });
}

/// The state of the reading side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// The peer sent close_notify.
    Closed,
    /// The stream ended without it, or failed.
    Broken,
}

/// A plaintext stream over TLS.
pub(crate) struct TlsStream<E> {
    socket: TcpStream,
    end: E,
    /// Ciphertext that is not a complete record yet.
    partial: Vec<u8>,
    /// Plaintext that was decrypted and not read, from `taken` on.
    clear: Vec<u8>,
    taken: usize,
    /// Ciphertext to be sent, from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
    /// Bytes of plaintext whose ciphertext is in `waiting` and whose writer was told to retry.
    accepted: usize,
    reading: Reading,
    /// rustls reported an error; it is not used again, neither to read nor to write.
    failed: bool,
    closing: bool,
}

/// Where plaintext goes: to the reader as far as it has room; the rest is kept.
struct Sink<'a, 'b> {
    reader: Option<&'a mut ReadBuf<'b>>,
    kept: &'a mut Vec<u8>,
    count: usize,
}

impl Sink<'_, '_> {
    fn take(&mut self, bytes: &[u8]) {
        self.count += bytes.len();
        let mut rest = bytes;
        // Once something is kept, all that follows must be kept behind it.
        if let Some(reader) = self.reader.as_mut().filter(|_| self.kept.is_empty()) {
            let now = rest.len().min(reader.remaining());
            reader.put_slice(&rest[..now]);
            rest = &rest[now..];
        }
        self.kept.extend_from_slice(rest);
    }
}

/// The result of processing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processed {
    /// The handshake needs more from the peer.
    Handshaking,
    /// Plaintext may flow both ways.
    Established,
}

impl<E: End> TlsStream<E> {
    pub(super) fn new(socket: TcpStream, end: E) -> TlsStream<E> {
        TlsStream {
            socket,
            end,
            partial: Vec::new(),
            clear: Vec::new(),
            taken: 0,
            waiting: Vec::new(),
            sent: 0,
            accepted: 0,
            reading: Reading::Open,
            failed: false,
            closing: false,
        }
    }

    /// What was negotiated.
    pub(crate) fn state(&self) -> &CommonState {
        self.end.state()
    }

    fn has_clear(&self) -> bool {
        self.taken < self.clear.len()
    }

    fn has_waiting(&self) -> bool {
        self.sent < self.waiting.len()
    }

    /// One step of the handshake; true once it is done.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut held = core::mem::take(&mut self.partial);
        let processed = match self.process(None, &mut held) {
            Ok(processed) => processed,
            Err(error) => {
                // Sends the alert, if the socket takes it at once.
                let _ = self.poll_send(cx);
                return Poll::Ready(Err(error));
            }
        };
        if processed == Processed::Established {
            // What waits now (tickets, a client's Finished) is sent with the first plaintext, or before a wait.
            return Poll::Ready(Ok(true));
        }
        ready!(self.poll_send(cx))?;
        match ready!(self.poll_fill(cx, None)) {
            Ok(_) if self.reading == Reading::Open => Poll::Ready(Ok(false)),
            Ok(_) if !self.state().is_handshaking() => Poll::Ready(Ok(true)),
            Ok(_) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => {
                let _ = self.poll_send(cx);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Processes all of the peer's bytes; keeps incomplete records and messages. rustls remembers where a message began, so
    /// these bytes must be passed to it each time, until it allows them to be discarded.
    fn process(&mut self, reader: Option<&mut ReadBuf<'_>>, incoming: &mut [u8]) -> io::Result<Processed> {
        if !self.has_clear() {
            self.clear.clear();
            self.taken = 0;
        }
        let mut sink = Sink {
            reader,
            kept: &mut self.clear,
            count: 0,
        };
        let mut at = 0;
        let processed = loop {
            let UnbufferedStatus { mut discard, state } = self.end.process(&mut incoming[at..]);
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    (self.reading, self.failed) = (Reading::Broken, true);
                    self.partial = Vec::new();
                    at += discard;
                    // The alert is fetched like any other message. Nothing beyond it may be requested: rustls would process
                    // the same bytes again.
                    while self.end.state().wants_write() {
                        let UnbufferedStatus { discard, state } = self.end.process(&mut incoming[at..]);
                        let Ok(ConnectionState::EncodeTlsData(message)) = state else {
                            break;
                        };
                        encode(message, &mut self.waiting)?;
                        at += discard;
                    }
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            let mut done = None;
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        sink.take(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(message) => encode(message, &mut self.waiting)?,
                // It is sent in order with everything else, so it counts as sent.
                ConnectionState::TransmitTlsData(message) => message.done(),
                ConnectionState::PeerClosed => self.reading = Reading::Closed,
                ConnectionState::BlockedHandshake => done = Some(Processed::Handshaking),
                ConnectionState::WriteTraffic(_) | ConnectionState::Closed => {
                    done = Some(Processed::Established)
                }
                // 0-RTT is off; no other state can occur.
                _ => return Err(io::ErrorKind::Unsupported.into()),
            }
            at += discard;
            if let Some(done) = done {
                break done;
            }
        };
        self.partial = incoming[at..].to_vec();
        if self.waiting.len() - self.sent > WAITING_BYTES {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(if self.state().is_handshaking() {
            Processed::Handshaking
        } else {
            processed
        })
    }

    /// Reads from the socket once and processes it. Returns the number of plaintext bytes gained.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<usize>> {
        if self.failed {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let buffer = &mut scratch.incoming;
            let held = self.partial.len();
            buffer[..held].copy_from_slice(&self.partial);
            // Read no more than the reader has room for, in whole records: what does not fit is copied twice.
            let wanted = reader.as_ref().map_or(RECORD_BYTES, |reader| reader.remaining());
            let limit = (held + wanted.max(RECORD_BYTES) + 2 * RECORD_OVERHEAD).min(buffer.len());
            let mut room = ReadBuf::new(&mut buffer[held..limit]);
            if room.remaining() == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room)) {
                Ok(()) if room.filled().is_empty() => {
                    if self.reading == Reading::Open {
                        self.reading = Reading::Broken;
                    }
                    return Poll::Ready(Ok(0));
                }
                Ok(()) => {}
                Err(error) => {
                    self.reading = Reading::Broken;
                    return Poll::Ready(Err(error));
                }
            }
            let filled = held + room.filled().len();
            let before = self.clear.len() - self.taken;
            let had = reader.as_ref().map_or(0, |reader| reader.filled().len());
            let processed = self.process(reader.as_deref_mut(), &mut buffer[..filled]);
            let has = reader.as_ref().map_or(0, |reader| reader.filled().len());
            let gained = (has - had) + (self.clear.len() - self.taken) - before;
            match processed {
                // The peer meant what came before the error; the error is returned by the next read.
                Err(_) if gained > 0 => Poll::Ready(Ok(gained)),
                Err(error) => Poll::Ready(Err(error)),
                Ok(_) => Poll::Ready(Ok(gained)),
            }
        })
    }

    /// Sends the waiting ciphertext.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_waiting() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.waiting[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        // Freed, not kept: most connections never need it again.
        self.waiting = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Encrypts as much of `parts` as one write takes, sends it, and keeps what the socket does not take.
    fn poll_write_parts<'p>(
        &mut self,
        cx: &mut Context<'_>,
        parts: impl Iterator<Item = &'p [u8]>,
    ) -> Poll<io::Result<usize>> {
        if self.accepted > 0 {
            ready!(self.poll_send(cx))?;
            return Poll::Ready(Ok(core::mem::take(&mut self.accepted)));
        }
        let accepted = SCRATCH.with_borrow_mut(|scratch| {
            let out = &mut scratch.outgoing;
            out.clear();
            // Waiting ciphertext (such as tickets) goes first, in the same write.
            out.extend_from_slice(&self.waiting[self.sent..]);
            let accepted = self.encrypt_parts(parts, out)?;
            let written = match Pin::new(&mut self.socket).poll_write(cx, out) {
                Poll::Ready(Ok(0)) if !out.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => 0,
            };
            (self.waiting, self.sent) = (out[written..].to_vec(), 0);
            Ok(accepted)
        })?;
        if self.has_waiting() {
            self.accepted = accepted;
            ready!(self.poll_send(cx))?;
            self.accepted = 0;
        }
        Poll::Ready(Ok(accepted))
    }

    fn encrypt_parts<'p>(
        &mut self,
        mut parts: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
    ) -> io::Result<usize> {
        if self.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            let UnbufferedStatus { discard, state } = self.end.process(&mut self.partial);
            let mut done = None;
            match state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let mut accepted = 0;
                    for part in parts.by_ref() {
                        let part = &part[..part.len().min(WRITE_BYTES - accepted)];
                        if !part.is_empty() {
                            encrypt(&mut traffic, part, out)?;
                        }
                        accepted += part.len();
                    }
                    done = Some(accepted);
                }
                ConnectionState::EncodeTlsData(message) => encode(message, out)?,
                ConnectionState::TransmitTlsData(message) => message.done(),
                ConnectionState::PeerClosed => self.reading = Reading::Closed,
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            self.partial.drain(..discard);
            if let Some(accepted) = done {
                return Ok(accepted);
            }
        }
    }

    /// Ready when a read would not block.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_clear() || self.reading != Reading::Open || self.socket.poll_read_ready(cx).is_ready() {
            return Poll::Ready(());
        }
        // Tickets are sent before a wait.
        if self.has_waiting() && self.poll_send(cx).is_ready() && self.has_waiting() {
            // Sending failed. The next read reports it; otherwise it would wait for what cannot come.
            self.failed = true;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// The underlying socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Ready when the peer has closed; pending once it has sent more bytes instead.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.has_clear() {
                return Poll::Pending;
            }
            if self.reading != Reading::Open {
                return Poll::Ready(());
            }
            if ready!(self.poll_fill(cx, None)).is_err() {
                return Poll::Ready(());
            }
        }
    }

    /// Whether an idle connection cannot be used any more: its peer has closed it, or sends unexpected bytes. Tickets,
    /// which a TLS server sends on its own, are skipped.
    pub(crate) fn is_dead(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            if self.has_clear() || self.reading != Reading::Open || self.accepted > 0 {
                return true;
            }
            match self.poll_fill(&mut cx, None) {
                Poll::Pending => return matches!(self.poll_send(&mut cx), Poll::Ready(Err(_))),
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(_) => return true,
            }
        }
    }
}

impl<E: End> AsyncRead for TlsStream<E> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        reader: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if reader.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.has_clear() {
                let count = reader.remaining().min(this.clear.len() - this.taken);
                reader.put_slice(&this.clear[this.taken..this.taken + count]);
                this.taken += count;
                if !this.has_clear() {
                    (this.clear, this.taken) = (Vec::new(), 0);
                }
                return Poll::Ready(Ok(()));
            }
            match this.reading {
                Reading::Open => {}
                Reading::Closed => return Poll::Ready(Ok(())),
                // Anyone who can close a connection could cut short a body that lasts until the close (RFC 9112, section
                // 9.8).
                Reading::Broken => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
            match this.poll_fill(cx, Some(reader)) {
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => {
                    let _ = this.poll_send(cx);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    if this.has_waiting() && this.accepted == 0 {
                        let _ = this.poll_send(cx);
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<E: End> AsyncWrite for TlsStream<E> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_parts(cx, core::iter::once(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_parts(cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_send(cx))?;
        if !this.closing && !this.failed {
            this.closing = true;
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) = this.end.process(&mut this.partial).state
            {
                let mut notice = vec![0; RECORD_OVERHEAD];
                if let Ok(length) = traffic.queue_close_notify(&mut notice) {
                    notice.truncate(length);
                    (this.waiting, this.sent) = (notice, 0);
                }
            }
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
