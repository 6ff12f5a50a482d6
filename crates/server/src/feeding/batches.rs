//! Event source mappings: messages of a queue are gathered, given to a function, and deleted unless it has failed them.

use super::pace::{PAUSE, WAIT};
use forebay_control::lambda::{Batch, KeptMapping, batch_events, failed_of};
use forebay_control::{MessageOrder, MessageOutcome};
use forebay_functions::{Invocation, InvokeError};
use forebay_gateway::Internal;
use forebay_queues::{Ask, Delivered};
use forebay_units::Wall;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Concurrent invocations, if the mapping sets no number.
const AT_ONCE: usize = 10;
/// Bytes of messages after which no more are gathered: half of the largest event, because another receive may add ten
/// messages before their size is known.
const ENOUGH: usize = 3_000_000;
/// Time between two tries when there is no room for an invocation.
const NO_ROOM: Duration = Duration::from_millis(500);

type Message = Delivered<Vec<u8>>;

/// Feeds a function by one mapping.
pub(super) async fn feed(internal: Internal, of: KeptMapping) {
    let most = of.concurrency.map_or(AT_ONCE, |most| most as usize);
    let places = Arc::new(Semaphore::new(most));
    let of = Arc::new(of);
    // The permit comes first: messages received without room for an invocation would wait out their visibility timeout.
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Some(messages) = gather(&internal, &of).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if messages.is_empty() {
            continue;
        }
        let (internal, of) = (internal.clone(), Arc::clone(&of));
        // Its own task, because the feeder is aborted when its mapping changes, and the invocation must go on.
        tokio::spawn(async move {
            deliver(&internal, &of, messages).await;
            drop(place);
        });
    }
}

/// Gathers a batch: a full one, or all that came within the window since its first message. None if the queue could not be
/// asked.
async fn gather(internal: &Internal, of: &KeptMapping) -> Option<Vec<Message>> {
    let mut batch: Vec<Message> = Vec::new();
    let mut until: Option<Instant> = None;
    let most = of.batch as usize;
    loop {
        let left = until.map_or(WAIT, |until| until.saturating_duration_since(Instant::now()));
        let order = MessageOrder::Receive {
            queue: of.queue,
            ask: Ask {
                most: (most - batch.len()).min(10),
                visibility: Some(of.hidden),
                ..Ask::default()
            },
            wait: left.min(WAIT),
            holder: None,
        };
        let MessageOutcome::Received(Ok(messages)) = internal.messages(order).await.ok()? else {
            return None;
        };
        let came = !messages.is_empty();
        join(&mut batch, messages);
        if came && until.is_none() {
            until = Some(Instant::now() + of.window);
        }
        let bytes: usize = batch.iter().map(|message| message.body.len()).sum();
        let is_over = until.is_none_or(|until| until <= Instant::now());
        if batch.len() >= most || bytes >= ENOUGH || is_over {
            return Some(batch);
        }
    }
}

/// Adds messages to a batch. One that is in it already takes its place: only the receipt of its last receive deletes it.
fn join(batch: &mut Vec<Message>, messages: Vec<Message>) {
    for message in messages {
        match batch.iter_mut().find(|known| known.id == message.id) {
            Some(known) => *known = message,
            None => batch.push(message),
        }
    }
}

/// Invokes the function with the messages: once, or several times if they do not fit into one event.
async fn deliver(internal: &Internal, of: &KeptMapping, messages: Vec<Message>) {
    let is_fifo = of.source.ends_with(".fifo");
    let mut batches = batch_events(of, messages).into_iter();
    let mut is_first = true;
    while let Some(batch) = batches.next() {
        let now = internal.read(|_, _, now| now);
        if !is_first && !has_time(now, of.timeout, &batch.messages) {
            let rest = batches.flat_map(|batch| batch.messages);
            give_back(internal, of, batch.messages.into_iter().chain(rest).collect()).await;
            return;
        }
        is_first = false;
        let all_done = invoke(internal, of, batch).await;
        // Messages of a FIFO queue must not be processed before those that have failed: they come again after them.
        if is_fifo && !all_done {
            return;
        }
    }
}

