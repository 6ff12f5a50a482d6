//! Asynchronous invocations: an event is received from its function's queue, and deleted at the moment when the function is
//! about to get it. So each is run at most once, even if this process is killed; a failed event is sent again as a new one.

use super::pace::{PAUSE, WAIT};
use forebay_control::lambda::{EVENT_AGE, Event, EventsQueue};
use forebay_control::{MessageOrder, MessageOutcome, dead_letter};
use forebay_functions::{Begin, Invocation, InvokeError};
use forebay_gateway::Internal;
use forebay_queues::{Ask, Deleted, Delivered, Letter, MessageId, QueueId, Receipt};
use forebay_units::Wall;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Events of one function that are processed at the same time.
const AT_ONCE: usize = 64;
/// How often a failed event is tried again, and after which delays (AWS Lambda developer guide, "How Lambda handles errors
/// and retries with asynchronous invocation": one minute, then two).
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// Longest delay of an event for which there was no room.
const NO_ROOM: Duration = Duration::from_secs(300);

/// Feeds one function.
pub(super) async fn feed(internal: Internal, of: EventsQueue) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let order = MessageOrder::Receive {
            queue: of.queue,
            ask: Ask {
                most: 1,
                ..Ask::default()
            },
            wait: WAIT,
            holder: None,
        };
        match internal.messages(order).await {
            Ok(MessageOutcome::Received(Ok(messages))) => {
                if let Some(message) = messages.into_iter().next() {
                    let (internal, of) = (internal.clone(), of.clone());
                    // Its own task, because the feeder is aborted when its function changes, and the invocation must go on.
                    tokio::spawn(async move {
                        handle(&internal, &of, message).await;
                        drop(place);
                    });
                }
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn handle(internal: &Internal, of: &EventsQueue, message: Delivered<Vec<u8>>) {
    let Some(event) = Event::read(&message.body) else {
        tracing::error!(function = of.function, "an event cannot be read");
        delete(internal, of.queue, message.receipt).await;
        return;
    };
    let is_old = internal.read(|_, _, now| now).since(event.sent) >= EVENT_AGE;
    let ended = match (is_old, of.is_off) {
        (true, _) => Some("The event was not processed within six hours."),
        (false, true) => Some("The function's reserved concurrency is 0."),
        (false, false) => None,
    };
    if let Some(why) = ended {
        // It is not run any more. If it cannot be deleted, another receive has it.
        if delete(internal, of.queue, message.receipt).await {
            bury(internal, of, &event, why).await;
        }
        return;
    }
    let begun = Arc::new(AtomicBool::new(false));
    let invocation = Invocation {
        function: of.function.clone(),
        payload: event.payload.clone(),
        trace: event.trace.clone(),
        request_id: Some(event.id.clone()).filter(|id| !id.is_empty()),
        begin: Some(begin(internal.clone(), of.queue, message.receipt, &begun)),
        ..Invocation::default()
    };
    let done = internal.invoke(invocation).await;
    let now = internal.read(|_, _, now| now);
    let is_old = now.since(event.sent) >= EVENT_AGE;
    match done {
        Ok(invoked) => {
            let Some(error) = invoked.error else { return };
            // It failed before it could begin (it could not be started, for instance), so its event was not deleted yet. If
            // that fails, another receive has the event.
            if !begun.load(Relaxed) && !delete(internal, of.queue, message.receipt).await {
                return;
            }
            let retry = RETRIES.get(event.attempt as usize).filter(|_| !is_old);
            tracing::info!(
                function = of.function,
                ?error,
                attempt = event.attempt,
                "a function failed an event"
            );
            match retry {
                Some(delay) => {
                    let attempt = event.attempt + 1;
                    send(internal, of.queue, &Event { attempt, ..event }, *delay).await;
                }
                None => bury(internal, of, &event, &String::from_utf8_lossy(&invoked.payload)).await,
            }
        }
        // The function is gone, or another receive has the event: nothing is left to do here.
        Err(InvokeError::NotFound | InvokeError::Unwanted) => {}
        // It has not begun: the event is still in the queue, and is delayed longer and longer.
        Err(why) if is_old => {
            delete(internal, of.queue, message.receipt).await;
            bury(internal, of, &event, &why.to_string()).await;
        }
        Err(_) => {
            let wait = (now.since(event.sent) / 2).clamp(Duration::from_secs(1), NO_ROOM);
            let order = MessageOrder::Hide {
                queue: of.queue,
                receipts: vec![(message.receipt, wait)],
            };
            let _ = internal.messages(order).await;
        }
    }
}

/// Deletes the event, after which the function may have it. If it is gone already, another receive had it.
fn begin(internal: Internal, queue: QueueId, receipt: Receipt, begun: &Arc<AtomicBool>) -> Begin {
    let (runtime, begun) = (tokio::runtime::Handle::current(), Arc::clone(begun));
    Box::new(move |decide| {
        // Set before the deletion, so that `handle` does not delete the event a second time.
        begun.store(true, Relaxed);
        runtime.spawn(async move { decide(delete(&internal, queue, receipt).await) });
    })
}

/// Deletes a message; whether it still existed.
async fn delete(internal: &Internal, queue: QueueId, receipt: Receipt) -> bool {
    let order = MessageOrder::Delete {
        queue,
        receipts: vec![receipt],
    };
    match internal.messages(order).await {
        Ok(MessageOutcome::Deleted(deleted)) => {
            matches!(deleted.first(), Some(Ok(Deleted::Now(_) | Deleted::Late)))
        }
        _ => false,
    }
}

async fn send(internal: &Internal, queue: QueueId, event: &Event, delay: Duration) {
    let order = MessageOrder::Send {
        queue,
        letters: vec![Letter {
            id: MessageId(
                getrandom::u64().map_or(0, u128::from) << 64 | getrandom::u64().map_or(0, u128::from),
            ),
            group: None,
            deduplication: None,
            delay: Some(delay),
            body: event.bytes(),
        }],
    };
    if let Err(error) = internal.messages(order).await {
        tracing::warn!(%error, "a failed event could not be kept for another try");
    }
}

/// Sends the event to the function's dead-letter queue, if it has one.
async fn bury(internal: &Internal, of: &EventsQueue, event: &Event, why: &str) {
    let Some(arn) = &of.dead_letter else { return };
    let asked =
        internal.read(|state, ports, now: Wall| dead_letter(state, &of.region, arn, event, why, ports, now));
    let result = match asked {
        Ok(asked) => internal.carry_out(asked).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(function = of.function, %error, "cannot send an event to the dead-letter queue");
    }
}
