//! The agent's record of one node's session: its waiting requests, the permits it holds and those recalled from it.

use super::timing::{GRACE, LONGEST_GRACE, YOUNG};
use super::work_id::WorkId;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// How long after a node's last report of waiting requests everything goes as quickly as if they still waited: the
/// permits on their way to that node may be too few.
const RECENT: Duration = Duration::from_millis(50);

/// The round trip to a node is taken to be the shortest of this many answers.
const ANSWERS: usize = 8;

/// A permit that is out: its place in the order of grants, its id, and when it was granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) order: u64,
    pub(super) id: WorkId,
    pub(super) since: Mono,
}

/// A recall: permits asked back, to be revoked at `due`.
#[derive(Clone, Copy, Debug)]
struct Asked {
    due: Mono,
    count: u32,
    /// Order of the last permit granted before the recall. A node that has answered may hold later ones without owing
    /// them.
    upto: u64,
    /// How many messages the session had sent by then.
    spoken: u64,
}

/// One session. All operations cost O(log permits) unless they say otherwise. Taking a permit out costs O(permits
/// granted after it, or before it), which are few: nodes use the newest and give back the oldest.
#[derive(Debug)]
pub(super) struct NodeSession {
    /// Requests that waited as of its last report, less the permits granted since.
    pub(super) wants: u64,
    /// Until shortly after its last report that requests wait.
    pub(super) lined_until: Mono,
    /// Permits ever granted.
    pub(super) granted: u64,
    /// Permits that are out, in the order in which they were granted.
    held: VecDeque<Held>,
    asked: VecDeque<Asked>,
    /// Permits recalled only to spread idle ones; never revoked.
    pub(super) soft: u32,
    /// Messages received from it.
    spoken: u64,
    /// `spoken` when it was last asked for a sign of life.
    probed: Option<u64>,
    /// It left a recall unanswered, and gets nothing until it speaks.
    pub(super) mute: bool,
    /// When the oldest unanswered recall was sent; below, the time that the last answers took.
    awaited: Option<Mono>,
    answers: [Duration; ANSWERS],
    /// When it last got a permit, and when one of its permits was last used, in turns, not in time.
    pub(super) turn: u64,
    pub(super) used: u64,
    /// Permits about to be granted, while grants are being planned.
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

    /// Permits that are out, and those about to be.
    pub(super) fn held(&self) -> u32 {
        self.held.len() as u32 + self.planned
    }

    /// Number of permits that it must give back or lose.
    pub(super) fn owes(&self) -> u32 {
        self.asked.iter().map(|asked| asked.count).sum()
    }

    /// Whether it has requests that could start with a permit, and speaks.
    pub(super) fn waits(&self) -> bool {
        self.wants > 0 && !self.mute
    }

    /// Whether it owes a sign of life. It may be stalled or dead, so nodes that speak are served first.
    pub(super) fn is_doubtful(&self) -> bool {
        self.probed == Some(self.spoken)
    }

    /// Records its report: `waiting` requests wait there, now that it has seen `seen` permits.
    pub(super) fn waiting(&mut self, now: Mono, waiting: u64, seen: u64) {
        self.speaks();
        if waiting > 0 {
            self.lined_until = now + RECENT;
        }
        // The node had not seen these permits when it counted its queue; each of them will serve one of the requests.
        let under_way = self.granted.saturating_sub(seen);
        // No queue is that long, and sums of what nodes report must not overflow.
        self.wants = waiting.saturating_sub(under_way).min(u64::from(u32::MAX));
    }

    /// Records its answer to a recall.
    pub(super) fn answers(&mut self, now: Mono) {
        self.speaks();
        if let Some(sent) = self.awaited.take() {
            self.answers.rotate_left(1);
            self.answers[ANSWERS - 1] = now.since(sent);
        }
    }

    /// Records that a recall is sent.
    pub(super) fn is_asked(&mut self, now: Mono) {
        self.awaited.get_or_insert(now);
    }

