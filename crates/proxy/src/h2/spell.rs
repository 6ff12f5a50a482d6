//! Writes a request's head for an HTTP/2 target.

use crate::fields::{Field, Span};
use crate::head::{Bounds, RequestHead};
use crate::names::Known;
use forebay_node::TargetView;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use std::borrow::Cow;

/// A request target in HTTP/2 form: bytes that are not allowed in an HTTP/2 path but pass over HTTP/1.1 are
/// percent-encoded, which means the same.
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

/// Converts the head in `out`, which is in HTTP/1.1 form, to HTTP/2.
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
