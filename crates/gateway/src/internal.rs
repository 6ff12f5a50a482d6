//! Calls that do not come over HTTP: those of schedules and of what feeds functions.

use crate::clock::now;
use crate::commit::guarded;
use crate::{ApiContext, Change};
use forebay_awswire::ApiError;
use forebay_control::{Asked, MessageError, MessageOrder, MessageOutcome, State};
use forebay_functions::{Invocation, InvokeError, Invoked};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The entry for calls from within this process.
#[derive(Clone)]
pub struct Internal(Arc<ApiContext>);

impl Internal {
    /// Calls on this context.
    pub fn new(context: Arc<ApiContext>) -> Internal {
        Internal(context)
    }

    /// The state as last committed.
    pub fn state(&self) -> Arc<State> {
        self.0.writer.state()
    }

    /// Changes the state; the change also sees what operations see.
    ///
    /// # Errors
    /// If the change cannot be stored.
    pub async fn change(
        &self,
        change: impl FnOnce(&State, &forebay_control::Ports<'_>, forebay_units::Wall) -> Option<State>
        + Send
        + 'static,
    ) -> Result<(), ApiError> {
        let ports = self.0.writer.shared_ports();
        let change: Change = Box::new(move |state, now| change(state, &ports.lent(), now));
        self.0.writer.change(change).await
    }

    /// Reads the state, with what operations see besides it.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&State, &forebay_control::Ports<'_>, forebay_units::Wall) -> T,
    ) -> T {
        read(&self.state(), &self.0.writer.ports(), now())
    }

    /// Carries out what an operation asks past the writer.
    ///
    /// # Errors
    /// The error of the port that was asked.
    pub async fn carry_out(&self, asked: Asked) -> Result<Value, ApiError> {
        match asked {
            Asked::Answered(answer) => Ok(answer),
            Asked::Order(order, answer) => {
                let outcome = self.messages(order).await?;
                guarded("answer", || answer(outcome)).and_then(|answer| answer)
            }
            Asked::Invoke(invocation, answer) => {
                let done = self.invoke(invocation).await;
                guarded("answer", || answer(done)).and_then(|answer| answer)
            }
        }
    }

    /// Gives an order about messages.
    ///
    /// # Errors
    /// The error of the port to messages.
    pub async fn messages(&self, order: MessageOrder) -> Result<MessageOutcome, MessageError> {
        self.0.beside.messages.ask(order).await
    }

    /// Invokes a function.
    ///
    /// # Errors
    /// If it was not invoked at all.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Invoked, InvokeError> {
        let (tell, told) = oneshot::channel();
        let done = move |done| {
            let _ = tell.send(done);
        };
        self.0.beside.functions.invoke(invocation, Box::new(done));
        told.await
            .unwrap_or_else(|_| Err(InvokeError::Unavailable("it is stopping".to_owned())))
    }
}
