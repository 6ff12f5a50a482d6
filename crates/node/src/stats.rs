//! Counters, one shard per worker: a worker writes only its own, and readers add them up.

use crate::distribution::{Bucket, Distribution};
use crate::ids::ZoneId;
use crate::reason::Reason;
use crate::response_times::ResponseTimesByCode;
use crate::shards::{Shards, Zoned};
use crate::shared_load::{NOT_INDEXED, SharedLoad};
use crate::summed::Summed;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::time::Duration;
use forebay_balance::anomaly::{CLASSES, Counts, Latencies, class_end, latency_class};
use forebay_balance::{LOADS, MedianLatency, PeakLatency, Weight, load_class};
use forebay_units::Mono;
use std::sync::{Arc, OnceLock};

/// Statuses of errors made here that are counted separately.
pub const ERRORS: [u16; 4] = [500, 502, 503, 504];

/// Declares the counters of one worker and, with the same fields, what readers get, so that each counter is one line
/// here.
macro_rules! counters {
    ($(
        $(#[$doc:meta])*
        $counters:ident, summed up as $sums:ident {
            $($(#[$of:meta])* $field:ident: $counter:ty,)+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $counters {
            $($(#[$of])* pub $field: $counter,)+
        }

        #[doc = concat!("[`", stringify!($counters), "`] of all workers together.")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $sums {
            $($(#[$of])* pub $field: <$counter as Summed>::Sum,)+
        }

        impl Shards<$counters> {
            /// The counts of all workers so far.
            pub fn sum(&self) -> $sums {
                let mut sums = $sums {
                    $($field: <$counter as Summed>::NONE,)+
                };
                for shard in self.iter() {
                    $(shard.$field.add_to(&mut sums.$field);)+
                }
                sums
            }
        }
    )+};
}

counters! {
    /// Counters of a load balancer, kept by one worker.
    BalancerStats, summed up as LoadBalancerCounts {
        /// Requests that began.
        requests: AtomicU64,
        /// Answers made here, by hundreds of their status (index 2 to 5).
        own: [AtomicU64; 6],
        /// Those that were 500, 502, 503 and 504, in this order.
        errors: [AtomicU64; ERRORS.len()],
        /// Those made in place of a target's answer (502, 503 and 504), in the order of
        /// [`Reason::IN_PLACE_OF_A_TARGET`].
        failures: [AtomicU64; Reason::IN_PLACE_OF_A_TARGET.len()],
        /// Connections accepted.
        connections: AtomicU64,
        /// Connections refused because too many were open.
        rejected: AtomicU64,
        /// Connections closed for lack of a required PROXY header, and requests refused because their connection began
        /// with one that is not allowed.
        proxy_refused: AtomicU64,
        /// Connections open.
        open: AtomicU64,
        /// Rules evaluated, without default rules.
        rule_evaluations: AtomicU64,
        /// Those beyond the first ten of a request, which AWS charges for.
        charged_evaluations: AtomicU64,
        /// Requests sent again because a pooled connection had died.
        stale_retries: AtomicU64,
        /// Requests sent to another target because a connection failed.
        connect_retries: AtomicU64,
        /// Requests sent to another target after an answer or a connection that failed.
        answer_retries: AtomicU64,
        /// Requests sent to a group that fails open.
        fail_open: AtomicU64,
        /// Requests to sticky groups whose client had no valid cookie or could not stay with its target.
        non_sticky: AtomicU64,
        /// Those whose group uses an application's cookie.
        app_non_sticky: AtomicU64,
        /// Requests answered by a rule's fixed response.
        fixed: AtomicU64,
        /// Requests redirected by a rule.
        redirects: AtomicU64,
        /// Redirects that failed because their Location was too long.
        redirects_too_long: AtomicU64,
        /// Bytes of heads and bodies received from clients, of requests that ended.
        received_bytes: AtomicU64,
        /// Bytes of heads and bodies sent to clients, of requests that ended.
        sent_bytes: AtomicU64,
        /// Requests over IPv6 that ended.
        ipv6_requests: AtomicU64,
        /// Bytes of those requests, both ways.
        ipv6_bytes: AtomicU64,
        /// Requests that lost header fields because of invalid names (not letters, digits and hyphens).
        dropped_headers: AtomicU64,
        /// Requests whose framing does not follow the RFC.
        noncompliant: AtomicU64,
        /// Requests for which no buffer memory was left.
        no_memory: AtomicU64,
        /// Bytes of requests to functions that ended, both ways.
        lambda_bytes: AtomicU64,
    }

    /// Counters of a listener, kept by one worker.
    ListenerStats, summed up as ListenerCounts {
        /// TLS handshakes that led to a connection.
        handshakes: AtomicU64,
        /// Those that resumed a session.
        resumed: AtomicU64,
        /// TLS handshakes that failed, were aborted by the client or timed out.
        handshake_failures: AtomicU64,
    }

    /// Counters of a target group, kept by one worker.
    GroupStats, summed up as GroupCounts {
        /// Requests routed to the group.
        arrivals: AtomicU64,
        /// Requests for which a target was chosen, each counted once.
        requests: AtomicU64,
        /// Those that were gRPC calls.
        grpc_requests: AtomicU64,
        /// Those that came while the group failed open.
        fail_open: AtomicU64,
        /// Targets' answers by hundreds of their status.
        answers: [AtomicU64; 6],
        /// Connections to targets that failed.
        connect_errors: AtomicU64,
        /// TLS handshakes with targets that failed.
        tls_errors: AtomicU64,
        /// Requests to a function that failed because of the function or the request.
        lambda_user_errors: AtomicU64,
        /// Requests to a function that failed because it could not be invoked or did not answer.
        lambda_internal_errors: AtomicU64,
        /// Requests that wait for a slot.
        waiting: AtomicU64,
        /// Requests that got no slot, in the order of [`forebay_admission::Why::ALL`].
        spillover: [AtomicU64; 5],
        /// Requests that ended well.
        completed: AtomicU64,
        /// Total time that those were at their targets, to the end of their answers, in microseconds.
        held_us: AtomicU64,
        /// Times to the heads of answers, by hundreds of their status.
        times: ResponseTimesByCode,
    }

    /// Counters of a target, kept by one worker.
    TargetTotals, summed up as TargetCounts {
        /// Requests sent.
        requests: AtomicU64,
        /// Answers by hundreds of their status.
        answers: [AtomicU64; 6],
        /// Connections that failed.
        connect_errors: AtomicU64,
        /// TLS handshakes that failed.
        tls_errors: AtomicU64,
        /// Connections that died before an answer, without stale pooled ones.
        died: AtomicU64,
        /// Sum of the latencies of successes, in microseconds, each the time to the answer's head.
        latency_us: AtomicU64,
    }
}

/// Rules evaluated per request that AWS does not charge for (Elastic Load Balancing pricing, "LCU details").
const FREE_RULES: u64 = 10;

/// Adds one to a counter that only this worker writes.
pub(crate) fn count(counter: &AtomicU64) {
    count_many(counter, 1);
}

/// Adds `more` to a counter that only this worker writes.
pub(crate) fn count_many(counter: &AtomicU64, more: u64) {
    // A load and a store instead of a locked addition: correct because each worker has counters of its own.
    counter.store(counter.load(Relaxed) + more, Relaxed);
}

impl BalancerStats {
    /// Counts an answer that was made here.
    pub(crate) fn count_own(&self, status: u16) {
        count(&self.own[usize::from(status / 100).min(self.own.len() - 1)]);
        if let Some(place) = ERRORS.iter().position(|&error| error == status) {
            count(&self.errors[place]);
        }
    }

    /// Counts answers made in place of a target's, answers for lack of memory, and answers of rules.
    pub(crate) fn count_reason(&self, reason: Option<Reason>) {
        let place = |reason| Reason::IN_PLACE_OF_A_TARGET.iter().position(|one| *one == reason);
        if let Some(place) = reason.and_then(place) {
            count(&self.failures[place]);
        }
        match reason {
            Some(Reason::MemoryCeiling) => count(&self.no_memory),
            Some(Reason::FixedResponse) => count(&self.fixed),
            Some(Reason::Redirect) => count(&self.redirects),
            Some(Reason::RedirectTooLong) => count(&self.redirects_too_long),
            _ => {}
        }
    }

    /// Counts the rules that were evaluated for a request.
    pub(crate) fn count_rules(&self, evaluated: u64) {
        count_many(&self.rule_evaluations, evaluated);
        if evaluated > FREE_RULES {
            count_many(&self.charged_evaluations, evaluated - FREE_RULES);
        }
    }
}

impl GroupStats {
    /// Counts a failed request to a function as a user's or an internal error, as the CloudWatch metrics of ALB do.
    pub(crate) fn count_lambda_error(&self, reason: Reason) {
        match reason.lambda_error() {
            Some(error) if error.is_users => count(&self.lambda_user_errors),
            Some(_) => count(&self.lambda_internal_errors),
            None => {}
        }
    }

    /// Counts a request that ended well after `held` at its target.
    pub(crate) fn count_completed(&self, held: Duration) {
        count(&self.completed);
        count_many(
            &self.held_us,
            held.as_secs() * 1_000_000 + u64::from(held.subsec_micros()),
        );
    }
}

/// Successes of a target by class of latency, as counted by one worker.
#[derive(Debug)]
pub(crate) struct LatencyTotals([AtomicU64; CLASSES]);

impl Default for LatencyTotals {
    fn default() -> Self {
        LatencyTotals(core::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// State of a target that all workers share. Outlives snapshots. The fields that algorithms read come first, on one
/// cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct TargetStats {
    /// Requests that picked it and have not ended. Changed only by [`crate::InFlight`].
    pub in_flight: AtomicU32,
    /// Slots whose request failed and that still count as load.
    pub(crate) held: AtomicU32,
    /// The parts of its [`Weight`]; set by the slow path.
    pub(crate) weight: AtomicU32,
    /// Its number in the group's least-loaded index; changed under the index's lock.
    pub(crate) index: AtomicU32,
    /// State that it shares with its group.
    pub(crate) shared: Arc<SharedLoad>,
    /// Its [`PeakLatency`].
    pub(crate) peak: AtomicU64,
    /// Its [`MedianLatency`] for each class of load.
    pub(crate) medians: [AtomicU64; LOADS],
    /// Latencies per worker; allocated at the first success.
    pub(crate) latencies: OnceLock<Shards<LatencyTotals>>,
    /// Its deregistration delay is over: requests that are still in flight end now.
    pub cut: AtomicBool,
    /// Counters per worker.
    pub totals: Shards<TargetTotals>,
    /// Its group's counters.
    pub(crate) group: Arc<Zoned<GroupStats>>,
}

impl Default for TargetStats {
    /// Zeros, for one worker and a target without peers.
    fn default() -> TargetStats {
        TargetStats::new(1, Arc::default(), Arc::new(Zoned::new(1)))
    }
}

impl TargetStats {
    /// Zeros, for `workers` workers and a target of the group that these belong to.
    pub(crate) fn new(workers: usize, shared: Arc<SharedLoad>, group: Arc<Zoned<GroupStats>>) -> TargetStats {
        TargetStats {
            in_flight: AtomicU32::new(0),
            held: AtomicU32::new(0),
            weight: AtomicU32::new(Weight::FULL.parts()),
            index: AtomicU32::new(NOT_INDEXED),
            peak: AtomicU64::new(0),
            medians: Default::default(),
            latencies: OnceLock::new(),
            shared,
            group,
            cut: AtomicBool::new(false),
            totals: Shards::new(workers),
        }
    }

    /// Counts this target's answer to a request of this zone's node; its head arrived after `took`.
    pub(crate) fn count_answer(&self, status: u16, took: Option<Duration>, zone: ZoneId, worker: usize) {
        let answers = &self.totals.of(worker).answers;
        let hundred = usize::from(status / 100).min(answers.len() - 1);
        count(&answers[hundred]);
        let group = self.group.of(zone, worker);
        count(&group.answers[hundred]);
        if let Some(took) = took {
            group.times.record(hundred, took);
        }
    }

    /// Requests sent to it.
    pub fn requests(&self) -> u64 {
        self.totals
            .iter()
            .map(|totals| totals.requests.load(Relaxed))
            .sum()
    }

    /// Its load, as algorithms see it: requests in flight, and failed slots that still count.
    pub fn load(&self) -> u32 {
        // Sequentially consistent, which costs nothing for a load; `LoadIndex` needs it.
        self.in_flight.load(SeqCst) + self.held.load(SeqCst)
    }

    /// Records that its load changed, so that the group's index is updated.
    pub(crate) fn changed(&self) {
        self.shared.changed(&self.index);
    }

    /// Its present weight.
    pub fn weight(&self) -> Weight {
        Weight::from_parts(self.weight.load(Relaxed))
    }

    /// Sets its weight; returns whether it changed.
    pub(crate) fn weigh(&self, weight: Weight) -> bool {
        let changed = self.weight.swap(weight.parts(), SeqCst) != weight.parts();
        if changed {
            self.changed();
        }
        changed
    }

    /// Records the latency of a request that was picked at load `load`, if an algorithm uses latencies. Of two workers
    /// that write at once one is lost, which does not matter to an average. `peak` and `typical` differ only for
    /// failures.
    pub(crate) fn measure(&self, now: Mono, load: u32, peak: Duration, typical: Duration) {
        if !self.shared.is_timed() {
            return;
        }
        let peak = PeakLatency(self.peak.load(Relaxed)).with(now, peak);
        self.peak.store(peak.0, Relaxed);
        let median = &self.medians[load_class(load)];
        median.store(MedianLatency(median.load(Relaxed)).with(now, typical).0, Relaxed);
    }

    /// Records the latency of a success.
    pub(crate) fn record_latency(&self, worker: usize, latency: Duration) {
        let us = latency.as_secs() * 1_000_000 + u64::from(latency.subsec_micros());
        let latencies = self
            .latencies
            .get_or_init(|| Shards::new(self.totals.iter().count()));
        let class = &latencies.of(worker).0[latency_class(us)];
        // Only this worker writes its shard, so no atomic addition is needed.
        for (count, more) in [(class, 1), (&self.totals.of(worker).latency_us, us)] {
            count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
        }
    }

    /// Successes by latency: each class's upper end and count, ascending.
    fn latency_buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        (0..CLASSES).map(|class| {
            let shards = self.latencies.get().into_iter().flat_map(Shards::iter);
            (
                class_end(class),
                shards.map(|shard| shard.0[class].load(Relaxed)).sum(),
            )
        })
    }

    /// The distribution of successes' latencies, whose sum is `sum_us`.
    pub(crate) fn latencies(&self, sum_us: u64) -> Distribution {
        let mut from = Duration::ZERO;
        let buckets = self.latency_buckets().map(|(to, count)| Bucket {
            from: core::mem::replace(&mut from, to),
            to,
            count,
        });
        Distribution {
            buckets: buckets.filter(|bucket| bucket.count > 0).collect(),
            sum: Duration::from_micros(sum_us),
        }
    }

    /// Counts of everything that ended, since the beginning.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for totals in self.totals.iter() {
            let answers: u64 = totals.answers.iter().map(|count| count.load(Relaxed)).sum();
            let errors = [&totals.connect_errors, &totals.tls_errors, &totals.died];
            let connections: u64 = errors.iter().map(|count| count.load(Relaxed)).sum();
            counts.requests += answers + connections;
            counts.errors += totals.answers[5].load(Relaxed);
            counts.connections += connections;
        }
        counts
    }

    /// All latencies since the beginning, each count modulo 2^32: callers use only differences between two calls.
    pub(crate) fn all_latencies(&self) -> Latencies {
        let mut all = Latencies::default();
        for (sum, (_, count)) in all.0.iter_mut().zip(self.latency_buckets()) {
            *sum = count as u32;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_all_workers() {
        let shards = Shards::<TargetTotals>::new(2);
        for (worker, count) in [(0, 1), (1, 2)] {
            shards.of(worker).requests.store(count, Relaxed);
            shards.of(worker).answers[5].store(10 * count, Relaxed);
        }
        let sums = shards.sum();
        assert_eq!((sums.requests, sums.died), (3, 0));
        assert_eq!(sums.answers, [0, 0, 0, 0, 0, 30]);
    }
}
