//! Controllers of the size of a group: Forebay's planner (`planned`), and models of how others do it.
//!
//! The others are models. Each is the law that its source describes, fed with exact figures at once: no publishing delay,
//! no lost samples, no failure of the controller itself, and the same queue and slot limit for all. What a model leaves out
//! beyond that is written in its file.
//!
//! `planned` is Forebay's. `knative`, `cloud_run`, `keda_http` and `hpa` go by requests; `target_tracking` and `step_scaling` go by
//! CloudWatch's alarms (`alarm`). `window` and `target` are what several of them compute.

pub(crate) mod alarm;
mod cloud_run;
mod hpa;
mod keda_http;
mod knative;
mod planned;
mod step_scaling;
mod target;
mod target_tracking;
mod window;

pub use cloud_run::CloudRun;
pub use hpa::KubernetesHpa;
pub use keda_http::KedaHttp;
pub use knative::Knative;
pub use planned::Planned;
pub use step_scaling::StepScaling;
pub use target::TARGET;
pub use target_tracking::AwsTargetTracking;

use crate::fleet::Controller;

/// One of each controller, the planner first.
pub fn all() -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(Planned::default()),
        Box::new(Knative::default()),
        Box::new(CloudRun::default()),
        Box::new(KedaHttp::default()),
        Box::new(KubernetesHpa::default()),
        Box::new(AwsTargetTracking::every_ten_seconds()),
        Box::new(AwsTargetTracking::every_minute()),
        Box::new(StepScaling::default()),
    ]
}

#[cfg(test)]
mod testing {
    use crate::fleet::FleetSeen;

    /// A group of instances with ten slots each.
    pub(super) fn seen(ready: u32, in_flight: u32) -> FleetSeen {
        FleetSeen {
            in_flight,
            ready,
            desired: ready,
            slots: 10,
            minimum: 0,
            maximum: 1_000,
            ..FleetSeen::default()
        }
    }
}
