//! An answer's head as the client will see it: the target's, without the headers of its own connection.

use crate::cookies::Extra;
use crate::fields::{Field, has_word, write_lines};
use crate::framing::Framing;
use crate::head::{AnswerHead, connection_words};
use crate::names::Known;
use forebay_model::ListenerSettings;
use forebay_node::phrase;
use forebay_units::digits::decimal;
use std::io::Write as _;

/// Whether the answer's Connection header names this header (RFC 9110, section 7.6.1). Content-Length cannot be removed
/// that way: with HEAD and 304 it is all that describes the body.
fn is_named(fields: &[Field], head: &[u8], field: &Field) -> bool {
    !field.is(Known::ContentLength)
        && connection_words(fields, head).any(|value| has_word(value, field.name(head)))
}

/// Whether a header belongs to the target's connection only, or is written anew.
fn is_dropped(known: Known, keeps_length: bool) -> bool {
    match known {
        Known::Connection
        | Known::KeepAlive
        | Known::ProxyConnection
        | Known::Trailer
        | Known::TransferEncoding
        | Known::Upgrade
        // Only an agent may set this header: from an application it would be taken for a refused permit.
        | Known::WorkRefused => true,
        Known::ContentLength => !keeps_length,
        _ => false,
    }
}

/// A target's answer whose head is passed on.
#[derive(Clone, Copy)]
pub(crate) struct Relayed<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) fields: &'a [Field],
    pub(crate) head: &'a AnswerHead,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// The request was HEAD.
    pub(crate) to_head: bool,
    pub(crate) settings: &'a ListenerSettings,
    /// Header lines that we add.
    pub(crate) extras: &'a [Extra],
}

/// Decides which of an answer's header lines the client sees.
pub(crate) struct Kept<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
    keeps_length: bool,
    /// Keeps Upgrade: with it a target says which protocol a client must speak, which in HTTP/1.1 is a header of the
    /// connection.
    keeps_upgrade: bool,
    names_others: bool,
    settings: &'a ListenerSettings,
}

impl<'a> Kept<'a> {
    pub(crate) fn of(answer: &Relayed<'a>) -> Kept<'a> {
        Kept {
            bytes: answer.bytes,
            fields: answer.fields,
            // HEAD and 304 state the length of a body that they do not have.
            keeps_length: answer.to_head || answer.head.status == 304,
            keeps_upgrade: false,
            names_others: answer.head.says.names_others,
            settings: answer.settings,
        }
    }

    pub(crate) fn keeps(&self, field: &Field) -> bool {
        let set = &self.settings.response_headers;
        let overridden = || {
            let name = field.name(self.bytes);
            set.iter().any(|set| set.0.as_bytes().eq_ignore_ascii_case(name))
        };
        if self.keeps_upgrade && field.is(Known::Upgrade) {
            return true;
        }
        !(is_dropped(field.known, self.keeps_length)
            || (!set.is_empty() && overridden())
            || (self.names_others && is_named(self.fields, self.bytes, field)))
    }
}

/// Writes the head of a 101: the connection becomes a WebSocket.
pub(crate) fn write_upgrade_head(out: &mut Vec<u8>, answer: &Relayed<'_>) {
    out.clear();
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    let kept = Kept::of(answer);
    write_lines(out, answer.bytes, 0, answer.fields, |field| kept.keeps(field));
    write_set(out, answer.settings);
    write_extras(out, answer.extras);
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

/// The length of a status line that can be passed on unchanged; 0 if it must be written anew.
fn status_line(bytes: &[u8], head: &AnswerHead) -> usize {
    const BEFORE: &[u8] = b"HTTP/1.1 200 ";
    let end = head.phrase.end as usize;
    let plain = head.phrase.start as usize == BEFORE.len()
        && !head.phrase.is_empty()
        && bytes.starts_with(&BEFORE[..9])
        && bytes.get(end..end + 2) == Some(b"\r\n");
    if plain { end + 2 } else { 0 }
}

fn write_status(out: &mut Vec<u8>, bytes: &[u8], head: &AnswerHead) {
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
}

/// Whether a single Content-Length line has the form that we would write.
fn has_plain_length(fields: &[Field], bytes: &[u8]) -> bool {
    let mut lines = fields.iter().filter(|field| field.is(Known::ContentLength));
    let plain = |field: &Field| matches!(field.value(bytes), [b'0'] | [b'1'..=b'9', ..]);
    lines.next().is_some_and(plain) && lines.next().is_none()
}

/// Writes an answer's head for an HTTP/1.1 client. `to_chunks`: the body is sent in chunks; `keep`: the connection stays
/// open.
pub(crate) fn write_answer_head(out: &mut Vec<u8>, answer: &Relayed<'_>, to_chunks: bool, keep: bool) {
    let Relayed {
        bytes,
        fields,
        head,
        framing,
        settings,
        extras,
        ..
    } = *answer;
    out.clear();
    let line = status_line(bytes, head);
    if line == 0 {
        write_status(out, bytes, head);
    }
    let mut kept = Kept::of(answer);
    let length = match framing {
        Framing::Length(length) if !to_chunks => Some(length),
        _ => None,
    };
    let stands = length.is_some() && has_plain_length(fields, bytes);
    kept.keeps_length |= stands;
    kept.keeps_upgrade = head.status == 426 && fields.iter().any(|field| field.is(Known::Upgrade));
    write_lines(out, bytes, line, fields, |field| kept.keeps(field));
    write_set(out, settings);
    write_extras(out, extras);
    if to_chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if let Some(length) = length.filter(|_| !stands) {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    // RFC 9110, section 7.8: a sender of Upgrade must also name it in Connection.
    out.extend_from_slice(match (keep, kept.keeps_upgrade) {
        (true, false) => &b"Connection: keep-alive\r\n\r\n"[..],
        (false, false) => b"Connection: close\r\n\r\n",
        (true, true) => b"Connection: keep-alive, Upgrade\r\n\r\n",
        (false, true) => b"Connection: close, Upgrade\r\n\r\n",
    });
}
