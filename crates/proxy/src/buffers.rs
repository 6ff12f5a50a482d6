//! Buffers that active requests borrow from their worker, so that idle connections hold none.

use crate::note::Note;

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

/// A part of a parsed head, as offsets of its first byte and of the byte behind its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// Where `part`, a slice of `head`, lies in it.
    pub(crate) fn within(head: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
        Span {
            start: u32::try_from(start).unwrap_or(0),
            end: u32::try_from(start + part.len()).unwrap_or(0),
        }
    }

    pub(crate) fn of<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.start as usize..self.end as usize]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What lies before its byte number `at`, and what lies behind that byte.
    pub(crate) fn split(&self, at: usize) -> (Span, Option<Span>) {
        let cut = self.start + u32::try_from(at).unwrap_or(0);
        let before = Span {
            start: self.start,
            end: cut,
        };
        let behind = Span {
            start: cut + 1,
            end: self.end,
        };
        (before, Some(behind))
    }
}

/// One header line of a parsed head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

impl Field {
    pub(crate) fn name<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.name.of(head)
    }

    /// Appends the line as `name: value`: in one piece where it stands so in the head already.
    pub(crate) fn write(&self, head: &[u8], out: &mut Vec<u8>) {
        let (start, end) = (self.name.start as usize, self.value.end as usize);
        let gap = head.get(self.name.end as usize..self.value.start as usize);
        if gap == Some(b": ") && head.get(end..end + 2) == Some(b"\r\n") {
            out.extend_from_slice(&head[start..end + 2]);
        } else {
            out.extend_from_slice(self.name(head));
            out.extend_from_slice(b": ");
            out.extend_from_slice(self.value(head));
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(crate) fn value<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.value.of(head)
    }
}

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
    /// What stood in place of large buffers.
    small_input: Vec<u8>,
    small_body: Vec<u8>,
}

impl Desk {
    fn new() -> Box<Desk> {
        Box::new(Desk {
            input: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            fields: Vec::with_capacity(32),
            out: Vec::with_capacity(2048),
            body: Vec::new(),
            body_end: 0,
            answer_fields: Vec::with_capacity(32),
            note: Note::default(),
            small_input: Vec::new(),
            small_body: Vec::new(),
        })
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
}

impl Desks {
    pub(crate) fn take(&mut self) -> Box<Desk> {
        self.free.pop().unwrap_or_else(Desk::new)
    }

    pub(crate) fn give_back(&mut self, mut desk: Box<Desk>) {
        let Desk {
            input,
            body,
            small_input,
            small_body,
            ..
        } = &mut *desk;
        for (buffer, small) in [(input, small_input), (body, small_body)] {
            if !small.is_empty() {
                let large = core::mem::replace(buffer, core::mem::take(small));
                if self.large.len() < KEPT {
                    self.large.push(large);
                }
            }
        }
        if self.free.len() >= KEPT {
            return;
        }
        (desk.start, desk.end) = (0, 0);
        desk.note.reset();
        if desk.input.len() > INPUT_KEPT {
            desk.input.truncate(INPUT_BYTES);
            desk.input.shrink_to_fit();
        }
        if desk.out.capacity() > LARGE_BYTES {
            desk.out = Vec::with_capacity(2048);
        }
        self.free.push(desk);
    }

    fn large(&mut self) -> Vec<u8> {
        self.large.pop().unwrap_or_else(|| vec![0; LARGE_BYTES])
    }

    /// Gives the desk a large buffer for what comes from the target. What is there stays.
    pub(crate) fn enlarge_body(&mut self, desk: &mut Desk) {
        if desk.small_body.is_empty() {
            desk.small_body = replace_by(&mut desk.body, self.large());
        }
    }

    /// Gives the desk a large buffer for what comes from the client. What is there stays.
    pub(crate) fn enlarge_input(&mut self, desk: &mut Desk) {
        // An input that grew for its head may be as large already.
        if desk.small_input.is_empty() && desk.input.len() < LARGE_BYTES {
            desk.small_input = replace_by(&mut desk.input, self.large());
        }
    }
}

/// Puts `large` in the place of `buffer`, with the same bytes at its beginning; returns what was there.
fn replace_by(buffer: &mut Vec<u8>, mut large: Vec<u8>) -> Vec<u8> {
    large[..buffer.len()].copy_from_slice(buffer);
    core::mem::replace(buffer, large)
}
