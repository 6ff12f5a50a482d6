//! Lambda. A function is a row of the state; its archive is stored by its digest, where the process that runs functions
//! finds it. Invocations bypass the state's writer. Roles and policies are stored and described, but not enforced, with
//! one exception: load balancers need a permission to invoke.
//!
//! Read `records`, `functions` and `configuration`, `upload` (archives), `lookup`, `invoke`, `events` (events that
//! wait), `mappings` and `batches` (messages of queues), `kept` (what running functions needs to know), `concurrency`,
//! `permissions`, `tags`, `errors`.

mod batches;
mod concurrency;
mod configuration;
mod errors;
mod events;
mod functions;
mod invoke;
mod kept;
mod lookup;
mod mappings;
mod permissions;
pub mod records;
mod tags;
#[cfg(test)]
mod tests;
mod upload;

pub use batches::{Batch, batch_event, batch_events, failed_of};
pub use events::Event;
pub use kept::{EVENT_AGE, EventsQueue, KeptMapping};
pub(crate) use lookup::by_arn;
pub(crate) use permissions::permits;
pub use upload::{Code, CodeError, Upload};

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AddPermission", permissions::add),
    OperationSpec::write("CreateEventSourceMapping", mappings::create),
    OperationSpec::write("CreateFunction", functions::create).proven(),
    OperationSpec::write("DeleteEventSourceMapping", mappings::delete),
    OperationSpec::write("DeleteFunction", functions::delete),
    OperationSpec::write("DeleteFunctionConcurrency", concurrency::delete),
    OperationSpec::read("GetAccountSettings", concurrency::account),
    OperationSpec::read("GetEventSourceMapping", mappings::get),
    OperationSpec::read("GetFunction", functions::get),
    OperationSpec::read("GetFunctionCodeSigningConfig", functions::code_signing),
    OperationSpec::read("GetFunctionConcurrency", concurrency::get),
    OperationSpec::read("GetFunctionConfiguration", functions::get_configuration),
    OperationSpec::read("GetPolicy", permissions::get),
    OperationSpec::messages("Invoke", invoke::invoke),
    OperationSpec::messages("InvokeAsync", invoke::invoke_async),
    OperationSpec::read("ListEventSourceMappings", mappings::list),
    OperationSpec::read("ListFunctions", functions::list),
    OperationSpec::read("ListTags", tags::list),
    OperationSpec::read("ListVersionsByFunction", functions::versions),
    OperationSpec::write("PutFunctionConcurrency", concurrency::put),
    OperationSpec::write("RemovePermission", permissions::remove),
    OperationSpec::write("TagResource", tags::tag),
    OperationSpec::write("UntagResource", tags::untag),
    OperationSpec::write("UpdateEventSourceMapping", mappings::update),
    OperationSpec::write("UpdateFunctionCode", functions::update_code).proven(),
    OperationSpec::write("UpdateFunctionConfiguration", functions::update_configuration).proven(),
];
