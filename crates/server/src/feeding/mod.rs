//! Gives functions their events: `later` those of asynchronous invocations, `batches` those of event source mappings.
//! `pace` holds the waiting times of both.

mod batches;
mod later;
mod pace;

use forebay_control::State;
use forebay_control::lambda::{EventsQueue, KeptMapping};
use forebay_gateway::Internal;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A task that takes messages from one queue; aborted when dropped.
struct Feeder<T> {
    of: T,
    task: JoinHandle<()>,
}

impl<T> Drop for Feeder<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts feeding. `changed` is notified when functions or mappings may have changed.
pub(crate) fn start(internal: Internal, changed: Arc<Notify>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut events: BTreeMap<String, Feeder<EventsQueue>> = BTreeMap::new();
        let mut mappings: BTreeMap<String, Feeder<KeptMapping>> = BTreeMap::new();
        let mut before: Option<Arc<State>> = None;
        loop {
            let state = internal.state();
            if before
                .as_ref()
                .is_none_or(|before| state.has_other_functions(before))
            {
                keep(
                    &mut events,
                    state.events_queues(),
                    |of| of.function.clone(),
                    |of| tokio::spawn(later::feed(internal.clone(), of.clone())),
                );
                keep(
                    &mut mappings,
                    state.mappings(),
                    |of| of.id.clone(),
                    |of| tokio::spawn(batches::feed(internal.clone(), of.clone())),
                );
            }
            before = Some(state);
            changed.notified().await;
        }
    })
}

/// Makes `feeders` those of `wanted`: unchanged ones go on, others are started or dropped.
fn keep<T: Clone + PartialEq>(
    feeders: &mut BTreeMap<String, Feeder<T>>,
    wanted: Vec<T>,
    key: impl Fn(&T) -> String,
    feed: impl Fn(&T) -> JoinHandle<()>,
) {
    let mut next = BTreeMap::new();
    for of in wanted {
        let key = key(&of);
        let feeder = match feeders.remove(&key) {
            Some(feeder) if feeder.of == of => feeder,
            _ => Feeder { task: feed(&of), of },
        };
        next.insert(key, feeder);
    }
    *feeders = next;
}
