//! Parts of a parsed head, as offsets into it.

use crate::names::Known;

/// A part of a parsed head: the offset of its first byte and the offset behind its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// The position of `part`, a slice of `head`, in it.
    pub(crate) fn within(head: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
        Span {
            start: u32::try_from(start).unwrap_or(0),
            end: u32::try_from(start + part.len()).unwrap_or(0),
        }
    }

    /// The span between two offsets. Heads are far shorter than 4 GiB.
    pub(crate) fn between(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    pub(crate) fn of<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.start as usize..self.end as usize]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Splits at byte `at`: the part before it and the part behind it, without that byte.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
    /// The name's meaning, if it has one here.
    pub(crate) known: Known,
}

impl Field {
    pub(crate) fn is(&self, known: Known) -> bool {
        self.known == known
    }

    pub(crate) fn name<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.name.of(head)
    }

    pub(crate) fn value<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.value.of(head)
    }
}

/// Appends the first bytes of a head, `before` its lines, and the header lines that `keeps` selects, as `name: value`.
/// Neighbouring lines that already have this form are copied in one piece.
pub(crate) fn write_lines(
    out: &mut Vec<u8>,
    head: &[u8],
    before: usize,
    fields: &[Field],
    keeps: impl Fn(&Field) -> bool,
) {
    let mut run = 0..before;
    for field in fields.iter().filter(|field| keeps(field)) {
        let (start, end) = (field.name.start as usize, field.value.end as usize);
        let gap = head.get(field.name.end as usize..field.value.start as usize);
        let stands = gap == Some(b": ") && head.get(end..end + 2) == Some(b"\r\n");
        if stands && run.end == start {
            run.end = end + 2;
            continue;
        }
        out.extend_from_slice(&head[run]);
        run = 0..0;
        if stands {
            run = start..end + 2;
        } else {
            out.extend_from_slice(field.name(head));
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value(head));
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(&head[run]);
}

/// Whether the name equals `lower`, which is in lower case, ignoring case.
pub(crate) fn is(name: &[u8], lower: &[u8]) -> bool {
    name.len() == lower.len() && name.eq_ignore_ascii_case(lower)
}

/// Whether a comma-separated header value contains this word, ignoring case.
pub(crate) fn has_word(value: &[u8], word: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}