/// Whether the function can take its whole timeout for these messages before another receive may have one of them.
fn has_time(now: Wall, timeout: Duration, messages: &[Message]) -> bool {
    messages.iter().all(|message| now + timeout <= message.until)
}

/// Makes messages visible at once.
async fn give_back(internal: &Internal, of: &KeptMapping, messages: Vec<Message>) {
    let receipts = messages.iter().map(|message| (message.receipt, Duration::ZERO));
    let order = MessageOrder::Hide {
        queue: of.queue,
        receipts: receipts.collect(),
    };
    // If that fails, they are visible again when their visibility timeout ends.
    let _ = internal.messages(order).await;
}

/// Invokes the function with one event; whether all of its messages were processed.
async fn invoke(internal: &Internal, of: &KeptMapping, Batch { event, messages }: Batch) -> bool {
    let last = messages.iter().map(|message| message.until).min();
    loop {
        let invocation = Invocation {
            function: of.function.clone(),
            payload: event.clone(),
            ..Invocation::default()
        };
        match internal.invoke(invocation).await {
            Ok(invoked) if invoked.error.is_none() => {
                let failed = failed_of(of, &messages, &invoked.payload);
                let done = messages.iter().filter(|message| !failed.contains(&message.id));
                let receipts: Vec<_> = done.map(|message| message.receipt).collect();
                if !receipts.is_empty() {
                    let order = MessageOrder::Delete {
                        queue: of.queue,
                        receipts,
                    };
                    if let Err(error) = internal.messages(order).await {
                        tracing::warn!(%error, "messages that a function has processed could not be deleted");
                    }
                }
                return failed.is_empty();
            }
            // Not deleted: they are visible again when their visibility timeout ends.
            Err(InvokeError::TooLarge(most)) => {
                tracing::warn!(
                    function = of.function,
                    queue = of.source,
                    bytes = event.len(),
                    most,
                    "a message is too large for its function's event and cannot be delivered: delete it from the queue, or give the \
                     queue a redrive policy"
                );
                return false;
            }
            Ok(_) | Err(InvokeError::NotFound) => return false,
            Err(_) => {
                // Once the first message is visible again, another receive may have it: invoking after that would process
                // it twice.
                let now = internal.read(|_, _, now| now);
                if last.is_none_or(|last| now + NO_ROOM * 2 >= last) {
                    return false;
                }
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_queues::{MessageId, Receipt, Sequence};

    fn message(id: u128, sequence: u64, until: i64) -> Message {
        Delivered {
            id: MessageId(id),
            receipt: Receipt {
                sequence: Sequence(sequence),
                receive: 1,
            },
            sent: Wall::from_seconds(0),
            first_received: Wall::from_seconds(0),
            receives: 1,
            until: Wall::from_seconds(until),
            group: None,
            origin: None,
            body: Vec::new(),
        }
    }

    #[test]
    fn a_message_is_in_a_batch_once_with_its_last_receipt() {
        let mut batch = Vec::new();
        join(&mut batch, vec![message(1, 1, 30), message(2, 2, 30)]);
        join(&mut batch, vec![message(1, 3, 60), message(3, 4, 60)]);
        let found: Vec<_> = batch
            .iter()
            .map(|one| (one.id.0, one.receipt.sequence.0))
            .collect();
        assert_eq!(found, [(1, 3), (2, 2), (3, 4)]);
    }

    #[test]
    fn messages_are_given_to_a_function_only_with_its_whole_timeout() {
        let messages = [message(1, 1, 40), message(2, 2, 30)];
        let timeout = Duration::from_secs(10);
        assert!(has_time(Wall::from_seconds(20), timeout, &messages));
        assert!(!has_time(Wall::from_seconds(21), timeout, &messages));
    }
}
