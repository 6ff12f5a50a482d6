//! The port to messages, which is called past the writer because messages are not part of the state.

use forebay_control::{MessageError, MessageOrder, MessageOutcome};
use std::future::Future;
use std::pin::Pin;

/// The outcome of an order, later.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<MessageOutcome, MessageError>> + Send + 'a>>;

/// The port to messages.
pub trait Messages: Send + Sync {
    /// Carries out an order; what it changes is on disk when it resolves. If it is dropped, a receive ends its wait.
    fn ask(&self, order: MessageOrder) -> Pending<'_>;
}

/// A port without messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMessages;

impl Messages for NoMessages {
    fn ask(&self, _: MessageOrder) -> Pending<'_> {
        Box::pin(std::future::ready(Err(MessageError::Nowhere)))
    }
}
