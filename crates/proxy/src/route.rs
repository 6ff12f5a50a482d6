//! Room four: what the request asks for, which rule it meets, and the head its target will see.

use crate::authority::is_authority;
use crate::buffers::Desk;
use crate::connection::{Next, Visit};
use crate::cookies;
use crate::desync::{self, Course};
use crate::fields::Field;
use crate::forward;
use crate::keep_alive::{keeps, still_keeps};
use crate::line;
use crate::log::{self, Closing};
use crate::names::Known;
use crate::outgoing::write_head;
use crate::request::Incoming;
use crate::respond;
use crate::spans;
use crate::sweep::Slot;
use crate::wanted::{Wanted, preserves_host, takes_any_host, wanted};
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_model::{PathMode, limits};
use forebay_node::{Exchange, Facts, Headers, ListenerView, Reason, Request, Step, strict_path};
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
pub(crate) async fn by_name<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    visit: &Visit,
    slot: &Slot,
    desk: &mut Desk,
    incoming: &Incoming,
) -> Next {
    let own = {
        let picture = worker.picture();
        visit.listener(&picture).and_then(|listener| {
            let head = &desk.input[desk.start..];
            let wanted = wanted(head, &desk.fields, incoming, listener).ok()?;
            visit.to(&picture, wanted.host(head, listener))
        })
    };
    let Some(own) = own else {
        return request(worker, client, visit, slot, desk, incoming).await;
    };
    let next = request(worker, client, &own, slot, desk, incoming).await;
    visit.spoke.set(own.spoke.get());
    next
}

/// Serves one request whose head is complete.
pub(crate) async fn request<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    visit: &Visit,
    slot: &Slot,
    desk: &mut Desk,
    incoming: &Incoming,
) -> Next {
    let picture = worker.picture();
    let Some(listener) = visit.listener(&picture) else {
        return Next::Close;
    };
    let now = worker.now();
    desk.note.picture = Some(Rc::clone(&picture));
    spans::open(worker, visit, desk, incoming);
    if desk.refuses || visit.spare {
        let keep = keeps(worker, visit, listener, incoming) && desk.note.classified.is_none();
        return Box::pin(no_memory(
            worker, client, visit, slot, desk, incoming, listener, keep,
        ))
        .await;
    }
    let begun = begin(worker, visit, listener, &picture, desk, incoming, now);
    let mut keep = keeps(worker, visit, listener, incoming) && !desk.note.suspect;
    let (mut exchange, mut step, wanted) = match begun {
        Ok(begun) => begun,
        Err(reason) => return Box::pin(respond::refuse(worker, client, visit, slot, desk, reason)).await,
    };
    if let Step::Wait { ticket, until } = step {
        let (room, waits) = (Some(&mut *desk), &mut exchange);
        let wait = line::wait(worker, client, slot, room, waits, listener, ticket, until);
        // Boxed: what only a few requests need must not make the future of all requests larger.
        step = Box::pin(wait).await;
        keep = keep && still_keeps(worker, visit, incoming);
    }
    match step {
        Step::Send { .. } => {
            write(worker, visit, listener, desk, incoming, &wanted, &exchange);
            W::hold(forward::forward(
                worker,
                client,
                visit,
                slot,
                desk,
                incoming,
                listener,
                &mut exchange,
                step,
                keep,
            ))
            .await
        }
        Step::Answer(answer) => {
            Box::pin(respond::own_answer(
                worker,
                client,
                visit,
                slot,
                desk,
                incoming,
                listener,
                &mut exchange,
                &answer,
                keep,
            ))
            .await
        }
        Step::Relay | Step::Abort | Step::Wait { .. } => gone(worker, visit, listener, desk, &mut exchange),
    }
}

/// Writes the head that the request's target will see.
fn write(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    desk: &mut Desk,
    incoming: &Incoming,
    wanted: &Wanted,
    exchange: &Exchange,
) {
    desk.note.crosses_sites = exchange.is_sticky() && cookies::crosses_sites(desk, incoming);
    write_head(
        worker,
        visit,
        listener,
        desk,
        incoming,
        wanted,
        exchange.rewritten(),
    );
    if exchange.permit().is_some() {
        line::leave_room(desk);
    }
}

/// Ends a request whose client left before it was sent anywhere.
fn gone(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    desk: &mut Desk,
    exchange: &mut Exchange,
) -> Next {
    let record = exchange.settle(worker.now(), None, listener, &mut worker.mind.borrow_mut());
    let closing = Closing::relayed(record);
    log::log(worker, visit, listener, desk, record, closing);
    Next::Close
}

/// Answers a request for which there is no memory, and keeps its connection; or one over a connection that is one too many.
#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
async fn no_memory<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    visit: &Visit,
    slot: &Slot,
    desk: &mut Desk,
    incoming: &Incoming,
    listener: &ListenerView,
    keep: bool,
) -> Next {
    let reason = if visit.spare {
        Reason::TooManyConnections
    } else {
        Reason::MemoryCeiling
    };
    let (mut exchange, answer) = Exchange::turned_away(
        worker.recent(),
        incoming.speaks,
        visit.place.zone,
        reason,
        listener,
        &worker.mind.borrow(),
    );
    respond::own_answer(
        worker,
        client,
        visit,
        slot,
        desk,
        incoming,
        listener,
        &mut exchange,
        &answer,
        keep,
    )
    .await
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

fn begin(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    picture: &forebay_node::Picture,
    desk: &mut Desk,
    incoming: &Incoming,
    now: forebay_units::Mono,
) -> Result<(Exchange, Step, Wanted), Reason> {
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
