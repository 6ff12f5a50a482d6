//! Buffers that active requests borrow from their worker, so that idle connections hold none.

use crate::fields::Field;
use crate::memory::{Held, Meter};
use crate::request_log::RequestLog;
use std::rc::Rc;

/// Room for a request's head; it grows to the limit when a head needs that. What most requests need (this, the answer's
/// room, the head being written) lies close together in memory: a request then touches few pages, and costs 2 % less.
const INPUT_BYTES: usize = 3 * 1024 + 64;
/// Room for an answer's head and a short body.
const BODY_BYTES: usize = 4 * 1024 + 64;
/// Room for a longer body.
const LARGE_BYTES: usize = 64 * 1024;
/// The largest input that free request buffers may keep.
const INPUT_KEPT: usize = 16 * 1024;
/// Free request buffers, and free large buffers, that a worker keeps. Beyond that, memory is returned to the system.
const KEPT: usize = 64;
/// Memory counted for one set of request buffers: its buffers and lists, and what `out` grows to for short answers.
const REQUEST_BUFFERS_BYTES: usize = 16 * 1024;
/// Bytes counted for each byte that a head exceeds its room: the input and its copies in `out` and in the request log.
const COPIES: usize = 3;
/// Bytes counted for packed buffers in addition to the head.
const PACKED_BYTES: usize = size_of::<RequestBuffers>() + 512;
/// Request buffers that a worker makes beyond the memory ceiling, to answer clients with 503.
const SPARE: usize = 32;

/// All memory that an active request works with.
#[derive(Debug)]
pub(crate) struct RequestBuffers {
    /// Bytes from the client; the unread ones lie between `start` and `end`.
    pub(crate) input: Vec<u8>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The request's header lines, with offsets relative to the head's first byte.
    pub(crate) fields: Vec<Field>,
    /// The head that is being written.
    pub(crate) out: Vec<u8>,
    /// Bytes from the target; an answer's head begins at HEADROOM. Empty until a request is forwarded: a client that is
    /// slow with its head must not cost this much.
    pub(crate) body: Vec<u8>,
    /// End of the bytes that were read with an answer's head.
    pub(crate) body_end: usize,
    /// The answer's header lines.
    pub(crate) answer_fields: Vec<Field>,
    /// What the request's log line will say.
    pub(crate) request_log: RequestLog,
    /// There is no memory for this request: it is answered with 503.
    pub(crate) refuses: bool,
    /// They are beyond the memory ceiling.
    spare: bool,
    /// Bytes counted for these buffers, without large ones.
    counted: usize,
    /// Bytes counted that others (the `h2` crate) may come to hold for this request.
    promised: usize,
    /// The memory of a stream to an HTTP/2 target was counted.
    pub(crate) streams: bool,
    /// The request waits for a slot, and its room was given back.
    packed: bool,
    /// The buffers that large ones have replaced.
    small_input: Vec<u8>,
    small_body: Vec<u8>,
}

impl RequestBuffers {
    fn new() -> Box<RequestBuffers> {
        Box::new(RequestBuffers {
            input: vec![0; INPUT_BYTES],
            fields: Vec::with_capacity(32),
            out: Vec::with_capacity(2048),
            answer_fields: Vec::with_capacity(32),
            counted: REQUEST_BUFFERS_BYTES,
            ..RequestBuffers::bare()
        })
    }

    /// Buffers without any room.
    fn bare() -> RequestBuffers {
        RequestBuffers {
            input: Vec::new(),
            start: 0,
            end: 0,
            fields: Vec::new(),
            out: Vec::new(),
            body: Vec::new(),
            body_end: 0,
            answer_fields: Vec::new(),
            request_log: RequestLog::default(),
            refuses: false,
            spare: false,
            counted: 0,
            promised: 0,
            streams: false,
            packed: false,
            small_input: Vec::new(),
            small_body: Vec::new(),
        }
    }

