//! Buffers that active requests borrow from their worker, so that idle connections hold none.

use crate::fields::Field;
use crate::memory::Meter;
use crate::note::Note;
use std::rc::Rc;

/// Room for a request's head; grows to the limit when a head needs it. What most requests need lies close together
/// (this, the answer's room, the head being written): a request then touches few pages, and costs 2 % less.
const INPUT_BYTES: usize = 3 * 1024 + 64;
/// Room for an answer's head and a short body.
const BODY_BYTES: usize = 4 * 1024 + 64;
/// Room for a body that goes on.
const LARGE_BYTES: usize = 64 * 1024;
/// Bytes of input a desk may keep for the next request's head.
const INPUT_KEPT: usize = 16 * 1024;
/// Free desks a worker keeps, and free large buffers. Above that, memory goes back to the system.
const KEPT: usize = 64;
/// Memory of a desk, counted against the ceiling: its buffers and lists, and what `out` grows to for short answers.
const DESK_BYTES: usize = 16 * 1024;
/// What a head that is larger than its room takes of `out` and of the note, for each byte of the input: a copy each.
const COPIES: usize = 3;
/// What a packed desk holds besides its head.
const PACKED_BYTES: usize = size_of::<Desk>() + 512;
/// Desks a worker makes beyond the ceiling, to say so to clients.
const SPARE: usize = 32;

/// All memory that an active request works with.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Bytes from the client; what is unread lies between `start` and `end`.
    pub(crate) input: Vec<u8>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The request's header lines, offsets relative to the head's first byte.
    pub(crate) fields: Vec<Field>,
    /// The head being written.
    pub(crate) out: Vec<u8>,
    /// Bytes from the target; an answer's head begins at HEADROOM. Empty until the desk first serves a request that is
    /// forwarded: a client that is slow with its head must not cost this much.
    pub(crate) body: Vec<u8>,
    /// Where the bytes read with an answer's head end.
    pub(crate) body_end: usize,
    /// The answer's header lines.
    pub(crate) answer_fields: Vec<Field>,
    /// What the request's log line will say.
    pub(crate) note: Note,
    /// There is no memory for this request: it is answered 503.
    pub(crate) refuses: bool,
    /// One of those beyond the ceiling.
    spare: bool,
    /// Bytes counted for it, large buffers aside.
    counted: usize,
    /// Bytes that others may come to hold on its behalf.
    promised: usize,
    /// What its stream to a target may hold of the body is counted.
    pub(crate) streams: bool,
    /// Its request waits, and its room is elsewhere.
    packed: bool,
    /// What stood in place of large buffers.
    small_input: Vec<u8>,
    small_body: Vec<u8>,
}

impl Desk {
    fn new() -> Box<Desk> {
        Box::new(Desk {
            input: vec![0; INPUT_BYTES],
            fields: Vec::with_capacity(32),
            out: Vec::with_capacity(2048),
            answer_fields: Vec::with_capacity(32),
            counted: DESK_BYTES,
            ..Desk::bare()
        })
    }

