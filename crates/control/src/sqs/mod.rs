//! Simple Queue Service. Queues are rows of the state; their messages are not. An operation on messages returns an
//! order for the message log (`crate::messages`), which bypasses the state's writer. Queue policies are stored and
//! described, but not enforced.
//!
//! Read `records`, `attributes`, `definitions` (create, list, change and delete queues), `lookup`; then messages:
//! `content`, `message_attributes`, `sending`, `receiving`, `receipts`, `batches`; then `redrive` and `moving` (dead
//! letters), `permissions`, `tags`, `errors`, and `kept` (what the message log needs to know).

mod attributes;
mod batches;
mod content;
mod definitions;
mod errors;
mod kept;
mod lookup;
mod message_attributes;
mod moving;
mod permissions;
mod receipts;
mod receiving;
pub mod records;
mod redrive;
mod sending;
pub(crate) mod tags;
#[cfg(test)]
mod tests;

pub(crate) use attributes::visibility_s;
pub use kept::{Holder, KeptQueue};
pub(crate) use receiving::records;
pub(crate) use sending::message_id;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AddPermission", permissions::add),
    OperationSpec::messages("CancelMessageMoveTask", moving::cancel),
    OperationSpec::messages("ChangeMessageVisibility", receipts::change_visibility),
    OperationSpec::messages("ChangeMessageVisibilityBatch", receipts::change_visibility_batch),
    OperationSpec::write("CreateQueue", definitions::create),
    OperationSpec::messages("DeleteMessage", receipts::delete),
    OperationSpec::messages("DeleteMessageBatch", receipts::delete_batch),
    OperationSpec::write("DeleteQueue", definitions::delete),
    OperationSpec::messages("GetQueueAttributes", definitions::get_attributes),
    OperationSpec::read("GetQueueUrl", definitions::url),
    OperationSpec::read("ListDeadLetterSourceQueues", definitions::dead_letter_sources),
    OperationSpec::messages("ListMessageMoveTasks", moving::list),
    OperationSpec::read("ListQueueTags", tags::list),
    OperationSpec::read("ListQueues", definitions::list),
    OperationSpec::messages("PurgeQueue", definitions::purge),
    OperationSpec::messages("ReceiveMessage", receiving::receive),
    OperationSpec::write("RemovePermission", permissions::remove),
    OperationSpec::messages("SendMessage", sending::send),
    OperationSpec::messages("SendMessageBatch", sending::send_batch),
    OperationSpec::write("SetQueueAttributes", definitions::set_attributes),
    OperationSpec::messages("StartMessageMoveTask", moving::start),
    OperationSpec::write("TagQueue", tags::tag),
    OperationSpec::write("UntagQueue", tags::untag),
];