    /// Makes sure that there is room for an answer.
    pub(crate) fn open_body(&mut self) {
        if self.body.is_empty() {
            self.body = vec![0; BODY_BYTES];
        }
    }

    /// Bytes from the client that were not read yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }
}

/// A worker's free request buffers.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    // Boxed, because a connection's future must stay small: it holds only the pointer.
    #[expect(
        clippy::vec_box,
        reason = "request buffers move between connections by pointer"
    )]
    free: Vec<Box<RequestBuffers>>,
    large: Vec<Vec<u8>>,
    spare: usize,
    meter: Rc<Meter>,
}

impl BufferPool {
    pub(crate) fn new(meter: Rc<Meter>) -> BufferPool {
        BufferPool {
            meter,
            ..BufferPool::default()
        }
    }

    /// Request buffers; none if the memory ceiling and the spare ones are used up.
    pub(crate) fn take(&mut self) -> Option<Box<RequestBuffers>> {
        if let Some(buffers) = self.free.pop() {
            return Some(buffers);
        }
        let mut buffers = None;
        if self.meter.try_take(REQUEST_BUFFERS_BYTES) {
            buffers = Some(RequestBuffers::new());
        } else if self.spare < SPARE {
            self.spare += 1;
            self.meter.take(REQUEST_BUFFERS_BYTES);
            let mut spare = RequestBuffers::new();
            (spare.refuses, spare.spare) = (true, true);
            buffers = Some(spare);
        }
        buffers
    }

    /// Takes the large buffers back. Their contents are lost.
    fn shrink(&mut self, buffers: &mut RequestBuffers) {
        let RequestBuffers {
            input,
            body,
            small_input,
            small_body,
            ..
        } = buffers;
        let frugal = self.meter.is_frugal();
        for (buffer, small) in [(input, small_input), (body, small_body)] {
            if !small.is_empty() {
                let large = core::mem::replace(buffer, core::mem::take(small));
                if self.large.len() < KEPT && !frugal {
                    self.large.push(large);
                } else {
                    self.meter.give_back(LARGE_BYTES);
                }
            }
        }
    }

    /// Gives a request's room back that is over, except that its client may still send.
    pub(crate) fn clear(&mut self, buffers: &mut RequestBuffers) {
        (buffers.start, buffers.end) = (0, 0);
        self.shrink(buffers);
        self.pack(buffers);
    }

    pub(crate) fn give_back(&mut self, mut buffers: Box<RequestBuffers>) {
        self.shrink(&mut buffers);
        let frugal = self.meter.is_frugal();
        if buffers.promised > 0 {
            self.meter.give_back(core::mem::take(&mut buffers.promised));
        }
        self.spare -= usize::from(buffers.spare);
        if self.free.len() >= KEPT
            || frugal
            || buffers.spare
            || !(INPUT_BYTES..=INPUT_KEPT).contains(&buffers.input.len())
        {
            self.meter.give_back(buffers.counted);
            return;
        }
        (buffers.refuses, buffers.streams) = (false, false);
        (buffers.start, buffers.end) = (0, 0);
        buffers.request_log.reset();
        if buffers.out.capacity() > LARGE_BYTES {
            buffers.out = Vec::with_capacity(2048);
        }
        self.free.push(buffers);
    }

    /// Reduces the buffers to their contents while the request waits for a slot, so that their room can serve others.
    /// [`BufferPool::unpack`] must be called before anything else is done with them.
    pub(crate) fn pack(&mut self, buffers: &mut RequestBuffers) {
        if buffers.spare || !buffers.small_input.is_empty() || !buffers.small_body.is_empty() {
            return;
        }
        let unread = buffers.unread().to_vec();
        let mut room = RequestBuffers::bare();
        room.input = core::mem::replace(&mut buffers.input, unread);
        (buffers.start, buffers.end) = (0, buffers.input.len());
        let fields = buffers.fields.clone();
        room.fields = core::mem::replace(&mut buffers.fields, fields);
        room.answer_fields = core::mem::take(&mut buffers.answer_fields);
        room.out = core::mem::take(&mut buffers.out);
        room.body = core::mem::take(&mut buffers.body);
        room.counted = buffers.counted;
        buffers.counted = PACKED_BYTES + buffers.input.len() + buffers.fields.len() * size_of::<Field>();
        buffers.packed = true;
        self.meter.take(buffers.counted);
        self.give_back(Box::new(room));
    }

