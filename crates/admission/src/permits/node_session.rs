//! What the agent knows about one node's session: its waiting requests, the permits it holds, what was asked back.

use super::timing::{GRACE, LONGEST_GRACE, YOUNG};
use super::work_id::WorkId;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// For so long after a node has said that requests wait there, everything goes as quickly as if they still did: what is on
/// its way to that node may be too little.
const RECENT: Duration = Duration::from_millis(50);

/// A way is as long as the quickest of so many answers.
const ANSWERS: usize = 8;

/// A permit of a queue: which, in what order it was granted, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) order: u64,
    pub(super) id: WorkId,
    pub(super) since: Mono,
}

/// Permits asked back, to be revoked at `due`.
#[derive(Clone, Copy, Debug)]
struct Asked {
    due: Mono,
    count: u32,
    /// The last permit granted before: a node that has answered can hold later ones unused without owing them.
    upto: u64,
    /// How often the session had spoken by then.
    spoken: u64,
}

/// One session. All operations cost O(log permits) unless they say otherwise; to take a permit out costs O(permits granted
/// after it, or before it): few, because nodes use the newest and give back the oldest.
#[derive(Debug)]
pub(super) struct NodeSession {
    /// Requests that waited when it last told, less what it was granted since.
    pub(super) wants: u64,
    /// Some time after it last told that any waited.
    pub(super) lined_until: Mono,
    /// Permits ever granted.
    pub(super) granted: u64,
    /// Permits that are out, in the order in which they were granted.
    held: VecDeque<Held>,
    asked: VecDeque<Asked>,
    /// Asked back only to spread idle permits: never revoked for it.
    pub(super) soft: u32,
    /// Messages heard from it.
    spoken: u64,
    /// How many were heard when it was last asked for a sign of life.
    probed: Option<u64>,
    /// It left a recall unanswered: gets nothing until it speaks.
    pub(super) mute: bool,
    /// When the oldest recall that is not answered was sent, and what the last answers took.
    awaited: Option<Mono>,
    answers: [Duration; ANSWERS],
    /// When it last got a permit, and when one of its permits was last used; counted, not timed.
    pub(super) turn: u64,
    pub(super) used: u64,
    /// Permits about to be granted, while an answer is planned.
    pub(super) planned: u32,
}

impl NodeSession {
    pub(super) fn new() -> NodeSession {
        NodeSession {
            wants: 0,
            lined_until: Mono::ZERO,
            granted: 0,
            held: VecDeque::new(),
            asked: VecDeque::new(),
            soft: 0,
            spoken: 0,
            probed: None,
            mute: false,
            awaited: None,
            answers: [Duration::ZERO; ANSWERS],
            turn: 0,
            used: 0,
            planned: 0,
        }
    }

    /// Permits that are out and those about to be.
    pub(super) fn held(&self) -> u32 {
        self.held.len() as u32 + self.planned
    }

    /// How many it must give back or lose.
    pub(super) fn owes(&self) -> u32 {
        self.asked.iter().map(|asked| asked.count).sum()
    }

    /// Whether it has a request that could start with a permit.
    pub(super) fn waits(&self) -> bool {
        self.wants > 0 && !self.mute
    }

    /// Whether it owes a sign of life: perhaps it is stalled or dead, so those who speak go before it.
    pub(super) fn is_doubtful(&self) -> bool {
        self.probed == Some(self.spoken)
    }

    /// So many requests wait there, it says, now that it has seen so many permits.
    pub(super) fn waiting(&mut self, now: Mono, waiting: u64, seen: u64) {
        self.speaks();
        if waiting > 0 {
            self.lined_until = now + RECENT;
        }
        let under_way = self.granted.saturating_sub(seen);
        // No queue is longer; sums of what nodes say must not overflow.
        self.wants = waiting.saturating_sub(under_way).min(u64::from(u32::MAX));
    }

    /// It answers a recall.
    pub(super) fn answers(&mut self, now: Mono) {
        self.speaks();
        if let Some(sent) = self.awaited.take() {
            self.answers.rotate_left(1);
            self.answers[ANSWERS - 1] = now.since(sent);
        }
    }

    /// A recall is sent.
    pub(super) fn is_asked(&mut self, now: Mono) {
        self.awaited.get_or_insert(now);
    }

    /// How long it may take to give back, before the rest is revoked. Over a long way every answer takes long; one that is
    /// stalled takes long once.
    fn grace(&self) -> Duration {
        let quickest = self.answers.into_iter().min().unwrap_or_default();
        (quickest * 3 / 2).clamp(GRACE, LONGEST_GRACE)
    }

    /// Asks for a sign of life, unless it owes one: then there is nothing to send.
    pub(super) fn probe(&mut self) -> bool {
        let asks = !self.is_doubtful();
        self.probed = Some(self.spoken);
        asks
    }

    pub(super) fn speaks(&mut self) {
        self.spoken += 1;
        self.mute = false;
    }

    /// It gets a permit, later than all that it has.
    pub(super) fn put(&mut self, held: Held) {
        self.held.push_back(held);
        self.granted += 1;
        self.wants = self.wants.saturating_sub(1);
    }

    /// Takes a permit out because it was used: an earlier recall can then ask for fewer.
    pub(super) fn spend(&mut self, order: u64) -> Option<Held> {
        let held = self.take(order)?;
        self.trim();
        Some(held)
    }

    fn take(&mut self, order: u64) -> Option<Held> {
        // Nodes use the newest first.
        if let Some(newest) = self.held.pop_back_if(|newest| newest.order == order) {
            return Some(newest);
        }
        let at = self.held.binary_search_by_key(&order, |held| held.order).ok()?;
        self.held.remove(at)
    }

