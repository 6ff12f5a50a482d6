//! Receipt handles and the operations that take them: delete messages, and change their visibility timeout.

use super::batches::{Results, entries};
use super::errors::{invalid, invalid_receipt, invalid_value};
use super::lookup::named;
use super::records::Queue;
use crate::api::context::View;
use crate::api::errors::error;
use crate::messages::{Asked, MessageOrder, MessageOutcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_queues::{DeleteRefusal, QueueId, Receipt, Sequence, VisibilityRefusal};
use forebay_units::Rng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The bytes of a handle: queue, sequence, receive, and checksum.
const LENGTH: usize = 28;

/// The handle that callers get for a receipt.
pub(super) fn handle(queue: QueueId, receipt: Receipt) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend(queue.0.to_be_bytes());
    bytes.extend(receipt.sequence.0.to_be_bytes());
    bytes.extend(receipt.receive.to_be_bytes());
    let check = Sha256::digest(&bytes);
    bytes.extend(&check[..8]);
    STANDARD.encode(bytes)
}

/// The receipt in a handle of that queue. The checksum detects malformed handles; it is no protection against forgery.
fn receipt(queue: &Queue, handle: &str) -> Option<Receipt> {
    let bytes: [u8; LENGTH] = STANDARD.decode(handle).ok()?.try_into().ok()?;
    let (said, check) = bytes.split_at(LENGTH - 8);
    let number = |from: usize| {
        let bytes = said[from..from + 8].iter();
        bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    if Sha256::digest(said)[..8] != *check || number(0) != queue.id.0 {
        return None;
    }
    Some(Receipt {
        sequence: Sequence(number(8)),
        receive: said[16..].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
    })
}

/// The receipt in the handle of a call that is not a batch.
fn single(queue: &Queue, handle: &str) -> Result<Receipt, ApiError> {
    receipt(queue, handle).ok_or_else(|| invalid_receipt(None))
}

/// The receipt in a handle in a batch.
fn of_batch(queue: &Queue, handle: &str) -> Result<Receipt, ApiError> {
    receipt(queue, handle).ok_or_else(|| invalid_receipt(Some(handle)))
}

pub(super) fn delete(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    let handle = handle_of(&view.request.input);
    let order = MessageOrder::Delete {
        queue: queue.id,
        receipts: vec![single(&queue, &handle)?],
    };
    Ok(Asked::order(order, move |outcome| match outcome {
        MessageOutcome::Deleted(done) => {
            let refused = done.into_iter().find_map(Result::err);
            refused.map_or(Ok(Value::Null), |why| Err(not_deleted(&handle, why)))
        }
        other => Err(other.unexpected()),
    }))
}

pub(super) fn delete_batch(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    let entries = entries(view)?;
    let mut results = Results::of(&entries);
    let (receipts, places) = results.ready(&entries, |entry| {
        let handle = handle_of(entry);
        Ok((of_batch(&queue, &handle)?, handle))
    });
    if receipts.is_empty() {
        return Ok(Asked::answered(results.answer()));
    }
    let order = MessageOrder::Delete {
        queue: queue.id,
        receipts,
    };
    Ok(Asked::order(order, move |outcome| {
        let MessageOutcome::Deleted(done) = outcome else {
            return Err(outcome.unexpected());
        };
        results.done(places, done, |handle, done| {
            done.map(|_| json!({})).map_err(|why| not_deleted(&handle, why))
        });
        Ok(results.answer())
    }))
}

pub(super) fn change_visibility(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    let handle = handle_of(&view.request.input);
    let timeout = timeout(&view.request.input)?;
    let order = MessageOrder::Hide {
        queue: queue.id,
        receipts: vec![(single(&queue, &handle)?, timeout)],
    };
    Ok(Asked::order(order, move |outcome| match outcome {
        MessageOutcome::Hidden(done) => {
            let refused = done.into_iter().find_map(Result::err);
            refused.map_or(Ok(Value::Null), |why| Err(not_hidden(&handle, timeout, why)))
        }
        other => Err(other.unexpected()),
    }))
}

pub(super) fn change_visibility_batch(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    let entries = entries(view)?;
    let mut results = Results::of(&entries);
    let (receipts, places) = results.ready(&entries, |entry| {
        let (handle, timeout) = (handle_of(entry), timeout(entry));
        let receipt = of_batch(&queue, &handle)?;
        let timeout = timeout?;
        Ok(((receipt, timeout), (handle, timeout)))
    });
    if receipts.is_empty() {
        return Ok(Asked::answered(results.answer()));
    }
    let order = MessageOrder::Hide {
        queue: queue.id,
        receipts,
    };
    Ok(Asked::order(order, move |outcome| {
        let MessageOutcome::Hidden(done) = outcome else {
            return Err(outcome.unexpected());
        };
        results.done(places, done, |(handle, timeout), done| {
            done.map(|()| json!({}))
                .map_err(|why| not_hidden(&handle, timeout, why))
        });
        Ok(results.answer())
    }))
}

fn handle_of(given: &Value) -> String {
    given["ReceiptHandle"].as_str().unwrap_or_default().to_owned()
}

/// The requested visibility timeout.
pub(super) fn timeout(given: &Value) -> Result<Duration, ApiError> {
    let seconds = given["VisibilityTimeout"].as_i64().unwrap_or_default();
    match u64::try_from(seconds) {
        Ok(seconds @ 0..=43_200) => Ok(Duration::from_secs(seconds)),
        _ => Err(invalid_value(
            &seconds.to_string(),
            "VisibilityTimeout",
            "VisibilityTimeout must be an integer between 0 and 43200",
        )),
    }
}

fn not_deleted(handle: &str, why: DeleteRefusal) -> ApiError {
    match why {
        DeleteRefusal::Expired => invalid_value(handle, "ReceiptHandle", "The receipt handle has expired."),
    }
}

fn not_hidden(handle: &str, timeout: Duration, why: VisibilityRefusal) -> ApiError {
    match why {
        VisibilityRefusal::NotInFlight => error(
            "AWS.SimpleQueueService.MessageNotInflight",
            "The message referred to isn't in flight.",
        ),
        VisibilityRefusal::Gone => invalid_value(
            handle,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.",
        ),
        VisibilityRefusal::Stale => invalid_value(handle, "ReceiptHandle", "The receipt handle has expired."),
        VisibilityRefusal::Visibility => invalid_value(
            &timeout.as_secs().to_string(),
            "VisibilityTimeout",
            "VisibilityTimeout must be an integer between 0 and 43200",
        ),
        VisibilityRefusal::TooLong { left } => invalid(format!(
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]: {} seconds of it are left.",
            left.as_secs()
        )),
    }
}
