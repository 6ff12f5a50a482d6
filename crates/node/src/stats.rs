//! Counters, one shard per worker: a worker writes only its own, readers add them up.

use crate::distribution::{Bucket, Distribution};
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

/// Statuses of errors made here that are counted by themselves.
pub const ERRORS: [u16; 4] = [500, 502, 503, 504];

/// Declares the counters of one worker and, with the same fields, what a reader finds: so that a counter is one line here.
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
            /// What all workers have counted so far.
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
    /// What one worker counts of a load balancer.
    BalancerStats, summed up as LoadBalancerCounts {
        /// Requests begun.
        requests: AtomicU64,
        /// Answers made here, by hundreds of their status (index 2 to 5).
        own: [AtomicU64; 6],
        /// Those of them that are 500, 502, 503 and 504, in this order.
        errors: [AtomicU64; ERRORS.len()],
        /// Those made in place of a target's: 502, 503 and 504, in the order of [`Reason::IN_PLACE_OF_A_TARGET`].
        failures: [AtomicU64; Reason::IN_PLACE_OF_A_TARGET.len()],
        /// Connections accepted.
        connections: AtomicU64,
        /// Connections refused because too many were open.
        rejected: AtomicU64,
        /// Connections closed because they had to begin with a PROXY header and did not, and requests refused because they began with
        /// one that they may not have.
        proxy_refused: AtomicU64,
        /// Connections open.
        open: AtomicU64,
        /// Rules looked at, default rules excluded.
        rule_evaluations: AtomicU64,
        /// Those of them beyond the first ten of a request, which AWS charges for.
        charged_evaluations: AtomicU64,
        /// Requests sent anew because a pooled connection had died.
        stale_retries: AtomicU64,
        /// Requests sent to another target because a connection failed.
        connect_retries: AtomicU64,
        /// Requests sent to another target because one failed them.
        answer_retries: AtomicU64,
        /// Requests sent to a group whose targets all get traffic because too few are healthy.
        fail_open: AtomicU64,
        /// Requests to sticky groups whose client was not known, or could not stay with its target.
        non_sticky: AtomicU64,
        /// Those of them whose group goes by an application's cookie.
        app_non_sticky: AtomicU64,
        /// Requests that a rule's fixed response answered.
        fixed: AtomicU64,
        /// Requests that a rule sent elsewhere.
        redirects: AtomicU64,
        /// Those that no redirect was sent for because its Location would have been too long.
        redirects_too_long: AtomicU64,
        /// Bytes of heads and bodies that clients sent, of requests that ended.
        received_bytes: AtomicU64,
        /// Bytes of heads and bodies that clients got, of requests that ended.
        sent_bytes: AtomicU64,
        /// Requests over IPv6 that ended.
        ipv6_requests: AtomicU64,
        /// Bytes of them, both ways.
        ipv6_bytes: AtomicU64,
        /// Requests that lost header lines whose names are not of letters, digits and hyphens.
        dropped_headers: AtomicU64,
        /// Requests whose framing does not follow the RFC.
        noncompliant: AtomicU64,
        /// Requests that found no memory left for buffers.
        no_memory: AtomicU64,
        /// Bytes of requests to functions that ended, both ways.
        lambda_bytes: AtomicU64,
    }

    /// What one worker counts of a listener.
    ListenerStats, summed up as ListenerCounts {
        /// TLS handshakes that led to a connection.
        handshakes: AtomicU64,
        /// Those of them that resumed a session.
        resumed: AtomicU64,
        /// TLS handshakes that failed, were given up by the client or took too long.
        handshake_failures: AtomicU64,
    }

    /// What one worker counts of a target group.
    GroupStats, summed up as GroupCounts {
        /// Requests that were to be answered by it.
        arrivals: AtomicU64,
        /// Those for which a target was chosen, each once.
        requests: AtomicU64,
        /// Those of them that were gRPC's.
        grpc_requests: AtomicU64,
        /// Those of them that came when all targets got traffic because too few were healthy.
        fail_open: AtomicU64,
        /// Targets' answers by hundreds of their status.
        answers: [AtomicU64; 6],
        /// Connections to targets that failed.
        connect_errors: AtomicU64,
        /// TLS handshakes with targets that failed.
        tls_errors: AtomicU64,
        /// Requests to a function that failed because of it or of the request.
        lambda_user_errors: AtomicU64,
        /// Those that failed because it could not be asked, or did not answer.
        lambda_internal_errors: AtomicU64,
        /// Requests that wait for a slot.
        waiting: AtomicU64,
        /// Requests that got no slot, in the order of [`forebay_admission::Why::ALL`].
        spillover: [AtomicU64; 5],
        /// Requests that ended well.
        completed: AtomicU64,
        /// For how long those were at their targets, to their answers' ends, together, in microseconds.
        held_us: AtomicU64,
        /// How long answers took, to their heads, by hundreds of their status.
        times: ResponseTimesByCode,
    }

    /// What one worker counts of a target.
    TargetTotals, summed up as TargetCounts {
        /// Requests sent.
        requests: AtomicU64,
        /// Answers by hundreds of their status.
        answers: [AtomicU64; 6],
        /// Connections that failed.
        connect_errors: AtomicU64,
        /// TLS handshakes that failed.
        tls_errors: AtomicU64,
        /// Connections that died before an answer, stale ones of the pool not counted.
        died: AtomicU64,
        /// The latencies of successes together, in microseconds: each the time to the answer's head.
        latency_us: AtomicU64,
    }
}

