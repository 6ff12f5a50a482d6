//! What is lent to operations and to what happens by time, shared between the writer and those who read past it.

use crate::messages::{Messages, NoMessages};
use forebay_control::lambda::{Code, CodeError};
use forebay_control::{Actions, Datapoints, NoDatapoints, NobodyActs, Observations, Ports};
use forebay_functions::{Functions, NoFunctions};
use std::sync::Arc;

/// The hands that `control` asks for. Clone costs O(1).
#[derive(Clone)]
pub struct SharedPorts {
    /// What the data plane has observed.
    pub observations: Arc<dyn Observations>,
    /// Where datapoints are kept.
    pub datapoints: Arc<dyn Datapoints>,
    /// Who carries out what alarms want done.
    pub actions: Arc<dyn Actions>,
}

impl SharedPorts {
    /// An observer, where no datapoint is kept and nobody acts.
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

/// Who keeps archives of functions.
pub trait FunctionCode: Send + Sync {
    /// Keeps an archive by its digest; it is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// If it is no archive, or the disk does not take it.
    fn keep(&self, zip: &[u8]) -> Result<Code, CodeError>;
}

/// Nobody keeps archives.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctionCode;

impl FunctionCode for NoFunctionCode {
    fn keep(&self, _: &[u8]) -> Result<Code, CodeError> {
        Err(CodeError::Refused("Functions are not run here.".to_owned()))
    }
}

/// Who is asked past the writer, as what they have is no part of the state.
#[derive(Clone)]
pub struct Beside {
    /// Who keeps messages.
    pub messages: Arc<dyn Messages>,
    /// Who runs functions.
    pub functions: Arc<dyn Functions>,
    /// Who keeps their archives.
    pub code: Arc<dyn FunctionCode>,
}

impl Default for Beside {
    /// Nobody.
    fn default() -> Beside {
        Beside {
            messages: Arc::new(NoMessages),
            functions: Arc::new(NoFunctions),
            code: Arc::new(NoFunctionCode),
        }
    }
}
