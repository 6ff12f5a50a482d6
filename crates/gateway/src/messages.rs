//! Who keeps messages: asked past the writer, as they are no part of the state.

use forebay_control::{MessageError, MessageOrder, MessageOutcome};
use std::future::Future;
use std::pin::Pin;

/// What comes of an order, later.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<MessageOutcome, MessageError>> + Send + 'a>>;

/// Who keeps messages.
pub trait Messages: Send + Sync {
    /// Carries an order out; what it changes is on disk when it is told. Dropped, a receive waits no more.
    fn ask(&self, order: MessageOrder) -> Pending<'_>;
}

/// Nobody keeps messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMessages;

impl Messages for NoMessages {
    fn ask(&self, _: MessageOrder) -> Pending<'_> {
        Box::pin(std::future::ready(Err(MessageError::Nowhere)))
    }
}
