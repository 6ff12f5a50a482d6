//! The host, path and query that a request asks for, as spans of its head.

use crate::authority::{absolute, split_port};
use crate::fields::{Field, Span};
use crate::names::Known;
use crate::request::Incoming;
use forebay_node::{ListenerView, Reason};

/// What a request asks for, as spans of its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The host without its port; none if the request names none.
    host: Option<Span>,
    /// The port's text.
    port: Option<Span>,
    /// None stands for `/`.
    path: Option<Span>,
    query: Option<Span>,
    /// It asks about the server as a whole: `*` replaces the path.
    of_server: bool,
}

impl Wanted {
    pub(crate) fn host<'a>(&self, head: &'a [u8], listener: &'a ListenerView) -> &'a [u8] {
        self.host
            .map_or_else(|| own_name(listener).0, |span| span.of(head))
    }

    pub(crate) fn port<'a>(&self, head: &'a [u8], listener: &'a ListenerView) -> Option<&'a [u8]> {
        match self.host {
            Some(_) => self.port.map(|span| span.of(head)),
            None => own_name(listener).1,
        }
    }

    pub(crate) fn path<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        match self.path {
            Some(span) => span.of(head),
            None if self.of_server => b"*",
            None => b"/",
        }
    }

    pub(crate) fn query<'a>(&self, head: &'a [u8]) -> Option<&'a [u8]> {
        self.query.map(|span| span.of(head))
    }
}

/// The host of a request that names none: a load balancer's DNS name, or an agent's application with its port.
fn own_name(listener: &ListenerView) -> (&[u8], Option<&[u8]>) {
    split_port(listener.balancer.blueprint.dns_name.as_bytes())
}

/// The host, path and query: from an absolute target if there is one, otherwise from Host (RFC 9112, section 3.2).
pub(crate) fn wanted(
    head: &[u8],
    fields: &[Field],
    incoming: &Incoming,
    listener: &ListenerView,
) -> Result<Wanted, Reason> {
    let target = incoming.head.target(head);
    let mut hosts = fields.iter().filter(|field| field.is(Known::Host));
    let host = hosts.next().map(|field| field.value);
    if hosts.next().is_some() && !takes_any_host(listener) {
        return Err(Reason::Malformed);
    }
    let (authority, rest) = match target {
        [b'/', ..] => (None, incoming.head.target),
        b"*" if incoming.head.method(head) == b"OPTIONS" => (None, incoming.head.target),
        _ => {
            let (authority, rest) = absolute(target).ok_or(Reason::Malformed)?;
            (Some(Span::within(head, authority)), Span::within(head, rest))
        }
    };
    // HTTP/1.1 requires Host, even with an absolute target (RFC 9112, section 3.2).
    if host.is_none() && !incoming.head.http_10 {
        return Err(Reason::Malformed);
    }
    let (path, query) = parts(head, rest)?;
    // The asterisk form in an absolute target (RFC 9112, section 3.2.4).
    let of_server = authority.is_some() && rest.is_empty() && incoming.head.method(head) == b"OPTIONS";
    let authority = authority.or(host);
    if authority.is_some_and(|authority| authority.is_empty()) && !takes_any_host(listener) {
        return Err(Reason::Malformed);
    }
    let authority = authority.filter(|authority| !authority.is_empty());
    let (host, port) = match authority.map(|span| (span, split_port(span.of(head)))) {
        Some((span, (host, Some(_)))) => {
            let (host, port) = span.split(host.len());
            (Some(host), port)
        }
        _ => (authority, None),
    };
    Ok(Wanted {
        host,
        port,
        path,
        query,
        of_server,
    })
}

/// Whether an invalid Host is passed on, as ALB does: the tag allows it, and Host headers are passed on unchanged.
pub(crate) fn takes_any_host(listener: &ListenerView) -> bool {
    let settings = listener.balancer.settings();
    settings.preserve_host && !settings.check_host
}

/// Splits what follows the authority into path and query.
fn parts(head: &[u8], rest: Span) -> Result<(Option<Span>, Option<Span>), Reason> {
    let bytes = rest.of(head);
    // A request must not contain a fragment; some targets would cut it off and so serve another path than rules saw.
    if memchr::memchr(b'#', bytes).is_some() {
        return Err(Reason::Malformed);
    }
    let (path, query) = match memchr::memchr(b'?', bytes) {
        Some(cut) => rest.split(cut),
        None => (rest, None),
    };
    Ok(((!path.is_empty()).then_some(path), query))
}

/// Whether the client's Host is passed on unchanged: the attribute says so, there is one, and no absolute target names
/// another host. (An absolute target replaces Host, RFC 9112, section 3.2.2; otherwise a target could see another host than
/// rules did.)
pub(crate) fn preserves_host(
    listener: &ListenerView,
    head: &[u8],
    fields: &[Field],
    incoming: &Incoming,
) -> bool {
    listener.balancer.settings().preserve_host
        && matches!(incoming.head.target(head).first(), Some(b'/' | b'*'))
        && fields.iter().any(|field| field.is(Known::Host))
}