    /// One without room for anything.
    fn bare() -> Desk {
        Desk {
            input: Vec::new(),
            start: 0,
            end: 0,
            fields: Vec::new(),
            out: Vec::new(),
            body: Vec::new(),
            body_end: 0,
            answer_fields: Vec::new(),
            note: Note::default(),
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

    /// Bytes from the client that nobody has read yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }
}

/// A worker's free desks.
#[derive(Debug, Default)]
pub(crate) struct Desks {
    // Boxed, because a connection's future must stay small: it holds only the pointer.
    #[expect(clippy::vec_box, reason = "desks move between connections by pointer")]
    free: Vec<Box<Desk>>,
    large: Vec<Vec<u8>>,
    spare: usize,
    meter: Rc<Meter>,
}

impl Desks {
    pub(crate) fn new(meter: Rc<Meter>) -> Desks {
        Desks {
            meter,
            ..Desks::default()
        }
    }

    /// A desk; none if all memory is held, and all desks that could say so too.
    pub(crate) fn take(&mut self) -> Option<Box<Desk>> {
        if let Some(desk) = self.free.pop() {
            return Some(desk);
        }
        let mut desk = None;
        if self.meter.try_take(DESK_BYTES) {
            desk = Some(Desk::new());
        } else if self.spare < SPARE {
            self.spare += 1;
            self.meter.take(DESK_BYTES);
            let mut spare = Desk::new();
            (spare.refuses, spare.spare) = (true, true);
            desk = Some(spare);
        }
        desk
    }

    /// Takes a desk's large buffers back. What stands in them is gone.
    fn shrink(&mut self, desk: &mut Desk) {
        let Desk {
            input,
            body,
            small_input,
            small_body,
            ..
        } = desk;
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

    /// Lends a desk's room to others, whose request is over but for what its client still sends.
    pub(crate) fn clear(&mut self, desk: &mut Desk) {
        (desk.start, desk.end) = (0, 0);
        self.shrink(desk);
        self.pack(desk);
    }

    pub(crate) fn give_back(&mut self, mut desk: Box<Desk>) {
        self.shrink(&mut desk);
        let frugal = self.meter.is_frugal();
        if desk.promised > 0 {
            self.meter.give_back(core::mem::take(&mut desk.promised));
        }
        self.spare -= usize::from(desk.spare);
        if self.free.len() >= KEPT
            || frugal
            || desk.spare
            || !(INPUT_BYTES..=INPUT_KEPT).contains(&desk.input.len())
        {
            self.meter.give_back(desk.counted);
            return;
        }
        (desk.refuses, desk.streams) = (false, false);
        (desk.start, desk.end) = (0, 0);
        desk.note.reset();
        if desk.out.capacity() > LARGE_BYTES {
            desk.out = Vec::with_capacity(2048);
        }
        self.free.push(desk);
    }

    /// Leaves on the desk only what stands there, while its request waits for a slot: its room serves others meanwhile. Call
    /// [`Desks::unpack`] before anything else is done with it.
    pub(crate) fn pack(&mut self, desk: &mut Desk) {
        if desk.spare || !desk.small_input.is_empty() || !desk.small_body.is_empty() {
            return;
        }
        let unread = desk.unread().to_vec();
        let mut room = Desk::bare();
        room.input = core::mem::replace(&mut desk.input, unread);
        (desk.start, desk.end) = (0, desk.input.len());
        let fields = desk.fields.clone();
        room.fields = core::mem::replace(&mut desk.fields, fields);
        room.answer_fields = core::mem::take(&mut desk.answer_fields);
        room.out = core::mem::take(&mut desk.out);
        room.body = core::mem::take(&mut desk.body);
        room.counted = desk.counted;
        desk.counted = PACKED_BYTES + desk.input.len() + desk.fields.len() * size_of::<Field>();
        desk.packed = true;
        self.meter.take(desk.counted);
        self.give_back(Box::new(room));
    }

    /// Gives a packed desk its room again. False if there is no memory for that.
    pub(crate) fn unpack(&mut self, desk: &mut Desk) -> bool {
        if !core::mem::take(&mut desk.packed) {
            return true;
        }
        let Some(mut room) = self.take() else {
            return false;
        };
        let length = desk.input.len();
        if room.refuses || !self.count_head(&mut room, length) {
            self.give_back(room);
            return false;
        }
        if room.input.len() < length {
            room.input.resize(length, 0);
        }
        room.input[..length].copy_from_slice(&desk.input);
        room.fields.clear();
        room.fields.extend_from_slice(&desk.fields);
        desk.input = core::mem::take(&mut room.input);
        desk.fields = core::mem::take(&mut room.fields);
        desk.answer_fields = core::mem::take(&mut room.answer_fields);
        desk.out = core::mem::take(&mut room.out);
        desk.body = core::mem::take(&mut room.body);
        self.meter.give_back(desk.counted);
        desk.counted = room.counted;
        true
    }

    fn large(&mut self) -> Option<Vec<u8>> {
        let free = self.large.pop();
        free.or_else(|| self.meter.try_take(LARGE_BYTES).then(|| vec![0; LARGE_BYTES]))
    }

    /// Counts an input that is to hold a head of so many bytes. False if there is no memory for that.
    pub(crate) fn count_head(&self, desk: &mut Desk, bytes: usize) -> bool {
        let wanted = DESK_BYTES + bytes.saturating_sub(INPUT_BYTES) * COPIES;
        let more = wanted.saturating_sub(desk.counted);
        let fits = more == 0 || self.meter.try_take(more);
        if fits {
            desk.counted += more;
        }
        fits
    }

    /// Counts what others may come to hold on the desk's behalf. False if there is no memory for that.
    pub(crate) fn promise(&self, desk: &mut Desk, bytes: usize) -> bool {
        let fits = self.meter.try_take(bytes);
        if fits {
            desk.promised += bytes;
        }
        fits
    }

    /// Gives the desk a large buffer for what comes from the target, if there is memory. What is there stays.
    pub(crate) fn enlarge_body(&mut self, desk: &mut Desk) {
        if desk.small_body.is_empty()
            && let Some(large) = self.large()
        {
            desk.small_body = replace_by(&mut desk.body, large);
        }
    }

    /// Gives the desk a large buffer for what comes from the client, if there is memory. What is there stays.
    pub(crate) fn enlarge_input(&mut self, desk: &mut Desk) {
        // An input that grew for its head may be as large already.
        if desk.small_input.is_empty()
            && desk.input.len() < LARGE_BYTES
            && let Some(large) = self.large()
        {
            desk.small_input = replace_by(&mut desk.input, large);
        }
    }
}

/// Puts `large` in the place of `buffer`, with the same bytes at its beginning; returns what was there.
fn replace_by(buffer: &mut Vec<u8>, mut large: Vec<u8>) -> Vec<u8> {
    large[..buffer.len()].copy_from_slice(buffer);
    core::mem::replace(buffer, large)
}
