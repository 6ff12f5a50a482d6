//! An HTTP request as this crate sees it.

use http::HeaderMap;

/// An HTTP request as received. `path` and `query` are still percent-encoded.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// The path, starting with `/`.
    pub path: &'a str,
    /// The part after `?`; empty if there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The complete body.
    pub body: &'a [u8],
}
