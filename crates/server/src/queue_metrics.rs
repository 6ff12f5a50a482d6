//! The datapoints of queues for each second, under the names that SQS uses in CloudWatch.

use forebay_control::sqs::KeptQueue;
use forebay_control::{Datapoint, Series};
use forebay_queues::{Counts, Deleted, QueueId};
use forebay_signals::Summary;
use forebay_units::Wall;
use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const NAMESPACE: &str = "AWS/SQS";
/// How long a queue without messages and calls goes on reporting, as in SQS.
const ACTIVE: Duration = Duration::from_secs(6 * 3600);

/// Events of one queue since the last look.
#[derive(Clone, Debug, Default)]
struct Counted {
    sent: u64,
    sizes: Option<Summary>,
    received: u64,
    deleted: u64,
    empty: u64,
    used: Option<Instant>,
}

/// The events of all queues.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<BTreeMap<QueueId, Counted>>);

/// Events and figures of one queue.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    counted: Counted,
    counts: Counts,
    oldest: Duration,
}

impl Counters {
    fn change(&self, queue: QueueId, change: impl FnOnce(&mut Counted)) {
        let mut all = lock(&self.0);
        let counted = all.entry(queue).or_default();
        counted.used = Some(Instant::now());
        change(counted);
    }

    /// Counts a sent message.
    pub(crate) fn sent(&self, queue: QueueId, bytes: usize) {
        self.change(queue, |counted| {
            counted.sent += 1;
            match &mut counted.sizes {
                Some(sizes) => sizes.add(bytes as f64, 1.0),
                None => counted.sizes = Some(Summary::of(bytes as f64, 1.0)),
            }
        });
    }

    /// Counts a receive of so many messages, perhaps none.
    pub(crate) fn received(&self, queue: QueueId, messages: usize) {
        self.change(queue, |counted| {
            counted.received += messages as u64;
            counted.empty += u64::from(messages == 0);
        });
    }

    /// Counts these deletes.
    pub(crate) fn deleted<'a>(&self, queue: QueueId, done: impl Iterator<Item = &'a Deleted>) {
        let gone = done.filter(|done| !matches!(done, Deleted::Before)).count();
        self.change(queue, |counted| counted.deleted += gone as u64);
    }

    /// Drops queues that were deleted.
    pub(crate) fn forget(&self, queues: &[QueueId]) {
        let mut all = lock(&self.0);
        for queue in queues {
            all.remove(queue);
        }
    }

    /// The events since the last call; none for an inactive queue.
    pub(crate) fn take(&self, queue: QueueId, figures: (Counts, Option<Duration>)) -> Option<Traffic> {
        let (counts, oldest) = figures;
        let mut all = lock(&self.0);
        let has_messages = counts.visible + counts.in_flight + counts.delayed > 0;
        if has_messages {
            all.entry(queue).or_default().used = Some(Instant::now());
        }
        let counted = all.get_mut(&queue)?;
        let used = counted.used?;
        if used.elapsed() > ACTIVE {
            all.remove(&queue);
            return None;
        }
        let taken = std::mem::replace(
            counted,
            Counted {
                used: Some(used),
                ..Counted::default()
            },
        );
        Some(Traffic {
            counted: taken,
            counts,
            oldest: oldest.unwrap_or_default(),
        })
    }
}

/// The datapoints of these queues for one second.
pub(crate) fn datapoints(traffic: &[(KeptQueue, Traffic)], at: Wall) -> Vec<Datapoint> {
    let mut points = Vec::new();
    for (queue, traffic) in traffic {
        let mut put = |name: &str, unit: &str, summary: Summary| {
            points.push(Datapoint {
                series: Series {
                    region: queue.region.clone(),
                    namespace: NAMESPACE.to_owned(),
                    name: name.to_owned(),
                    dimensions: vec![("QueueName".to_owned(), queue.name.clone())],
                },
                at,
                unit: Some(unit.to_owned()),
                summary,
                high_resolution: true,
            });
        };
        let Traffic {
            counted,
            counts,
            oldest,
        } = traffic;
        for (name, count) in [
            ("ApproximateNumberOfMessagesVisible", counts.visible as u64),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight as u64),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed as u64),
            ("NumberOfMessagesSent", counted.sent),
            ("NumberOfMessagesReceived", counted.received),
            ("NumberOfMessagesDeleted", counted.deleted),
            ("NumberOfEmptyReceives", counted.empty),
        ] {
            put(name, "Count", Summary::of(count as f64, 1.0));
        }
        let age = Summary::of(oldest.as_secs_f64(), 1.0);
        put("ApproximateAgeOfOldestMessage", "Seconds", age);
        if let Some(sizes) = &counted.sizes {
            put("SentMessageSize", "Bytes", sizes.clone());
        }
    }
    points
}