    /// How many were granted no later than this one.
    fn upto(&self, order: u64) -> u32 {
        self.held.partition_point(|held| held.order <= order) as u32
    }

    /// No recall asks for more than is left of what it could mean. O(recalls x log permits), and nothing without recalls.
    fn trim(&mut self) {
        let mut owed = 0;
        let mut recalls = core::mem::take(&mut self.asked);
        for asked in &mut recalls {
            asked.count = asked.count.min(self.upto(asked.upto).saturating_sub(owed));
            owed += asked.count;
        }
        recalls.retain(|asked| asked.count > 0);
        self.asked = recalls;
        self.soft = self.soft.min((self.held.len() as u32).saturating_sub(owed));
    }

    /// Takes a permit out because it came back: it answers the oldest recall.
    pub(super) fn give_back(&mut self, order: u64) -> Option<Held> {
        let held = self.take(order)?;
        if let Some(first) = self.asked.front_mut() {
            first.count -= 1;
            if first.count == 0 {
                self.asked.pop_front();
            }
        } else {
            self.soft = self.soft.saturating_sub(1);
        }
        self.trim();
        Some(held)
    }

    /// Permits that could be asked back, beyond those asked already. A queue that waits uses what it has at once:
    /// only what is older than `young` seems stuck. O(permits that old).
    pub(super) fn takeable(&self, now: Mono, young: Duration, regardless: bool) -> u32 {
        let all = if self.waits() && !regardless {
            self.held
                .iter()
                .take_while(|held| held.since + young <= now)
                .count() as u32
        } else {
            self.held.len() as u32
        };
        all.saturating_sub(self.owes())
    }

    /// Permits that it has not needed for so long: nodes use the newest first. Those asked back do not count. O(log permits).
    pub(super) fn unneeded(&self, now: Mono, unused: Duration) -> u32 {
        let old = self.held.partition_point(|held| held.since + unused <= now) as u32;
        old.saturating_sub(self.owes())
    }

    /// When `takeable` will next grow by itself. O(permits asked back).
    pub(super) fn ripens(&self, young: Duration) -> Mono {
        self.held
            .get(self.owes() as usize)
            .map_or(Mono::NEVER, |held| held.since + young)
    }

    /// Asks `count` back, to be revoked after the grace. What was asked back softly does not count: the node must be told of
    /// whatever may be revoked, and by the oldest that it then gives back, or has not, it can hold nothing that is void.
    pub(super) fn ask(&mut self, now: Mono, count: u32) {
        // Who waits would have used it when it came: that it did not began to count then.
        let counted = if self.waits() { YOUNG } else { Duration::ZERO };
        if count > 0 {
            self.asked.push_back(Asked {
                due: now + (self.grace() - counted),
                count,
                upto: self.held.back().map_or(0, |last| last.order),
                spoken: self.spoken,
            });
        }
        self.trim();
    }

    /// When the next of what it owes is to be revoked.
    pub(super) fn due(&self) -> Mono {
        self.asked.front().map_or(Mono::NEVER, |asked| asked.due)
    }

    /// Takes out what it still owes at `now`, the oldest first, into `out`. If it has not said a word since it was asked, it
    /// is stalled or dead: then all that it holds is taken, or each would cost others a grace. Returns how many of those it
    /// was not asked for.
    pub(super) fn overdue(&mut self, now: Mono, out: &mut Vec<WorkId>) -> u32 {
        let mut unasked = 0;
        while let Some(&asked) = self.asked.front()
            && asked.due <= now
        {
            self.asked.pop_front();
            for _ in 0..asked.count {
                let oldest = self.held.pop_front_if(|oldest| oldest.order <= asked.upto);
                out.extend(oldest.map(|oldest| oldest.id));
            }
            if asked.spoken == self.spoken {
                // What it says it wants is old news, too.
                self.mute = true;
                unasked += (self.held.len() as u32).saturating_sub(self.owes());
                out.extend(self.held.drain(..).map(|held| held.id));
                self.asked.clear();
            }
        }
        self.trim();
        unasked
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WorkId> + '_ {
        self.held.iter().map(|held| held.id)
    }

    /// Panics if its parts disagree.
    pub(super) fn check_invariants(&self) {
        assert!(
            self.owes() + self.soft <= self.held.len() as u32,
            "more asked back than held: {self:?}"
        );
        assert!(
            self.asked.iter().all(|asked| asked.count > 0),
            "empty recall: {self:?}"
        );
        assert!(self.held.iter().is_sorted_by(|one, next| one.order < next.order));
        assert_eq!(self.planned, 0, "planned and not granted: {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_way_lengthens_the_grace_and_a_stall_does_not() {
        let mut node = NodeSession::new();
        let mut now = Mono::ZERO;
        let mut grace = |ms: u64| {
            node.is_asked(now);
            node.is_asked(now + Duration::from_millis(1));
            now = now + Duration::from_millis(ms);
            node.answers(now);
            node.grace().as_millis()
        };
        for ms in [300, 300, 2, 300, 300, 300, 300, 300, 300, 300, 2] {
            assert_eq!(grace(ms), 20);
        }
        let graces = [30, 40, 30, 40, 30, 40, 30, 40, 900, 900].map(&mut grace);
        assert_eq!(graces, [20, 20, 20, 20, 20, 20, 20, 45, 45, 45]);
        assert_eq!([900; 8].map(&mut grace)[7], 320);
    }
}
