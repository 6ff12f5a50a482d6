//! What is lent to operations and to what happens by time, shared between the writer and those who read past it.

use forebay_control::{Actions, Datapoints, NoDatapoints, NobodyActs, Observations, Ports};
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
