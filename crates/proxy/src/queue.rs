//! Between stages four and five: a request waits for a slot at a target of its group. Its head stays in the buffers' input,
//! its body in the socket; no buffers for an answer are held yet.

use crate::buffers::RequestBuffers;
use crate::session::{RequestContext, Session};
use crate::wire::Wire;
use forebay_node::{Outcome, Reason, Step, Ticket, WorkId};
use forebay_units::Mono;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// The header line that carries a permit to its agent, up to the permit.
const PERMIT: &[u8] = b"x-amzn-target-control-work-id: ";
/// Digits of a permit.
const DIGITS: usize = 32;

/// Waits until the ticket is ready, its deadline comes or the client leaves; returns the next step. `lends`: the buffers
/// hold nothing but the request, so their room can serve others meanwhile.
pub(crate) async fn wait<W: Wire>(
    context: &mut RequestContext<'_, W>,
    lends: bool,
    ticket: Arc<Ticket>,
    until: Mono,
) -> Step {
    let Session {
        worker,
        client,
        deadline,
        buffers,
        ..
    } = &mut context.session;
    deadline.watch(None);
    deadline.arm(until, false);
    if lends {
        worker.buffer_pool.borrow_mut().pack(buffers);
    }
    let waited = deadline
        .until(poll_fn(|cx| {
            if ticket.poll(cx).is_ready() {
                return Poll::Ready(Outcome::Released);
            }
            client.gather(cx);
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Outcome::Failed(Reason::ClientGone));
            }
            // A client whose body waits in the socket cannot be watched: the socket stays readable. It is checked again at
            // the next sweep, for which the deadline is armed anew.
            if !W::FRAMED && deadline.waits_long() {
                if client.has_left() {
                    return Poll::Ready(Outcome::Failed(Reason::ClientGone));
                }
                deadline.arm(until, false);
            }
            Poll::Pending
        }))
        .await;
    let mut outcome = waited.unwrap_or(Outcome::Late);
    if lends && !worker.buffer_pool.borrow_mut().unpack(buffers) {
        outcome = Outcome::Failed(Reason::MemoryCeiling);
    }
    let snapshot = worker.snapshot();
    let state = &mut worker.state.borrow_mut();
    let exchange = &mut context.exchange;
    exchange.on(worker.now(), outcome, context.listener, &snapshot, state)
}

/// Makes room for a permit at the end of the head, which stands alone in `out`.
pub(crate) fn leave_room(buffers: &mut RequestBuffers) {
    let head = buffers.out.len().saturating_sub(2);
    buffers.out.truncate(head);
    buffers.out.extend_from_slice(PERMIT);
    buffers.request_log.permit = Some(buffers.out.len());
    buffers.out.extend_from_slice(&[b'0'; DIGITS]);
    buffers.out.extend_from_slice(b"\r\n\r\n");
}

/// Writes the permit for the next try to send the request.
pub(crate) fn stamp(buffers: &mut RequestBuffers, permit: WorkId) {
    let Some(at) = buffers.request_log.permit else {
        return;
    };
    if let Some(room) = buffers.out.get_mut(at..at + DIGITS) {
        room.copy_from_slice(permit.to_string().as_bytes());
    }
}
