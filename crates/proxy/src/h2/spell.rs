//! A request's head for a target that speaks HTTP/2.

use crate::fields::{Field, Span};
use crate::head::{Bounds, RequestHead};
use crate::names::Known;
use forebay_node::TargetView;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use std::borrow::Cow;

/// A target as HTTP/2 may have it: bytes that have no place in a path of HTTP/2 but pass over HTTP/1.1 are escaped, which is how they
/// are meant.
fn escaped(target: &[u8]) -> Cow<'_, [u8]> {
    if PathAndQuery::try_from(target).is_ok() {
        return Cow::Borrowed(target);
    }
    let mut out = Vec::with_capacity(target.len() + 16);
    for &byte in target {
        if byte.is_ascii_alphanumeric() || b"/-_.~%=&?+:,;@!$'()*[]|".contains(&byte) {
            out.push(byte);
        } else {
            let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Cow::Owned(out)
}

/// The head in `out`, which is written as HTTP/1.1 has it, as HTTP/2 has it.
pub(crate) fn spell(out: &[u8], fields: &mut Vec<Field>, target: &TargetView) -> Option<Request<()>> {
    let head = RequestHead::parse_within(out, fields, &Bounds::NODE).ok()??;
    let mut headers = HeaderMap::with_capacity(fields.len());
    let mut authority = Span::default();
    for field in &*fields {
        let name = field.name(out);
        if field.is(Known::Host) {
            authority = field.value;
        } else if !field.is(Known::TransferEncoding) {
            headers.append(
                HeaderName::from_bytes(name).ok()?,
                HeaderValue::from_bytes(field.value(out)).ok()?,
            );
        }
    }
    let scheme = if target.tls == forebay_model::TargetTls::Plaintext {
        "http"
    } else {
        "https"
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority.of(out))
        .path_and_query(&*escaped(head.target(out)))
        .build()
        .ok()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method(out)).ok()?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Some(request)
}
