//! One look at all targets of a group.

use super::evidence::{Trials, effect, ln_chance, unlike};
use super::latencies::Latencies;
use super::record::{
    Change, Counts, Evidence, FEWEST_HEALTHY, MITIGATED, PeerRecord, REMEMBERED, STEPS, Signal, Standing, Why,
};
use crate::weight::Weight;
use std::collections::BTreeMap;

/// Numbers of windows tested together: five seconds for quick evidence, up to a minute for slow.
const SPANS: [usize; 3] = [1, 3, REMEMBERED];
/// Requests after which a target is judged; with fewer, it is judged after `PROOF_LOOKS` looks.
const PROOF: u64 = 20;
const PROOF_LOOKS: u32 = 3;
/// Below this chance of being like its peers, a target has relapsed.
const RELAPSE: f64 = 0.05;
/// Answers needed for a median.
const MEASURED: u64 = 50;
/// An answer is slow if it takes this many times the peers' median, and at least this much longer (nanoseconds).
const SLOW_RATIO: f64 = 2.0;
const SLOW_LEAST: f64 = 2e6;

/// The parts of anomaly detection that a group has switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Reduce the weights of anomalous targets.
    pub mitigate: bool,
    /// Slow answers count too.
    pub latency: bool,
}

/// A healthy target at a look.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its history.
    pub record: &'a mut PeerRecord,
    /// Its counts since the last look.
    pub counts: Counts,
    /// Its latencies since the last look; `None` if they are not measured.
    pub latencies: Option<Latencies>,
    /// Its zone with cross-zone off. At most half of the targets with the same number are mitigated.
    pub side: u64,
}

/// The peers' figures at a look.
struct Base {
    /// The peers' share of failures.
    errors: f64,
    /// The latency from which an answer is slow, and the peers' median; `None` if too little was measured.
    slow: Option<(f64, f64)>,
    /// The peers' share of slow answers.
    slow_share: f64,
}