    /// How long it may take to give permits back before they are revoked. Over a long network path every answer takes
    /// long; a node that stalls takes long once. So the quickest answer decides.
    fn grace(&self) -> Duration {
        let quickest = self.answers.into_iter().min().unwrap_or_default();
        (quickest * 3 / 2).clamp(GRACE, LONGEST_GRACE)
    }

    /// Marks that it is asked for a sign of life. Returns false if it owes one already, so that nothing need be sent.
    pub(super) fn probe(&mut self) -> bool {
        let asks = !self.is_doubtful();
        self.probed = Some(self.spoken);
        asks
    }

    pub(super) fn speaks(&mut self) {
        self.spoken += 1;
        self.mute = false;
    }

    /// Adds a permit, newer than all that it holds.
    pub(super) fn put(&mut self, held: Held) {
        self.held.push_back(held);
        self.granted += 1;
        self.wants = self.wants.saturating_sub(1);
    }

    /// Takes out a permit because it was used. Earlier recalls can then ask for fewer.
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

    /// Number of permits granted no later than this one.
    fn upto(&self, order: u64) -> u32 {
        self.held.partition_point(|held| held.order <= order) as u32
    }

    /// Lowers each recall to the permits that it can still mean. O(recalls x log permits), and nothing without recalls.
    fn trim(&mut self) {
        let mut owed = 0;
        let mut recalls = core::mem::take(&mut self.asked);
        for asked in &mut recalls {
            // Permits granted before the recall, less those that earlier recalls claim already.
            asked.count = asked.count.min(self.upto(asked.upto).saturating_sub(owed));
            owed += asked.count;
        }
        recalls.retain(|asked| asked.count > 0);
        self.asked = recalls;
        self.soft = self.soft.min((self.held.len() as u32).saturating_sub(owed));
    }

    /// Takes out a permit because it came back. It answers the oldest recall.
    pub(super) fn give_back(&mut self, order: u64) -> Option<Held> {
        let held = self.take(order)?;
        if let Some(first) = self.asked.front_mut() {
            first.count -= 1;
            if first.count == 0 {
                self.asked.pop_front();
            }
        } else {
            // With no other recall open, it answers a soft one.
            self.soft = self.soft.saturating_sub(1);
        }
        self.trim();
        Some(held)
    }

    /// Permits that could be recalled beyond those recalled already. A node with waiting requests uses its permits at
    /// once, so only those older than `young` seem stuck. O(permits that old).
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

    /// Permits not needed for the time `unused`, less those recalled: nodes use the newest first, so the oldest tell.
    /// O(log permits).
    pub(super) fn unneeded(&self, now: Mono, unused: Duration) -> u32 {
        let old = self.held.partition_point(|held| held.since + unused <= now) as u32;
        old.saturating_sub(self.owes())
    }

    /// When `takeable` will next grow by itself. O(permits recalled).
    pub(super) fn ripens(&self, young: Duration) -> Mono {
        self.held
            .get(self.owes() as usize)
            .map_or(Mono::NEVER, |held| held.since + young)
    }

    /// Recalls `count` permits, to be revoked after the grace. Soft recalls do not count towards it: the node must be
    /// told of everything that may be revoked. By the oldest permits that it then gives back, or no longer has, it
    /// never holds a void one.
    pub(super) fn ask(&mut self, now: Mono, count: u32) {
        // A node with waiting requests would have used the permit when it came, so the time since counts as part of the
        // grace.
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

    /// When the next recall ends in revocation.
    pub(super) fn due(&self) -> Mono {
        self.asked.front().map_or(Mono::NEVER, |asked| asked.due)
    }

    /// Moves the permits that it still owes at `now` into `out`, the oldest first. A node that has sent nothing since
    /// the recall is stalled or dead: all its permits are taken, or each one would cost other nodes a grace. Returns
    /// how many of those were not recalled.
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
                // Its last report of waiting requests is out of date, too.
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
