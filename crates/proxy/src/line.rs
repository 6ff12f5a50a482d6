//! Between stages four and five: a request waits for a slot at a target of its group. Its head stays in the desk's input, its
//! body in the socket; its answer's buffers are not taken yet.

use crate::buffers::Desk;
use crate::session::{RequestContext, Session};
use crate::wire::Wire;
use forebay_node::{Outcome, Reason, Step, Ticket, WorkId};
use forebay_units::Mono;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// The line that carries a permit to its agent, up to the permit.
const PERMIT: &[u8] = b"x-amzn-target-control-work-id: ";
/// Digits of a permit.
const DIGITS: usize = 32;

/// Waits until the ticket is ready, its deadline comes or the client leaves; returns what to do then. `lends`: nothing stands on
/// the desk but the request, and its room serves others meanwhile.
pub(crate) async fn wait<W: Wire>(
    context: &mut RequestContext<'_, W>,
    lends: bool,
    ticket: Arc<Ticket>,
    until: Mono,
) -> Step {
    let Session {
        worker,
        client,
        slot,
        desk,
        ..
    } = &mut context.session;
    slot.watch(None);
    slot.arm(until, false);
    if lends {
        worker.desks.borrow_mut().pack(desk);
    }
    let waited = slot
        .until(poll_fn(|cx| {
            if ticket.poll(cx).is_ready() {
                return Poll::Ready(Outcome::Released);
            }
            client.gather(cx);
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Outcome::Failed(Reason::ClientGone));
            }
            // A client whose body waits in the socket can't be watched, only asked again with the next sweep.
            if !W::FRAMED && slot.waits_long() {
                if client.has_left() {
                    return Poll::Ready(Outcome::Failed(Reason::ClientGone));
                }
                slot.arm(until, false);
            }
            Poll::Pending
        }))
        .await;
    let mut outcome = waited.unwrap_or(Outcome::Late);
    if lends && !worker.desks.borrow_mut().unpack(desk) {
        outcome = Outcome::Failed(Reason::MemoryCeiling);
    }
    let picture = worker.picture();
    let mind = &mut worker.mind.borrow_mut();
    let exchange = &mut context.exchange;
    exchange.on(worker.now(), outcome, context.listener, &picture, mind)
}

/// Makes room for a permit at the end of the head that stands alone in `out`.
pub(crate) fn leave_room(desk: &mut Desk) {
    let head = desk.out.len().saturating_sub(2);
    desk.out.truncate(head);
    desk.out.extend_from_slice(PERMIT);
    desk.note.permit = Some(desk.out.len());
    desk.out.extend_from_slice(&[b'0'; DIGITS]);
    desk.out.extend_from_slice(b"\r\n\r\n");
}

/// Writes the permit of the next try to send the request.
pub(crate) fn stamp(desk: &mut Desk, permit: WorkId) {
    let Some(at) = desk.note.permit else { return };
    if let Some(room) = desk.out.get_mut(at..at + DIGITS) {
        room.copy_from_slice(permit.to_string().as_bytes());
    }
}
