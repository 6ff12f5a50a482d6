//! Room seven: answers made here, connections kept or closed, what happened counted.

use crate::accept::Visit;
use crate::buffers::Desk;
use crate::pump::poll_write_pair;
use crate::read::Next;
use crate::secure::Wire;
use crate::sweep::Slot;
use crate::worker::Worker;
use forebay_model::ListenerSettings;
use forebay_node::{Answer, Exchange, Reason, Record, phrase};
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Bytes and time a client may still send after an answer that closes its connection, so that the answer is not lost
/// to a reset.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// Refuses a request whose head could not be taken, and closes.
pub(crate) async fn refuse<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    visit: &Visit,
    slot: &Slot,
    desk: &mut Desk,
    reason: Reason,
) -> Next {
    let picture = worker.picture();
    let Some(listener) = picture.listener(visit.place.listener) else {
        return Next::Close;
    };
    let now = worker.now();
    let record = Exchange::refused(now, reason, listener, &worker.mind.borrow());
    log(&record);
    slot.arm(now + listener.balancer.settings.idle_timeout, false);
    let answer = Answer::page(reason);
    let _ = send(
        worker,
        client,
        slot,
        desk,
        &answer,
        &listener.settings,
        false,
        false,
    )
    .await;
    Box::pin(linger(worker, client, slot, desk)).await;
    Next::Close
}

/// Sends an answer made here. `keep`: the connection stays open; `to_head`: the request was HEAD.
#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
pub(crate) async fn send<W: Wire>(
    worker: &Worker,
    client: &mut W,
    slot: &Slot,
    desk: &mut Desk,
    answer: &Answer,
    settings: &ListenerSettings,
    keep: bool,
    to_head: bool,
) -> bool {
    write_answer(worker, &mut desk.out, answer, settings, keep);
    if let (false, Some((_, body))) = (to_head, &answer.content) {
        desk.out.extend_from_slice(body);
    }
    let mut written = 0;
    let sent = slot
        .until(poll_fn(|cx| {
            poll_write_pair(cx, client, &desk.out, &[], &mut written)
        }))
        .await;
    matches!(sent, Ok(Ok(())))
}

fn write_answer(
    worker: &Worker,
    out: &mut Vec<u8>,
    answer: &Answer,
    settings: &ListenerSettings,
    keep: bool,
) {
    out.clear();
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", answer.status, phrase(answer.status));
    if settings.server_header {
        out.extend_from_slice(b"Server: awselb/2.0\r\n");
    }
    out.extend_from_slice(b"Date: ");
    worker.write_date(out);
    out.extend_from_slice(b"\r\n");
    if let Some((kind, _)) = &answer.content {
        let _ = write!(out, "Content-Type: {kind}\r\n");
    }
    let length = answer.content.as_ref().map_or(0, |content| content.1.len());
    if answer.status != 204 {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(if keep {
        b"Connection: keep-alive\r\n"
    } else {
        b"Connection: close\r\n"
    });
    if let Some(location) = &answer.location {
        let _ = write!(out, "Location: {location}\r\n");
    }
    for (name, value) in &settings.response_headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Says that nothing more comes, and reads what the client still sends, for a moment.
pub(crate) async fn linger<W: Wire>(worker: &Worker, client: &mut W, slot: &Slot, desk: &mut Desk) {
    slot.arm(worker.now() + LINGER, false);
    let closing = async {
        if poll_fn(|cx| Pin::new(&mut *client).poll_shutdown(cx))
            .await
            .is_err()
        {
            return;
        }
        let mut read = 0;
        while read < LINGER_BYTES {
            desk.end = 0;
            match crate::read::fill(client, desk).await {
                Ok(count) if count > 0 => read += count,
                _ => return,
            }
        }
    };
    let _ = slot.until(closing).await;
}

/// One line per request that did not simply succeed; access logs come with their own format.
pub(crate) fn log(record: &Record) {
    if let Some(reason) = record.reason {
        let target = record.target.as_ref().map(|target| target.address);
        tracing::debug!(
            reason = reason.word(),
            ?target,
            retries = record.retries,
            "request ended by the balancer"
        );
    }
}
