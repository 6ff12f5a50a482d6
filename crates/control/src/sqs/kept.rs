//! What the message log needs to know about queues.

use super::attributes::settings;
use super::receiving::is_leaving;
use crate::state::State;
use forebay_queues::{QueueId, Settings};

/// The state of an instance that holds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// It is running.
    AtWork,
    /// It must get no more messages.
    Leaving,
    /// It has ended.
    Ended,
}

/// A queue with messages in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptQueue {
    /// The id of its messages in the log.
    pub id: QueueId,
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What its attributes mean for messages.
    pub settings: Settings,
    /// Whether it is a queue of a function's events, which users do not see.
    pub is_hidden: bool,
}

impl State {
    /// All queues, including those of functions' events.
    pub fn queues(&self) -> Vec<KeptQueue> {
        let kept = self.regions().flat_map(|(name, region)| {
            region.queues.values().map(|queue| KeptQueue {
                id: queue.id,
                region: name.to_owned(),
                name: queue.name.clone(),
                arn: queue.arn.clone(),
                settings: settings(region, queue),
                is_hidden: false,
            })
        });
        kept.chain(self.hidden_queues()).collect()
    }

    /// The state of an instance that holds messages. An unknown instance has ended, so that its messages become visible
    /// again.
    pub fn holder(&self, id: &str) -> Holder {
        let mut instances = self.regions().filter_map(|(_, region)| {
            let instance = region.instances.get(id)?;
            Some(match &*instance.state {
                "terminated" | "stopped" => Holder::Ended,
                _ if is_leaving(region, id) => Holder::Leaving,
                _ => Holder::AtWork,
            })
        });
        instances.next().unwrap_or(Holder::Ended)
    }

    /// Whether queues may differ from those of `old`. O(regions).
    pub fn has_other_queues(&self, old: &State) -> bool {
        let tables = |state: &State| {
            let queues = state
                .regions()
                .filter(|(_, region)| !region.queues.is_empty() || !region.functions.is_empty());
            queues
                .map(|(name, region)| (name.to_owned(), region.queues.clone(), region.functions.clone()))
                .collect::<Vec<_>>()
        };
        let (new, old) = (tables(self), tables(old));
        new.len() != old.len()
            || new
                .iter()
                .zip(&old)
                .any(|(new, old)| new.0 != old.0 || !new.1.ptr_eq(&old.1) || !new.2.ptr_eq(&old.2))
    }
}
