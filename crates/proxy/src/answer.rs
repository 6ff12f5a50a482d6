//! An answer's head as the client will see it: the target's, less what is of its own connection.

use crate::buffers::Field;
use crate::digits::decimal;
use crate::framing::Framing;
use crate::head::{AnswerHead, has_word};
use forebay_model::ListenerSettings;
use forebay_node::phrase;
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
        _ => false,
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
) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(head.status));
    out.push(b' ');
    let text = &bytes[head.phrase.0 as usize..head.phrase.1 as usize];
    out.extend_from_slice(if text.is_empty() {
        phrase(head.status).as_bytes()
    } else {
        text
    });
    out.extend_from_slice(b"\r\n");
    // HEAD and 304 say how long the body would be; they have none.
    let keeps_length = to_head || head.status == 304;
    let names_others = connection_words(fields, bytes)
        .any(|value| !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close"));
    for field in fields {
        let name = field.name(bytes);
        let overridden = || {
            settings
                .response_headers
                .iter()
                .any(|set| set.0.as_bytes().eq_ignore_ascii_case(name))
        };
        if is_dropped(name, keeps_length)
            || (!settings.response_headers.is_empty() && overridden())
            || (names_others && is_named(fields, bytes, name))
        {
            continue;
        }
        field.write(bytes, out);
    }
    for (name, value) in &settings.response_headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
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