    /// Gives packed buffers their room again. False if there is no memory for that.
    pub(crate) fn unpack(&mut self, buffers: &mut RequestBuffers) -> bool {
        if !core::mem::take(&mut buffers.packed) {
            return true;
        }
        let Some(mut room) = self.take() else {
            return false;
        };
        let length = buffers.input.len();
        if room.refuses || !self.count_head(&mut room, length) {
            self.give_back(room);
            return false;
        }
        if room.input.len() < length {
            room.input.resize(length, 0);
        }
        room.input[..length].copy_from_slice(&buffers.input);
        room.fields.clear();
        room.fields.extend_from_slice(&buffers.fields);
        buffers.input = core::mem::take(&mut room.input);
        buffers.fields = core::mem::take(&mut room.fields);
        buffers.answer_fields = core::mem::take(&mut room.answer_fields);
        buffers.out = core::mem::take(&mut room.out);
        buffers.body = core::mem::take(&mut room.body);
        self.meter.give_back(buffers.counted);
        buffers.counted = room.counted;
        true
    }

    fn large(&mut self) -> Option<Vec<u8>> {
        let free = self.large.pop();
        free.or_else(|| self.meter.try_take(LARGE_BYTES).then(|| vec![0; LARGE_BYTES]))
    }

    /// Counts an input for a head of `bytes` bytes. False if there is no memory for that.
    pub(crate) fn count_head(&self, buffers: &mut RequestBuffers, bytes: usize) -> bool {
        let wanted = REQUEST_BUFFERS_BYTES + bytes.saturating_sub(INPUT_BYTES) * COPIES;
        let more = wanted.saturating_sub(buffers.counted);
        let fits = more == 0 || self.meter.try_take(more);
        if fits {
            buffers.counted += more;
        }
        fits
    }

    /// Counts memory that others may come to hold for this request. False if there is not enough.
    pub(crate) fn promise(&self, buffers: &mut RequestBuffers, bytes: usize) -> bool {
        let fits = self.meter.try_take(bytes);
        if fits {
            buffers.promised += bytes;
        }
        fits
    }

    /// A counter, at zero, for memory that a request holds in addition to its buffers.
    pub(crate) fn hold(&self) -> Held {
        Held::new(Rc::clone(&self.meter))
    }

    /// Gives the buffers a large buffer for bytes from the target, if there is memory. The contents are kept.
    pub(crate) fn enlarge_body(&mut self, buffers: &mut RequestBuffers) {
        if buffers.small_body.is_empty()
            && let Some(large) = self.large()
        {
            buffers.small_body = replace_by(&mut buffers.body, large);
        }
    }

    /// Gives the buffers a large buffer for bytes from the client, if there is memory. The contents are kept.
    pub(crate) fn enlarge_input(&mut self, buffers: &mut RequestBuffers) {
        // An input that grew for its head may be as large already.
        if buffers.small_input.is_empty()
            && buffers.input.len() < LARGE_BYTES
            && let Some(large) = self.large()
        {
            buffers.small_input = replace_by(&mut buffers.input, large);
        }
    }
}

/// Replaces `buffer` by `large` and copies the contents; returns the old buffer.
fn replace_by(buffer: &mut Vec<u8>, mut large: Vec<u8>) -> Vec<u8> {
    large[..buffer.len()].copy_from_slice(buffer);
    core::mem::replace(buffer, large)
}
