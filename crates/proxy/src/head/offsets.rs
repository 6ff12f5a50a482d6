//! The results of parsing a head.

use crate::fields::{Field, Span, has_word};
use crate::names::Known;
use forebay_model::limits;

/// Most header lines of a head. ALB publishes only a limit in bytes; this one bounds the parser's memory.
pub(super) const LINES: usize = 256;

/// Limits on a request's head, in bytes and lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) line: usize,
    pub(crate) header: usize,
    pub(crate) head: usize,
    pub(crate) lines: usize,
}

impl Bounds {
    /// ALB's quotas.
    pub(crate) const CLIENT: Bounds = Bounds {
        line: limits::REQUEST_LINE_BYTES,
        header: limits::HEADER_BYTES,
        head: limits::REQUEST_HEAD_BYTES,
        lines: LINES,
    };
    /// The limits at an agent, whose client is a node: what the node accepts, plus its own lines and a rewritten URL. One
    /// line may be as long as the head, because the cookies of an HTTP/2 request come in many fields and are passed on as
    /// one.
    pub(crate) const NODE: Bounds = Bounds {
        line: limits::REQUEST_LINE_BYTES * 3 / 2,
        header: limits::REQUEST_HEAD_BYTES * 3 / 2,
        head: limits::REQUEST_HEAD_BYTES * 3 / 2,
        lines: LINES + 32,
    };
}

/// A request's head. Offsets are relative to its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// HTTP/1.0, otherwise 1.1.
    pub(crate) http_10: bool,
    /// Bytes of the head, including the empty line.
    pub(crate) length: usize,
}

impl RequestHead {
    pub(crate) fn method<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.method.of(head)
    }

    pub(crate) fn target<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.target.of(head)
    }
}

/// An answer's head. Offsets are relative to its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) phrase: Span,
    pub(crate) http_10: bool,
    pub(crate) says: Says,
    pub(crate) length: usize,
}

/// The values of an answer's Connection headers.
pub(crate) fn connection_words<'a>(fields: &'a [Field], head: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(|field| field.is(Known::Connection))
        .map(|field| field.value(head))
}

/// The facts that an answer's headers state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Says {
    /// The target closes its connection after this answer.
    pub(crate) close: bool,
    /// Connection names other headers. Most answers do not, and need no search per header.
    pub(crate) names_others: bool,
    /// There is a Date.
    pub(crate) dated: bool,
}

impl Says {
    pub(crate) fn of(fields: &[Field], head: &[u8]) -> Says {
        let mut says = Says {
            dated: fields.iter().any(|field| field.is(Known::Date)),
            ..Says::default()
        };
        for value in connection_words(fields, head) {
            if !value.eq_ignore_ascii_case(b"keep-alive") {
                says.close |= has_word(value, b"close");
                says.names_others |= !value.eq_ignore_ascii_case(b"close");
            }
        }
        says
    }
}
