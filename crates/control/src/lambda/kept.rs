//! What the processes that run functions and feed them need to know.

use super::configuration::runtime;
use super::lookup::by_arn;
use crate::sqs::{KeptQueue, visibility_s};
use crate::state::State;
use core::time::Duration;
use forebay_functions::{FunctionSpec, Runtime};
use forebay_queues::{Kind, QueueId, RawSettings, Settings};
use std::collections::BTreeSet;

/// How long an event waits for its function (AWS's default: six hours).
pub const EVENT_AGE: Duration = Duration::from_secs(6 * 3600);

/// A function's queue of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsQueue {
    /// The queue's id.
    pub queue: QueueId,
    /// The function's region.
    pub region: String,
    /// The function's ARN.
    pub function: String,
    /// The function's timeout.
    pub timeout: Duration,
    /// The ARN of the function's dead-letter queue.
    pub dead_letter: Option<String>,
    /// Whether the function's reserved concurrency is 0, so that its events fail without a try.
    pub is_off: bool,
}

/// An event source mapping: a queue whose messages go to a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMapping {
    /// The mapping's id.
    pub id: String,
    /// The mapping's region.
    pub region: String,
    /// The queue's id.
    pub queue: QueueId,
    /// The queue's ARN.
    pub source: String,
    /// The function's ARN.
    pub function: String,
    /// The most messages in one invocation.
    pub batch: u32,
    /// How long messages are gathered.
    pub window: Duration,
    /// The function's timeout.
    pub timeout: Duration,
    /// How long a received message is hidden: the queue's visibility timeout, or the time to gather a batch and to process it, if
    /// that is longer. Otherwise messages would be received again while their batch is being gathered.
    pub hidden: Duration,
    /// The most concurrent invocations, if set.
    pub concurrency: Option<u32>,
    /// Whether the function may report which messages of a batch have failed.
    pub reports_failures: bool,
}

/// The visibility timeout of events in seconds: how long after its receive an event may still not have begun, before it
/// can be received again. An event that has begun has been deleted.
const UNTIL_BEGUN: u64 = 15;

/// How long a queue of events keeps them. Longer than their age, because a queue deletes what has expired: whoever feeds the
/// function must find an event that is too old, even after a pause of Forebay, to send it to the dead-letter queue.
const RETENTION: Duration = Duration::from_secs(EVENT_AGE.as_secs() + 24 * 3600);

/// The attributes of a queue of events.
fn attributes() -> RawSettings {
    RawSettings {
        visibility_s: UNTIL_BEGUN,
        retention_s: RETENTION.as_secs(),
        ..RawSettings::of(Kind::Standard)
    }
}

/// The settings of a queue of events.
fn settings() -> Settings {
    Settings::new(attributes()).unwrap_or_else(|_| Settings::of(Kind::Standard))
}

impl State {
    /// All functions.
    pub fn functions(&self) -> Vec<FunctionSpec> {
        let all = self.regions().flat_map(|(name, region)| {
            region.functions.values().map(|function| FunctionSpec {
                arn: function.arn.clone(),
                name: function.name.clone(),
                region: name.to_owned(),
                runtime: runtime(&function.runtime).unwrap_or(Runtime::Provided),
                runtime_name: function.runtime.clone(),
                handler: function.handler.clone(),
                code_sha256: function.code_sha256.clone(),
                environment: function.environment.clone(),
                timeout_s: function.timeout_s,
                memory_mib: function.memory_mib,
                reserved_concurrency: function.reserved,
                role: function.role.rsplit('/').next().unwrap_or_default().to_owned(),
            })
        });
        all.collect()
    }

    /// The digests of all archives in use.
    pub fn function_code(&self) -> BTreeSet<String> {
        let functions = self.regions().flat_map(|(_, region)| region.functions.values());
        functions.map(|function| function.code_sha256.clone()).collect()
    }

    /// The queues of functions' events, which users do not see.
    pub(crate) fn hidden_queues(&self) -> impl Iterator<Item = KeptQueue> + use<'_> {
        self.regions().flat_map(|(name, region)| {
            region.functions.values().map(|function| KeptQueue {
                id: function.events,
                region: name.to_owned(),
                name: function.name.clone(),
                arn: function.arn.clone(),
                settings: settings(),
                is_hidden: true,
            })
        })
    }

    /// The queues of events that functions are to get.
    pub fn events_queues(&self) -> Vec<EventsQueue> {
        let all = self.regions().flat_map(|(name, region)| {
            region.functions.values().map(|function| EventsQueue {
                queue: function.events,
                region: name.to_owned(),
                function: function.arn.clone(),
                timeout: Duration::from_secs(u64::from(function.timeout_s)),
                dead_letter: function.dead_letter.clone(),
                is_off: function.reserved == Some(0),
            })
        });
        all.collect()
    }

    /// The enabled mappings whose queue and function both exist.
    pub fn mappings(&self) -> Vec<KeptMapping> {
        let all = self.regions().flat_map(|(name, region)| {
            let enabled = region.mappings.values().filter(|mapping| mapping.enabled);
            enabled.filter_map(|mapping| {
                let queue = region.queues.values().find(|queue| queue.arn == mapping.source)?;
                let function = by_arn(region, &mapping.function)?;
                let window = Duration::from_secs(u64::from(mapping.window_s));
                let timeout = Duration::from_secs(u64::from(function.timeout_s));
                Some(KeptMapping {
                    id: mapping.id.clone(),
                    region: name.to_owned(),
                    queue: queue.id,
                    source: mapping.source.clone(),
                    function: mapping.function.clone(),
                    batch: mapping.batch,
                    window,
                    timeout,
                    hidden: Duration::from_secs(visibility_s(queue)).max(window + timeout),
                    concurrency: mapping.concurrency,
                    reports_failures: mapping.reports_failures,
                })
            })
        });
        all.collect()
    }

    /// Whether functions or what feeds them may differ from those of `old`. O(regions).
    pub fn has_other_functions(&self, old: &State) -> bool {
        let tables = |state: &State| {
            let regions = state
                .regions()
                .filter(|(_, region)| !(region.functions.is_empty() && region.mappings.is_empty()));
            regions
                .map(|(name, region)| {
                    (
                        name.to_owned(),
                        region.functions.clone(),
                        region.mappings.clone(),
                        // A mapping works only while its queue exists.
                        region.queues.clone(),
                    )
                })
                .collect::<Vec<_>>()
        };
        let (new, old) = (tables(self), tables(old));
        new.len() != old.len()
            || new.iter().zip(&old).any(|(new, old)| {
                new.0 != old.0 || !new.1.ptr_eq(&old.1) || !new.2.ptr_eq(&old.2) || !new.3.ptr_eq(&old.3)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_too_old_is_still_there_to_be_found() {
        assert!(attributes().retention_s >= EVENT_AGE.as_secs() + 15 * 60);
        assert_eq!(Settings::new(attributes()), Ok(settings()));
    }
}
