//! Buffers that active requests borrow from their worker, so that idle connections hold none.

/// Room for a request's head; grows to the limit when a head needs it.
pub(crate) const INPUT_BYTES: usize = 16 * 1024;
/// Room for an answer's head and for bodies.
pub(crate) const BODY_BYTES: usize = 64 * 1024;
/// Free desks a worker keeps. Above that, memory goes back to the system.
const KEPT: usize = 64;

/// One header line of a parsed head, as offsets into its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: (u32, u32),
    pub(crate) value: (u32, u32),
}

impl Field {
    pub(crate) fn name<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.name.0 as usize..self.name.1 as usize]
    }

    /// Appends the line as `name: value`: in one piece where it stands so in the head already.
    pub(crate) fn write(&self, head: &[u8], out: &mut Vec<u8>) {
        let (start, end) = (self.name.0 as usize, self.value.1 as usize);
        let gap = head.get(self.name.1 as usize..self.value.0 as usize);
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
        &head[self.value.0 as usize..self.value.1 as usize]
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
}

impl Desks {
    pub(crate) fn take(&mut self) -> Box<Desk> {
        self.free.pop().unwrap_or_else(Desk::new)
    }

    pub(crate) fn give_back(&mut self, mut desk: Box<Desk>) {
        if self.free.len() >= KEPT {
            return;
        }
        (desk.start, desk.end) = (0, 0);
        if desk.input.len() > INPUT_BYTES {
            desk.input.truncate(INPUT_BYTES);
            desk.input.shrink_to_fit();
        }
        if desk.out.capacity() > 4 * BODY_BYTES {
            desk.out = Vec::with_capacity(2048);
        }
        self.free.push(desk);
    }
}
