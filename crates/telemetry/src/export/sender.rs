//! The thread that takes snapshots, encodes them and posts them.

use super::message::{Encode, Message};
use crate::exports::{ExportCounters, Receiver};
use crate::metrics::MetricsSnapshot;
use crate::post::{Complaint, Failed, Poster};
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

/// Time to send what is left when the process ends.
pub(super) const ENDING: Duration = Duration::from_secs(5);

/// Most bytes of messages that may wait for a receiver; the oldest are dropped first.
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Waits between tries of the same message: growing, a minute in total.
const RETRIES: [Duration; 7] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

type Answered = Pin<Box<dyn Future<Output = Result<Bytes, Failed>> + Send>>;

/// A message that is being sent, or that waits to be sent again.
struct UnderWay {
    message: Message,
    /// Failed tries.
    failed: usize,
    answered: Answered,
}

pub(super) struct Sender {
    receiver: Receiver,
    poster: Arc<Poster>,
    encode: Box<dyn Encode>,
    snapshot: Box<dyn Fn() -> Option<MetricsSnapshot> + Send>,
    counters: Arc<ExportCounters>,
    waiting: VecDeque<Message>,
    /// Bytes of the waiting messages.
    bytes: usize,
    under_way: Option<UnderWay>,
    complaint: Complaint,
}

/// The result of the post under way. Pending while there is none.
async fn answer(under_way: &mut Option<UnderWay>) -> Result<Bytes, Failed> {
    match under_way {
        Some(under_way) => under_way.answered.as_mut().await,
        None => std::future::pending().await,
    }
}

impl Sender {
    pub(super) fn new(
        receiver: Receiver,
        poster: Poster,
        encode: Box<dyn Encode>,
        snapshot: Box<dyn Fn() -> Option<MetricsSnapshot> + Send>,
        counters: Arc<ExportCounters>,
    ) -> Sender {
        Sender {
            receiver,
            poster: Arc::new(poster),
            encode,
            snapshot,
            counters,
            waiting: VecDeque::new(),
            bytes: 0,
            under_way: None,
            complaint: Complaint::default(),
        }
    }

    /// Takes a snapshot after each interval and sends it, until `ending` is set; then sends what is left, each message
    /// once.
    pub(super) async fn run(mut self, interval: Duration, mut ending: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ending.wait_for(|ends| *ends) => break,
                answer = answer(&mut self.under_way) => self.answered(answer, true),
                _ = ticks.tick() => self.take(),
            }
            self.send_next();
        }
        self.finish().await;
    }

    async fn finish(&mut self) {
        let deadline = Instant::now() + ENDING;
        self.take();
        // The end does not wait for a retry's turn.
        if let Some(under_way) = &mut self.under_way
            && under_way.failed > 0
        {
            under_way.answered = post(&self.poster, &under_way.message, Duration::ZERO);
        }
        self.send_next();
        while self.under_way.is_some() {
            match tokio::time::timeout_at(deadline, answer(&mut self.under_way)).await {
                Ok(answer) => self.answered(answer, false),
                Err(_) => self.drop_under_way("no answer before the end"),
            }
            self.send_next();
        }
    }

    /// Takes a snapshot and queues its messages.
    pub(super) fn take(&mut self) {
        let Some(snapshot) = (self.snapshot)() else {
            return;
        };
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let at_ms = u64::try_from(now).unwrap_or(u64::MAX);
        for message in self.encode.messages(&snapshot, at_ms) {
            self.bytes += message.body.len();
            self.waiting.push_back(message);
        }
        let mut lost = 0;
        while self.bytes > WAITING_BYTES
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.body.len();
            lost += oldest.samples;
        }
        self.lost(lost, "the receiver is too slow or cannot be reached");
    }

    fn send_next(&mut self) {
        if self.under_way.is_none()
            && let Some(message) = self.waiting.pop_front()
        {
            self.bytes -= message.body.len();
            self.under_way = Some(UnderWay {
                answered: post(&self.poster, &message, Duration::ZERO),
                message,
                failed: 0,
            });
        }
    }

    fn answered(&mut self, answer: Result<Bytes, Failed>, may_wait: bool) {
        let Some(mut under_way) = self.under_way.take() else {
            return;
        };
        let samples = under_way.message.samples;
        match answer {
            Ok(answer) => {
                let rejected = self.encode.rejected(answer).min(samples);
                self.counters.sent(self.receiver, samples - rejected);
                self.lost(rejected, "the receiver rejected them");
            }
            Err(failed) => match RETRIES.get(under_way.failed) {
                Some(&wait) if failed.again && may_wait => {
                    // The receiver may ask for a longer wait.
                    let wait = failed.after.map_or(wait, |after| after.max(wait));
                    under_way.answered = post(&self.poster, &under_way.message, wait);
                    under_way.failed += 1;
                    self.under_way = Some(under_way);
                }
                _ => self.lost(samples, &failed.why),
            },
        }
    }

    fn drop_under_way(&mut self, why: &str) {
        if let Some(under_way) = self.under_way.take() {
            self.lost(under_way.message.samples, why);
        }
    }

    fn lost(&mut self, samples: usize, why: &str) {
        if samples > 0 {
            self.counters.dropped(self.receiver, samples);
            let (uri, counter) = (self.poster.uri(), "forebay_exported_samples_dropped_total");
            self.complaint.tell("samples of metrics", uri, why, counter);
        }
    }
}

fn post(poster: &Arc<Poster>, message: &Message, after: Duration) -> Answered {
    let (poster, body) = (Arc::clone(poster), message.body.clone());
    Box::pin(async move {
        tokio::time::sleep(after).await;
        poster.post(body).await
    })
}
