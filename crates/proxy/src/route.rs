//! Stage four: what the request asks for, which rule it matches, and the head that its target will see.

use crate::authority::is_authority;
use crate::buffers::RequestBuffers;
use crate::connection::Next;
use crate::cookies;
use crate::desync::{self, Course};
use crate::fields::Field;
use crate::forward;
use crate::names::Known;
use crate::outgoing::write_head;
use crate::queue;
use crate::request::Incoming;
use crate::respond;
use crate::session::{RequestContext, Session};
use crate::spans;
use crate::wanted::{Wanted, preserves_host, takes_any_host, wanted};
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_model::{PathMode, limits};
use forebay_node::{
    Exchange, Facts, Headers, ListenerView, Reason, Request, Snapshot, Step, ZoneId, strict_path,
};
use forebay_units::Mono;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// A request's header lines, in the form that rules read.
struct Lines<'a> {
    fields: &'a [Field],
    head: &'a [u8],
}

impl Headers for Lines<'_> {
    fn any(&self, name: &str, holds: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.fields
            .iter()
            .filter(|field| field.name(self.head).eq_ignore_ascii_case(name.as_bytes()))
            .any(|field| holds(field.value(self.head)))
    }
}

/// Serves one request on an address where several load balancers are told apart by name.
pub(crate) async fn by_name<W: Wire>(session: &mut Session<'_, W>, incoming: &Incoming) -> Next {
    let own = {
        let (connection, buffers) = (session.connection, &*session.buffers);
        let snapshot = session.worker.snapshot();
        connection.listener(&snapshot).and_then(|listener| {
            let head = &buffers.input[buffers.start..];
            let wanted = wanted(head, &buffers.fields, incoming, listener).ok()?;
            connection.to(&snapshot, wanted.host(head, listener))
        })
    };
    let Some(own) = own else {
        return request(session, incoming).await;
    };
    let mut named = Session {
        connection: &own,
        ..session.lend()
    };
    let next = request(&mut named, incoming).await;
    session.connection.spoke.set(own.spoke.get());
    next
}

/// Serves one request whose head is complete.
pub(crate) async fn request<W: Wire>(session: &mut Session<'_, W>, incoming: &Incoming) -> Next {
    let worker = session.worker;
    let snapshot = worker.snapshot();
    let Some(listener) = session.connection.listener(&snapshot) else {
        return Next::Close;
    };
    let now = worker.now();
    session.buffers.request_log.snapshot = Some(Rc::clone(&snapshot));
    spans::open(worker, session.connection, session.buffers, incoming);
    if session.buffers.refuses || session.connection.spare {
        return Box::pin(no_memory(session, incoming, listener)).await;
    }
    let begun = begin(session, incoming, listener, &snapshot, now);
    let (exchange, mut step, wanted) = match begun {
        Ok(begun) => begun,
        Err(reason) => return Box::pin(respond::refuse(session, reason)).await,
    };
    let keep = session.keeps(listener, incoming) && !session.buffers.request_log.suspect;
    let mut context = RequestContext {
        session: session.lend(),
        incoming,
        listener,
        exchange,
        keep,
    };
    if let Step::Wait { ticket, until } = step {
        // Boxed: what only a few requests need must not enlarge the future of every request.
        step = Box::pin(queue::wait(&mut context, true, ticket, until)).await;
        // After the wait, a drain may have begun or the keep-alive time may be over.
        context.keep = context.keep && context.session.still_keeps(incoming);
    }
    match step {
        Step::Send { .. } => {
            write(&mut context, &wanted);
            W::hold(forward::forward(&mut context, step)).await
        }
        Step::Answer(answer) => {
            let keep = context.keep;
            Box::pin(respond::own_answer(&mut context, &answer, keep)).await
        }
        // The client left before the request was sent anywhere.
        Step::Relay | Step::Abort | Step::Wait { .. } => {
            context.log(worker.now());
            Next::Close
        }
    }
}

/// Writes the head that the request's target will see.
fn write<W>(context: &mut RequestContext<'_, W>, wanted: &Wanted) {
    let buffers = &mut *context.session.buffers;
    buffers.request_log.crosses_sites =
        context.exchange.is_sticky() && cookies::crosses_sites(buffers, context.incoming);
    write_head(context, wanted);
    if context.exchange.permit().is_some() {
        queue::leave_room(context.session.buffers);
    }
}