/// Examines a group's healthy targets and changes weights. Returns the changes, by index.
pub fn look(subjects: &mut [Subject<'_>], policy: Policy) -> Vec<(usize, Change)> {
    if subjects.len() < FEWEST_HEALTHY {
        let forgotten = subjects.iter_mut().enumerate();
        return forgotten
            .filter_map(|(index, subject)| Some((index, subject.record.forget()?)))
            .collect();
    }
    for subject in subjects.iter_mut() {
        subject.remember();
    }
    let (base, found) = examine(subjects, policy);
    let mut room = room(subjects);
    let mut changes = Vec::new();
    // First those that may recover, because they make room for others.
    for (index, subject) in subjects.iter_mut().enumerate() {
        if subject.record.standing != Standing::Normal
            && let Some(change) = subject.judge(&base, policy)
        {
            if subject.record.weight == Weight::FULL && change.from < Weight::FULL {
                *room.entry(subject.side).or_default() += 1;
            }
            changes.push((index, change));
        }
    }
    let judged = changes.len();
    for (index, evidence) in found {
        // The evidence against a target that was just judged is from before.
        if changes[..judged].iter().any(|change| change.0 == index) {
            continue;
        }
        let subject = &mut subjects[index];
        let record = &mut *subject.record;
        let known = record.standing != Standing::Normal;
        let room = room.entry(subject.side).or_default();
        let cut = policy.mitigate && !record.is_mitigated() && *room > 0;
        // It is known already. The one thing that can be new is that there is now room to mitigate it.
        if known && !(cut && record.is_anomalous()) {
            continue;
        }
        *room -= usize::from(cut);
        let from = record.weight;
        let to = if cut { Weight::of(MITIGATED) } else { from };
        let change = record.change_to(Standing::Anomalous, Why::Unlike(evidence), to);
        changes.push((index, change));
    }
    changes
}

/// How many more targets may be mitigated, by side.
fn room(subjects: &[Subject<'_>]) -> BTreeMap<u64, usize> {
    let mut sides: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for subject in subjects {
        let side = sides.entry(subject.side).or_default();
        side.0 += 1;
        side.1 += usize::from(subject.record.is_mitigated());
    }
    let half = |(all, cut): (usize, usize)| (all / 2).saturating_sub(cut);
    sides
        .into_iter()
        .map(|(side, counts)| (side, half(counts)))
        .collect()
}

/// Tests all targets. Returns those that are unlike the others with the evidence, worst first.
fn examine(subjects: &[Subject<'_>], policy: Policy) -> (Base, Vec<(usize, Evidence)>) {
    let looks = SPANS.len() + usize::from(policy.latency);
    let mut found: Vec<(usize, Evidence)> = Vec::new();
    let mut errors = 0.0;
    for span in SPANS {
        let counts: Vec<Counts> = subjects.iter().map(|subject| subject.record.sum(span)).collect();
        let trials: Vec<Trials> = counts.iter().map(|counts| counts.trials()).collect();
        let (unlike, base) = unlike(&trials, looks);
        // The widest span with requests comes last and so sets the share that recovering targets are held to.
        if base.all > 0 {
            errors = base.share();
        }
        for index in unlike {
            if !found.iter().any(|(known, _)| *known == index) {
                found.push((index, errors_of(counts[index], base.share())));
            }
        }
    }
    let mut base = Base {
        errors,
        slow: None,
        slow_share: 0.0,
    };
    if policy.latency {
        examine_latencies(subjects, looks, &mut base, &mut found);
    }
    (base, found)
}

fn errors_of(counts: Counts, peers: f64) -> Evidence {
    let signal = if counts.connections > counts.errors {
        Signal::Connections
    } else {
        Signal::Errors
    };
    Evidence {
        signal,
        own: counts.trials().share(),
        peers,
        requests: counts.requests,
    }
}

fn examine_latencies(
    subjects: &[Subject<'_>],
    looks: usize,
    base: &mut Base,
    found: &mut Vec<(usize, Evidence)>,
) {
    let measured = |subject: &Subject<'_>| {
        let latencies = subject.record.latencies.as_ref()?;
        latencies.median().filter(|_| latencies.count() >= MEASURED)
    };
    let mut medians: Vec<f64> = subjects.iter().filter_map(measured).collect();
    if medians.len() < FEWEST_HEALTHY {
        return;
    }
    medians.sort_by(f64::total_cmp);
    // The lower one of the middle two, because half may be slow.
    let peers = medians[(medians.len() - 1) / 2];
    let slow = (peers * SLOW_RATIO).max(peers + SLOW_LEAST);
    let trials = |subject: &Subject<'_>| match &subject.record.latencies {
        Some(latencies) if measured(subject).is_some() => Trials {
            all: latencies.count(),
            failed: latencies.slower(slow),
        },
        _ => Trials::default(),
    };
    let trials: Vec<Trials> = subjects.iter().map(trials).collect();
    let (unlike, together) = unlike(&trials, looks);
    base.slow = Some((slow, peers));
    base.slow_share = together.share();
    for index in unlike {
        // More than half, so that its median is slow and not only some of its requests.
        if trials[index].share() > 0.5 && !found.iter().any(|(known, _)| *known == index) {
            let own = measured(&subjects[index]).unwrap_or(0.0);
            let evidence = Evidence {
                signal: Signal::Latency,
                own,
                peers,
                requests: trials[index].all,
            };
            found.push((index, evidence));
        }
    }
}

impl Subject<'_> {
    fn remember(&mut self) {
        let record = &mut *self.record;
        record.windows[record.next] = self.counts;
        record.next = (record.next + 1) % REMEMBERED;
        match &self.latencies {
            Some(window) => record.latencies.get_or_insert_default().fade_in(window),
            None => record.latencies = None,
        }
    }

    /// Judges a target that is anomalous or recovering.
    fn judge(&mut self, base: &Base, policy: Policy) -> Option<Change> {
        let record = &mut *self.record;
        // Mitigation was switched off: the weight comes back at once, however the target behaves.
        if !policy.mitigate && record.is_mitigated() {
            return Some(record.change_to(record.standing, Why::NotMitigated, Weight::FULL));
        }
        record.proof[0] = record.proof[0].plus(self.counts.trials());
        if let (Some((slow, _)), Some(window)) = (base.slow, &self.latencies) {
            record.proof[1] = record.proof[1].plus(Trials {
                all: window.count(),
                failed: window.slower(slow),
            });
        }
        record.looks += 1;
        let [errors, slow] = record.proof;
        let chance = ln_chance(errors, base.errors + effect(base.errors));
        // A single failure is never enough: at low traffic it would be a relapse by chance.
        let too_bad = errors.failed > 1 && chance < RELAPSE.ln();
        let too_slow = policy.latency && slow.share() > 0.5 && slow.share() > base.slow_share;
        if too_bad || too_slow {
            record.proof = Default::default();
            record.looks = 0;
            // Still bad, which is nothing new; only its proof starts again.
            if record.standing == Standing::Anomalous {
                return None;
            }
            let evidence = if too_bad {
                errors_of(self.counts, base.errors)
            } else {
                slowness(self.latencies.as_ref(), base)
            };
            // A relapse costs the weight that was regained.
            let to = if record.is_mitigated() {
                Weight::of(MITIGATED)
            } else {
                record.weight
            };
            return Some(record.change_to(Standing::Anomalous, Why::Unlike(evidence), to));
        }
        // Not enough seen since the last judgement to let its weight grow.
        if errors.all < PROOF && record.looks < PROOF_LOOKS {
            return None;
        }
        let evidence = Evidence {
            requests: errors.all,
            own: errors.share(),
            ..errors_of(self.counts, base.errors)
        };
        let next = STEPS
            .iter()
            .map(|&share| Weight::of(share))
            .find(|&step| step > record.weight);
        let to = next.unwrap_or(Weight::FULL);
        let standing = if to == Weight::FULL {
            // What it did before must not count against it again.
            record.windows = Default::default();
            record.latencies = None;
            Standing::Normal
        } else {
            Standing::Recovering
        };
        Some(record.change_to(standing, Why::Alike(evidence), to))
    }
}

fn slowness(latencies: Option<&Latencies>, base: &Base) -> Evidence {
    Evidence {
        signal: Signal::Latency,
        own: latencies.and_then(Latencies::median).unwrap_or(0.0),
        peers: base.slow.map_or(0.0, |slow| slow.1),
        requests: latencies.map_or(0, Latencies::count),
    }
}

impl PeerRecord {
    fn change_to(&mut self, standing: Standing, why: Why, to: Weight) -> Change {
        let change = Change {
            anomalous: standing == Standing::Anomalous,
            why,
            from: self.weight,
            to,
        };
        self.standing = standing;
        self.weight = to;
        self.proof = Default::default();
        self.looks = 0;
        self.last = Some(change);
        change
    }
}
