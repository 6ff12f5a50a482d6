//! What rules may ask of a request.

use core::net::IpAddr;

/// A request's headers, as whoever parsed them keeps them.
pub trait Headers {
    /// Calls `visit` with each value of the header `name` (any case), in order, until it returns true; returns
    /// whether it did.
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// A request as rules see it.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The method, as sent.
    pub method: &'a [u8],
    /// The host asked for, without port, in any case.
    pub host: &'a [u8],
    /// The path, as sent, without the query.
    pub path: &'a [u8],
    /// The query, as sent, without `?`; empty if there is none.
    pub query: &'a [u8],
    /// The other end of the connection.
    pub source: IpAddr,
    /// All headers.
    pub headers: &'a dyn Headers,
}
