//! The ports that are lent to operations and to what is due by time, shared between the writer and readers.

use crate::messages::{Messages, NoMessages};
use forebay_control::lambda::{Code, CodeError};
use forebay_control::{Actions, Datapoints, NoDatapoints, NobodyActs, Observations, Ports};
use forebay_functions::{Functions, NoFunctions};
use std::sync::Arc;

/// The ports that `control` needs. Clone costs O(1).
#[derive(Clone)]
pub struct SharedPorts {
    /// What the data plane has observed.
    pub observations: Arc<dyn Observations>,
    /// The port to the stored datapoints.
    pub datapoints: Arc<dyn Datapoints>,
    /// The port through which alarms act.
    pub actions: Arc<dyn Actions>,
}

impl SharedPorts {
    /// Ports with these observations, no datapoints and no actions.
    pub fn observing(observations: Arc<dyn Observations>) -> SharedPorts {
        SharedPorts {
            observations,
            datapoints: Arc::new(NoDatapoints),
            actions: Arc::new(NobodyActs),
        }
    }

    pub(crate) fn lent(&self) -> Ports<'_> {
        Ports {
            observations: &*self.observations,
            datapoints: &*self.datapoints,
        }
    }
}

/// The port to the archives of functions.
pub trait FunctionCode: Send + Sync {
    /// Stores an archive under its digest; it is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// If it is not a valid archive, or cannot be written.
    fn keep(&self, zip: &[u8]) -> Result<Code, CodeError>;
}

/// A port that stores no archives.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctionCode;

impl FunctionCode for NoFunctionCode {
    fn keep(&self, _: &[u8]) -> Result<Code, CodeError> {
        Err(CodeError::Refused("Functions are not run here.".to_owned()))
    }
}

/// The ports that are called past the writer, because their data is not part of the state.
#[derive(Clone)]
pub struct Beside {
    /// The port to messages.
    pub messages: Arc<dyn Messages>,
    /// The port through which functions are invoked.
    pub functions: Arc<dyn Functions>,
    /// The port to the functions' archives.
    pub code: Arc<dyn FunctionCode>,
}

impl Default for Beside {
    /// Ports that provide nothing.
    fn default() -> Beside {
        Beside {
            messages: Arc::new(NoMessages),
            functions: Arc::new(NoFunctions),
            code: Arc::new(NoFunctionCode),
        }
    }
}
