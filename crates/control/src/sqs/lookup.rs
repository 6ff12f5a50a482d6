//! Finds queues by name, URL or ARN.

use super::errors::{invalid, no_queue};
use super::records::Queue;
use crate::api::arns::own_arn;
use crate::api::context::View;
use crate::tables::Region;
use forebay_awswire::ApiError;
use forebay_queues::QueueId;
use std::sync::Arc;

/// A queue's URL. Only the last two parts of its path identify the queue, so a client may use another name of this
/// host.
pub(super) fn url_of(view: &View<'_>, name: &str) -> String {
    let (endpoint, account) = (view.request.endpoint, view.request.account);
    format!("{endpoint}/{account}/{name}")
}

/// The ARN of the queue of that name in the call's region.
pub(super) fn arn_of(view: &View<'_>, name: &str) -> String {
    own_arn(view, "sqs", name)
}

/// The queue that a call names by its URL. A bare name is accepted.
pub(super) fn named(view: &View<'_>) -> Result<Arc<Queue>, ApiError> {
    let url = view.request.input["QueueUrl"].as_str().unwrap_or_default();
    let mut steps = url.trim_end_matches('/').rsplit('/');
    let name = steps.next().unwrap_or_default();
    let account = steps.next().unwrap_or_default();
    if url.contains('/') && account != view.request.account {
        return Err(no_queue());
    }
    by_name(view, name)
}

pub(super) fn by_name(view: &View<'_>, name: &str) -> Result<Arc<Queue>, ApiError> {
    view.region().queues.get(name).cloned().ok_or_else(no_queue)
}

/// The queue with that ARN in this region and account.
pub(super) fn by_arn(view: &View<'_>, arn: &str) -> Option<Arc<Queue>> {
    let name = arn.rsplit(':').next().unwrap_or_default();
    let queue = view.region().queues.get(name)?;
    (queue.arn == arn).then(|| Arc::clone(queue))
}

/// The ARN of the queue with that id in the message log.
pub(super) fn arn_of_id(region: &Region, id: QueueId) -> Option<String> {
    let mut queues = region.queues.values();
    let queue = queues.find(|queue| queue.id == id)?;
    Some(queue.arn.clone())
}

/// Checks a name: letters, digits, hyphens and underscores, with `.fifo` at the end for FIFO queues.
pub(super) fn check_name(name: &str, fifo: bool) -> Result<(), ApiError> {
    let stem = name.strip_suffix(".fifo").filter(|_| fifo);
    if fifo && stem.is_none() {
        return Err(invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with \
             .fifo suffix and be 1 to 80 in length.",
        ));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let stem = stem.unwrap_or(name);
    if stem.is_empty() || name.len() > 80 || !stem.bytes().all(fits) {
        return Err(invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    Ok(())
}
