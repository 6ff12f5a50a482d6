//! Connects the state with the data plane and the launcher: publications one way, observations the other.

use crate::exposed_log::ExposedLog;
use crate::fleet::Instances;
use crate::functions::HostedFunctions;
use crate::queues::KeptMessages;
use forebay_control::fleet::{Image, SeenInstance, Shape};
use forebay_control::{Drain, Left, Observations, Publish, State};
use forebay_model::{Anomaly, Blueprint, HealthState, TargetHealth};
use forebay_node::ResponseTimes;
use forebay_proxy::DataPlane;
use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tokio::sync::Notify;

/// Passes each state's blueprint to the data plane. The blueprint is derived from the previous one, so its cost is that of
/// the change.
pub(crate) struct Publisher {
    plane: Arc<DataPlane>,
    instances: Arc<Instances>,
    /// Times that publications took.
    pub(crate) adoptions: Arc<ResponseTimes>,
    exposed: Vec<IpAddr>,
    last: Mutex<Option<(Arc<State>, Blueprint)>>,
    told: ExposedLog,
    /// Set once the log of messages is open.
    messages: OnceLock<Arc<KeptMessages>>,
    functions: Arc<HostedFunctions>,
    /// Called at each publication before it takes effect.
    follower: Follower,
    /// Tasks that look again when there may be something to do.
    pub(crate) lookers: Lookers,
}

/// Tasks that look again when there may be something to do.
#[derive(Clone, Default)]
pub(crate) struct Lookers {
    /// Notified for schedules and their runs.
    pub(crate) schedules: Arc<Notify>,
    /// Notified for functions, and what feeds them.
    pub(crate) functions: Arc<Notify>,
}

/// Called with the old and the new state, for a process that must follow them: the predecessor.
pub(crate) type Follower = Arc<OnceLock<Box<dyn Fn(&State, &State) + Send + Sync>>>;

impl Publisher {
    pub(crate) fn new(
        plane: &Arc<DataPlane>,
        instances: &Arc<Instances>,
        functions: &Arc<HostedFunctions>,
        exposed: Vec<IpAddr>,
    ) -> Publisher {
        Publisher {
            plane: Arc::clone(plane),
            instances: Arc::clone(instances),
            functions: Arc::clone(functions),
            adoptions: Arc::default(),
            told: ExposedLog::new(&exposed),
            messages: OnceLock::new(),
            follower: Arc::default(),
            lookers: Lookers::default(),
            exposed,
            last: Mutex::new(None),
        }
    }
}

impl Publisher {
    /// Sets the messages to be told about queues from now on.
    pub(crate) fn keep(&self, messages: &Arc<KeptMessages>) {
        let _ = self.messages.set(Arc::clone(messages));
    }

    /// The slot for the function that is called with the old and the new state.
    pub(crate) fn follower(&self) -> Follower {
        Arc::clone(&self.follower)
    }
}

impl Publish for Publisher {
    fn publish(&self, state: &Arc<State>) {
        let stored = Instant::now();
        let mut last = lock(&self.last);
        self.instances
            .publish(last.as_ref().map(|(old, _)| &**old), state);
        if let Some(messages) = self.messages.get() {
            messages.publish(last.as_ref().map(|(old, _)| &**old), state);
        }
        let old = last.as_ref().map(|(old, _)| &**old);
        if old.is_none_or(|old| state.has_other_schedules(old)) {
            self.lookers.schedules.notify_one();
        }
        self.functions.publish(old, state);
        if old.is_none_or(|old| state.has_other_functions(old)) {
            self.lookers.functions.notify_one();
        }
        // Before the data plane: the predecessor's claims may name targets only after it has heard of them.
        if let (Some((old, _)), Some(follower)) = (&*last, self.follower.get()) {
            follower(old, state);
        }
        let blueprint = match &*last {
            Some((old, before)) => state.blueprint_since(old, before),
            None => Blueprint {
                exposed: self.exposed.clone(),
                ..state.blueprint()
            },
        };
        *last = Some((Arc::clone(state), blueprint.clone()));
        self.plane.apply(blueprint);
        // `last` is still locked, so that publications stay in order.
        self.adoptions.record(stored.elapsed());
        self.told.look(&self.plane.served());
    }
}

/// The observations of the data plane and of the launcher, in the form that `control` reads.
pub(crate) struct Plane(pub(crate) Arc<DataPlane>, pub(crate) Arc<Instances>);

impl Observations for Plane {
    fn target_health(&self, group_arn: &str, target_id: &str, port: u16) -> Option<TargetHealth> {
        self.0.health(group_arn, target_id, port)
    }

    fn target_anomaly(&self, group_arn: &str, target_id: &str, port: u16) -> Option<Anomaly> {
        self.0.anomaly(group_arn, target_id, port)
    }

    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
        let mut places = BTreeMap::new();
        let mut left = vec![None; drains.len()];
        self.0.with_node(|node| {
            for (place, drain) in drains.iter().enumerate() {
                let health = node.health(&drain.group_arn, &drain.id, drain.port);
                if health.is_some_and(|health| health.state == HealthState::Draining) {
                    places.insert((&*drain.group_arn, &*drain.id, drain.port), place);
                }
            }
            for (arn, id, port, _, stats) in node.targets() {
                if let Some(&place) = places.get(&(arn, id, port)) {
                    left[place] = Some(Left {
                        in_flight: stats.in_flight.load(Relaxed),
                        is_cut: stats.cut.load(Relaxed),
                    });
                }
            }
        });
        left
    }

    fn instance(&self, id: &str) -> Option<SeenInstance> {
        self.1.seen(id)
    }

    fn images(&self) -> Vec<Image> {
        self.1.images()
    }

    fn shapes(&self) -> Vec<Shape> {
        self.1.shapes()
    }

    fn refuses_user_data(&self) -> Option<String> {
        self.1.refuses_user_data()
    }

    fn in_flight(&self, target_ids: &[&str]) -> Vec<u32> {
        let mut counts: BTreeMap<&str, u32> = target_ids.iter().map(|id| (*id, 0)).collect();
        self.0.with_node(|node| {
            for (_, id, _, _, stats) in node.targets() {
                if let Some(count) = counts.get_mut(id) {
                    *count += stats.in_flight.load(Relaxed);
                }
            }
        });
        let counts = target_ids.iter().map(|id| counts[id]);
        counts.collect()
    }
}