/// How many successes of a target one worker saw in each class of latency.
#[derive(Debug)]
pub(crate) struct LatencyTotals([AtomicU64; CLASSES]);

impl Default for LatencyTotals {
    fn default() -> Self {
        LatencyTotals(core::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// What is known of a target by all workers. Outlives snapshots. What algorithms read comes first, on one cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct TargetStats {
    /// Requests picked for it and not yet ended. Changed by [`crate::InFlight`] only.
    pub in_flight: AtomicU32,
    /// Slots whose request failed and that still count as load.
    pub(crate) held: AtomicU32,
    /// Parts of [`Weight`]; set by the slow path.
    pub(crate) weight: AtomicU32,
    /// Where it stands in its group's order; changed under the order's lock.
    pub(crate) index: AtomicU32,
    /// What it shares with its group.
    pub(crate) shared: Arc<SharedLoad>,
    /// [`PeakLatency`].
    pub(crate) peak: AtomicU64,
    /// [`MedianLatency`] by class of load.
    pub(crate) medians: [AtomicU64; LOADS],
    /// Latencies per worker, from the first success on.
    pub(crate) latencies: OnceLock<Shards<LatencyTotals>>,
    /// Its deregistration delay is over: what is still in flight ends now.
    pub cut: AtomicBool,
    /// Totals per worker.
    pub totals: Shards<TargetTotals>,
    /// What is counted of its group.
    pub(crate) group: Arc<Zoned<GroupStats>>,
}

impl Default for TargetStats {
    /// Zeros, for one worker, of a target that has no peers.
    fn default() -> TargetStats {
        TargetStats::new(1, Arc::default(), Arc::new(Zoned::new(1)))
    }
}

impl TargetStats {
    /// Zeros, for this many workers, of a target of the group that shares these.
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

    /// Requests it has been sent.
    pub fn requests(&self) -> u64 {
        self.totals
            .iter()
            .map(|totals| totals.requests.load(Relaxed))
            .sum()
    }

    /// What algorithms go by: requests in flight, and slots that failed and still count.
    pub fn load(&self) -> u32 {
        // Sequentially consistent, which costs a load nothing: see `LoadIndex`.
        self.in_flight.load(SeqCst) + self.held.load(SeqCst)
    }

    /// Its load was changed: the group's order must know.
    pub(crate) fn changed(&self) {
        self.shared.changed(&self.index);
    }

    /// Its weight now.
    pub fn weight(&self) -> Weight {
        Weight::from_parts(self.weight.load(Relaxed))
    }

    /// Sets its weight; returns whether that is new.
    pub(crate) fn weigh(&self, weight: Weight) -> bool {
        let changed = self.weight.swap(weight.parts(), SeqCst) != weight.parts();
        if changed {
            self.changed();
        }
        changed
    }

    /// Takes the latency of a request that was picked when the load was `load`, if someone asks for latencies. Two workers
    /// that write at once lose one of the two, which an average bears. `peak` and `typical` differ for failures only.
    pub(crate) fn measure(&self, now: Mono, load: u32, peak: Duration, typical: Duration) {
        if !self.shared.is_timed() {
            return;
        }
        let peak = PeakLatency(self.peak.load(Relaxed)).with(now, peak);
        self.peak.store(peak.0, Relaxed);
        let median = &self.medians[load_class(load)];
        median.store(MedianLatency(median.load(Relaxed)).with(now, typical).0, Relaxed);
    }

    /// Takes the latency of a success.
    pub(crate) fn record_latency(&self, worker: usize, latency: Duration) {
        let us = latency.as_secs() * 1_000_000 + u64::from(latency.subsec_micros());
        let latencies = self
            .latencies
            .get_or_init(|| Shards::new(self.totals.iter().count()));
        let class = &latencies.of(worker).0[latency_class(us)];
        // A worker writes its own alone: no locked addition.
        for (count, more) in [(class, 1), (&self.totals.of(worker).latency_us, us)] {
            count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
        }
    }

    /// How many successes took how long: each class's upper end and count, ascending.
    fn latency_buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        (0..CLASSES).map(|class| {
            let shards = self.latencies.get().into_iter().flat_map(Shards::iter);
            (
                class_end(class),
                shards.map(|shard| shard.0[class].load(Relaxed)).sum(),
            )
        })
    }

    /// How long successes took, `sum_us` together.
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

    /// All that ended, since the beginning.
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

    /// All latencies since the beginning, each count modulo 2^32: differences of two looks are asked for.
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
