//! Invocations that wait: an event is taken out of its function's queue, and is deleted in the moment in which the function is about to get
//! it. So each happens once at most, also over a kill; what fails is sent again as a new event.

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

/// Events of one function that are under way at once.
const AT_ONCE: usize = 64;
/// How often an event is tried again that its function failed, and how long it waits before (developer guide: after one minute, then two).
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// The longest wait of an event for which there was no room.
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
                    // It goes on when the feeder is another one.
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
    let begun = Arc::new(AtomicBool::new(false));
    let invocation = Invocation {
        function: of.function.clone(),
        payload: event.payload.clone(),
        trace: event.trace.clone(),
        begin: Some(begin(internal.clone(), of.queue, message.receipt, &begun)),
        ..Invocation::default()
    };
    let done = internal.invoke(invocation).await;
    let now = internal.read(|_, _, now| now);
    let is_old = now.since(event.sent) >= EVENT_AGE;
    match done {
        Ok(invoked) => {
            let Some(error) = invoked.error else { return };
            // It failed before it could begin, as one that cannot be started: nobody has deleted it yet.
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
        Err(InvokeError::NotFound | InvokeError::Unwanted) => {}
        // It has not begun: it is still there, and waits longer and longer.
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

/// Deletes the event: then the function may have it. If it is gone already, somebody else had it.
fn begin(internal: Internal, queue: QueueId, receipt: Receipt, begun: &Arc<AtomicBool>) -> Begin {
    let (runtime, begun) = (tokio::runtime::Handle::current(), Arc::clone(begun));
    Box::new(move |decide| {
        begun.store(true, Relaxed);
        runtime.spawn(async move { decide(delete(&internal, queue, receipt).await) });
    })
}

/// Whether the message was there until now.
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
        tracing::warn!(%error, "an event that its function failed could not be kept to be tried again");
    }
}

/// To the function's dead-letter queue, if it has one.
async fn bury(internal: &Internal, of: &EventsQueue, event: &Event, why: &str) {
    let Some(arn) = &of.dead_letter else { return };
    let asked =
        internal.read(|state, ports, now: Wall| dead_letter(state, &of.region, arn, event, why, ports, now));
    let result = match asked {
        Ok(asked) => internal.carry_out(asked).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(function = of.function, %error, "the dead-letter queue took nothing");
    }
}
