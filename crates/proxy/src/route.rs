//! Stage four: what the request asks for, which rule it meets, and the head its target will see.

use crate::authority::is_authority;
use crate::buffers::Desk;
use crate::connection::Next;
use crate::cookies;
use crate::desync::{self, Course};
use crate::fields::Field;
use crate::forward;
use crate::line;
use crate::names::Known;
use crate::outgoing::write_head;
use crate::request::Incoming;
use crate::respond;
use crate::session::{RequestContext, Session};
use crate::spans;
use crate::wanted::{Wanted, preserves_host, takes_any_host, wanted};
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_model::{PathMode, limits};
use forebay_node::{Exchange, Facts, Headers, ListenerView, Picture, Reason, Request, Step, strict_path};
use forebay_units::Mono;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// A request's header lines, as rules ask for them.
struct Lines<'a> {
    fields: &'a [Field],
    head: &'a [u8],
}

impl Headers for Lines<'_> {
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.fields
            .iter()
            .filter(|field| field.name(self.head).eq_ignore_ascii_case(name.as_bytes()))
            .any(|field| visit(field.value(self.head)))
    }
}

/// Serves one request that came where several load balancers are reached by their names.
pub(crate) async fn by_name<W: Wire>(session: &mut Session<'_, W>, incoming: &Incoming) -> Next {
    let own = {
        let (visit, desk) = (session.visit, &*session.desk);
        let picture = session.worker.picture();
        visit.listener(&picture).and_then(|listener| {
            let head = &desk.input[desk.start..];
            let wanted = wanted(head, &desk.fields, incoming, listener).ok()?;
            visit.to(&picture, wanted.host(head, listener))
        })
    };
    let Some(own) = own else {
        return request(session, incoming).await;
    };
    let mut named = Session {
        visit: &own,
        ..session.lend()
    };
    let next = request(&mut named, incoming).await;
    session.visit.spoke.set(own.spoke.get());
    next
}

/// Serves one request whose head is complete.
pub(crate) async fn request<W: Wire>(session: &mut Session<'_, W>, incoming: &Incoming) -> Next {
    let worker = session.worker;
    let picture = worker.picture();
    let Some(listener) = session.visit.listener(&picture) else {
        return Next::Close;
    };
    let now = worker.now();
    session.desk.note.picture = Some(Rc::clone(&picture));
    spans::open(worker, session.visit, session.desk, incoming);
    if session.desk.refuses || session.visit.spare {
        return Box::pin(no_memory(session, incoming, listener)).await;
    }
    let begun = begin(session, incoming, listener, &picture, now);
    let (exchange, mut step, wanted) = match begun {
        Ok(begun) => begun,
        Err(reason) => return Box::pin(respond::refuse(session, reason)).await,
    };
    let keep = session.keeps(listener, incoming) && !session.desk.note.suspect;
    let mut context = RequestContext {
        session: session.lend(),
        incoming,
        listener,
        exchange,
        keep,
    };
    if let Step::Wait { ticket, until } = step {
        // Boxed: what only a few requests need must not make the future of all requests larger.
        step = Box::pin(line::wait(&mut context, true, ticket, until)).await;
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
        // Its client left before it was sent anywhere.
        Step::Relay | Step::Abort | Step::Wait { .. } => {
            context.log(worker.now());
            Next::Close
        }
    }
}

/// Writes the head that the request's target will see.
fn write<W>(context: &mut RequestContext<'_, W>, wanted: &Wanted) {
    let desk = &mut *context.session.desk;
    desk.note.crosses_sites = context.exchange.is_sticky() && cookies::crosses_sites(desk, context.incoming);
    write_head(context, wanted);
    if context.exchange.permit().is_some() {
        line::leave_room(context.session.desk);
    }
}

/// Answers a request for which there is no memory, and keeps its connection; or one over a connection that is one too many.
async fn no_memory<W: Wire>(
    session: &mut Session<'_, W>,
    incoming: &Incoming,
    listener: &ListenerView,
) -> Next {
    let keep = session.keeps(listener, incoming) && session.desk.note.classified.is_none();
    let reason = if session.visit.spare {
        Reason::TooManyConnections
    } else {
        Reason::MemoryCeiling
    };
    let (exchange, answer) = Exchange::turned_away(
        session.worker.recent(),
        incoming.speaks,
        session.visit.place.zone,
        reason,
        listener,
        &session.worker.mind.borrow(),
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

/// What becomes of a request whose framing others might read differently.
fn judge(worker: &Worker, listener: &ListenerView, desk: &mut Desk) -> Result<(), Reason> {
    let course = desync::course(listener.balancer.settings.desync, desk.note.classified);
    if desk.note.classified.is_some() {
        let stats = listener.balancer.stats.of(worker.mind.borrow().worker);
        stats.noncompliant.fetch_add(1, Relaxed);
    }
    desk.note.suspect = course == Course::CloseAfter;
    if course == Course::Refuse {
        Err(Reason::Malformed)
    } else {
        Ok(())
    }
}

/// What is asked for, and what to do about it.
fn begin<W>(
    session: &mut Session<'_, W>,
    incoming: &Incoming,
    listener: &ListenerView,
    picture: &Picture,
    now: Mono,
) -> Result<(Exchange, Step, Wanted), Reason> {
    let (worker, visit, desk) = (session.worker, session.visit, &mut *session.desk);
    judge(worker, listener, desk)?;
    desk.note.suspect |= incoming.doubtful;
    let head = &desk.input[desk.start..desk.start + incoming.head.length];
    let fields = &desk.fields[..];
    let wanted = wanted(head, fields, incoming, listener)?;
    // At an agent the last address is the one that its node has added.
    // Several lines become one, which must not be longer than any other.
    let (addresses, length) = forwarded(head, fields);
    if listener.turnstile.is_none()
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
    // The root's dot is no part of the name that rules ask for.
    let host = host
        .strip_suffix(b".")
        .filter(|name| !name.is_empty())
        .unwrap_or(host);
    let path = wanted.path(head);
    let strict = (listener.balancer.settings.paths == PathMode::Strict)
        .then(|| strict_path(path).map_err(|_| Reason::AmbiguousPath))
        .transpose()?;
    let request = Request {
        facts: Facts {
            method: incoming.head.method(head),
            host,
            path,
            query: wanted.query(head).unwrap_or_default(),
            source: visit.peer.ip(),
            headers: &Lines { fields, head },
        },
        protocol: visit.protocol(),
        zone: visit.place.zone,
        speaks: incoming.speaks,
        wall: worker.wall_at(now),
        upgrade: incoming.upgrade,
        rule_path: strict.as_deref(),
    };
    let mind = &mut worker.mind.borrow_mut();
    let (exchange, step) = Exchange::begin(now, &request, listener, picture, mind);
    Ok((exchange, step, wanted))
}

/// Addresses that X-Forwarded-For names, and the bytes of all its lines.
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
