//! The parts of a request that conditions examine.

use core::net::IpAddr;

/// A request's headers, in whatever form their parser keeps them.
pub trait Headers {
    /// Calls `visit` with each value of the header `name` (case-insensitive), in order, until it returns true. Returns
    /// whether it did.
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// A request as conditions see it.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The method, as sent.
    pub method: &'a [u8],
    /// The requested host without its port, in any case.
    pub host: &'a [u8],
    /// The path as sent, without the query.
    pub path: &'a [u8],
    /// The query as sent, without `?`; empty if there is none.
    pub query: &'a [u8],
    /// The address of the client's end of the connection.
    pub source: IpAddr,
    /// All headers.
    pub headers: &'a dyn Headers,
}