/// Answers a request for which there is no memory, and keeps its connection; or one on a spare connection.
async fn no_memory<W: Wire>(
    session: &mut Session<'_, W>,
    incoming: &Incoming,
    listener: &ListenerView,
) -> Next {
    let keep = session.keeps(listener, incoming) && session.buffers.request_log.classified.is_none();
    let reason = if session.connection.spare {
        Reason::TooManyConnections
    } else {
        Reason::MemoryCeiling
    };
    let (exchange, answer) = Exchange::turned_away(
        session.worker.recent(),
        incoming.speaks,
        session.connection.listener_address.zone,
        reason,
        listener,
        &session.worker.state.borrow(),
    );
    let mut context = RequestContext {
        session: session.lend(),
        incoming,
        listener,
        exchange,
        keep,
    };
    respond::own_answer(&mut context, &answer, keep).await
}

/// Decides about a request whose framing others might read differently.
fn judge(
    worker: &Worker,
    zone: ZoneId,
    listener: &ListenerView,
    buffers: &mut RequestBuffers,
) -> Result<(), Reason> {
    let course = desync::course(
        listener.balancer.settings().desync,
        buffers.request_log.classified,
    );
    if buffers.request_log.classified.is_some() {
        let stats = listener.balancer.stats.of(zone, worker.state.borrow().index);
        stats.noncompliant.fetch_add(1, Relaxed);
    }
    buffers.request_log.suspect = course == Course::CloseAfter;
    if course == Course::Refuse {
        Err(Reason::Malformed)
    } else {
        Ok(())
    }
}

/// Finds out what the request asks for, and begins its exchange.
fn begin<W>(
    session: &mut Session<'_, W>,
    incoming: &Incoming,
    listener: &ListenerView,
    snapshot: &Snapshot,
    now: Mono,
) -> Result<(Exchange, Step, Wanted), Reason> {
    let (worker, connection, buffers) = (session.worker, session.connection, &mut *session.buffers);
    judge(worker, connection.listener_address.zone, listener, buffers)?;
    buffers.request_log.suspect |= incoming.doubtful;
    let head = &buffers.input[buffers.start..buffers.start + incoming.head.length];
    let fields = &buffers.fields[..];
    let wanted = wanted(head, fields, incoming, listener)?;
    // The header's lines are joined for the target, so the limits of one header apply to their sum. An agent skips this:
    // its node, which checked it, has added one more address.
    let (addresses, length) = forwarded(head, fields);
    if listener.permit_issuer.is_none()
        && (addresses > limits::FORWARDED_ADDRESSES || length > limits::HEADER_BYTES)
    {
        let many = addresses > limits::FORWARDED_ADDRESSES;
        return Err(if many {
            Reason::TooManyForwarded
        } else {
            Reason::Malformed
        });
    }
    let host = wanted.host(head, listener);
    let port = wanted.port(head, listener).unwrap_or_default();
    let unchecked = takes_any_host(listener) && preserves_host(listener, head, fields, incoming);
    if !unchecked && !is_authority(host, port) {
        return Err(Reason::Malformed);
    }
    // The dot of the DNS root is not part of the name that rules compare.
    let host = host
        .strip_suffix(b".")
        .filter(|name| !name.is_empty())
        .unwrap_or(host);
    let path = wanted.path(head);
    let strict = (listener.balancer.settings().paths == PathMode::Strict)
        .then(|| strict_path(path).map_err(|_| Reason::AmbiguousPath))
        .transpose()?;
    let request = Request {
        facts: Facts {
            method: incoming.head.method(head),
            host,
            path,
            query: wanted.query(head).unwrap_or_default(),
            source: connection.peer.ip(),
            headers: &Lines { fields, head },
        },
        protocol: connection.protocol(),
        zone: connection.listener_address.zone,
        speaks: incoming.speaks,
        wall: worker.wall_at(now),
        upgrade: incoming.upgrade,
        rule_path: strict.as_deref(),
    };
    let state = &mut worker.state.borrow_mut();
    let (exchange, step) = Exchange::begin(now, &request, listener, snapshot, state);
    Ok((exchange, step, wanted))
}

/// The number of addresses in X-Forwarded-For, and the bytes of all its lines.
fn forwarded(head: &[u8], fields: &[Field]) -> (usize, usize) {
    let values = fields
        .iter()
        .filter(|field| field.is(Known::ForwardedFor))
        .map(|field| field.value(head));
    values.fold((0, 0), |(addresses, bytes), value| {
        let commas = value.iter().filter(|&&byte| byte == b',').count();
        (addresses + commas + 1, bytes + value.len() + ", ".len())
    })
}
