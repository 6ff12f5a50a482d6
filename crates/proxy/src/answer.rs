//! An answer's head as the client will see it: the target's, less what is of its own connection.

use crate::buffers::Field;
use crate::cookies::Extra;
use crate::framing::Framing;
use crate::head::{AnswerHead, has_word};
use forebay_model::ListenerSettings;
use forebay_node::phrase;
use forebay_units::digits::decimal;
use std::io::Write as _;

/// Values of an answer's Connection headers.
fn connection_words<'a>(fields: &'a [Field], head: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(|field| {
            let name = field.name(head);
            name.len() == 10 && name.eq_ignore_ascii_case(b"connection")
        })
        .map(|field| field.value(head))
}

pub(crate) fn says_close(fields: &[Field], head: &[u8]) -> bool {
    connection_words(fields, head).any(|value| has_word(value, b"close"))
}

/// Whether the answer calls this header its connection's own (RFC 9110 section 7.6.1). The length of a body that HEAD
/// or 304 leave out cannot be called away.
fn is_named(fields: &[Field], head: &[u8], name: &[u8]) -> bool {
    !name.eq_ignore_ascii_case(b"content-length")
        && connection_words(fields, head).any(|value| has_word(value, name))
}

/// Header lines of an answer that are of the target's connection only, or written anew.
fn is_dropped(name: &[u8], keeps_length: bool) -> bool {
    match name.len() {
        7 => name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"trailer"),
        10 => name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive"),
        14 => !keeps_length && name.eq_ignore_ascii_case(b"content-length"),
        16 => name.eq_ignore_ascii_case(b"proxy-connection"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        // An agent's word to its node. Applications may not say it in its place.
        22 => name.eq_ignore_ascii_case(b"x-forebay-work-refused"),
        _ => false,
    }
}

/// Which of an answer's header lines its client sees.
pub(crate) struct Kept<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
    keeps_length: bool,
    /// Most answers name nothing but keep-alive or close as their connection's own, and need no search per header.
    names_others: bool,
    settings: &'a ListenerSettings,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(
        bytes: &'a [u8],
        fields: &'a [Field],
        head: &AnswerHead,
        to_head: bool,
        settings: &'a ListenerSettings,
    ) -> Kept<'a> {
        let names_others = connection_words(fields, bytes)
            .any(|value| !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close"));
        Kept {
            bytes,
            fields,
            // HEAD and 304 say how long the body would be; they have none.
            keeps_length: to_head || head.status == 304,
            names_others,
            settings,
        }
    }

    pub(crate) fn keeps(&self, field: &Field) -> bool {
        let name = field.name(self.bytes);
        let set = &self.settings.response_headers;
        let overridden = || set.iter().any(|set| set.0.as_bytes().eq_ignore_ascii_case(name));
        !(is_dropped(name, self.keeps_length)
            || (!set.is_empty() && overridden())
            || (self.names_others && is_named(self.fields, self.bytes, name)))
    }
}

/// The head of 101: the connection becomes a WebSocket's.
pub(crate) fn write_upgrade_head(
    out: &mut Vec<u8>,
    bytes: &[u8],
    fields: &[Field],
    head: &AnswerHead,
    settings: &ListenerSettings,
    extras: &[Extra],
) {
    out.clear();
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    let kept = Kept::new(bytes, fields, head, false, settings);
    for field in fields.iter().filter(|field| kept.keeps(field)) {
        field.write(bytes, out);
    }
    write_set(out, settings);
    write_extras(out, extras);
    out.extend_from_slice(b"\r\n");
}

fn write_extras(out: &mut Vec<u8>, extras: &[Extra]) {
    for (name, value) in extras {
        let _ = write!(out, "{name}: {value}\r\n");
    }
}

fn write_set(out: &mut Vec<u8>, settings: &ListenerSettings) {
    for (name, value) in &settings.response_headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a head says")]
pub(crate) fn write_answer_head(
    out: &mut Vec<u8>,
    bytes: &[u8],
    fields: &[Field],
    head: &AnswerHead,
    framing: Framing,
    to_head: bool,
    to_chunks: bool,
    keep: bool,
    settings: &ListenerSettings,
    extras: &[Extra],
) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(head.status));
    out.push(b' ');
    let text = head.phrase.of(bytes);
    out.extend_from_slice(if text.is_empty() {
        phrase(head.status).as_bytes()
    } else {
        text
    });
    out.extend_from_slice(b"\r\n");
    let kept = Kept::new(bytes, fields, head, to_head, settings);
    for field in fields.iter().filter(|field| kept.keeps(field)) {
        field.write(bytes, out);
    }
    write_set(out, settings);
    write_extras(out, extras);
    if to_chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if let Framing::Length(length) = framing {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(if keep {
        b"Connection: keep-alive\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
}
