//! What the agent knows about one node's session: its waiting line, the permits it holds, what was asked back.

use super::WorkId;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::{BTreeMap, VecDeque};

/// A permit of a line: who and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) id: WorkId,
    pub(super) since: Mono,
}

/// Permits asked back, to be revoked at `due`.
#[derive(Clone, Copy, Debug)]
struct Asked {
    due: Mono,
    count: u32,
    /// How often the session had spoken by then.
    spoken: u64,
}

/// One session. All operations cost O(log permits) unless they say otherwise.
#[derive(Debug)]
pub(super) struct Line {
    /// Requests that waited when it last told, less what it was granted since.
    pub(super) wants: u64,
    /// Permits ever granted.
    pub(super) granted: u64,
    /// Permits that are out, by the order in which they were granted.
    held: BTreeMap<u64, Held>,
    asked: VecDeque<Asked>,
    /// Asked back only to spread idle permits: never revoked for it.
    pub(super) soft: u32,
    /// Messages heard from it.
    spoken: u64,
    /// How many were heard when it was last asked for a sign of life.
    probed: Option<u64>,
    /// It left a recall unanswered: gets nothing until it speaks.
    pub(super) mute: bool,
    /// How long it may take to give back, before the rest is revoked.
    grace: Duration,
    /// When it last got a permit, and when one of its permits was last used; counted, not timed.
    pub(super) turn: u64,
    pub(super) used: u64,
    /// Permits about to be granted, while an answer is planned.
    pub(super) planned: u32,
}

impl Line {
    pub(super) fn new(grace: Duration) -> Line {
        Line {
            wants: 0,
            granted: 0,
            held: BTreeMap::new(),
            asked: VecDeque::new(),
            soft: 0,
            spoken: 0,
            probed: None,
            mute: false,
            grace,
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

    pub(super) fn put(&mut self, order: u64, held: Held) {
        self.held.insert(order, held);
        self.granted += 1;
        self.wants = self.wants.saturating_sub(1);
    }

    /// Takes a permit out because it was used: an earlier recall can then ask for fewer.
    pub(super) fn spend(&mut self, order: u64) -> Option<Held> {
        let held = self.held.remove(&order)?;
        let most = self.held.len() as u32;
        self.soft = self.soft.min(most);
        let mut over = (self.owes() + self.soft).saturating_sub(most);
        let softly = over.min(self.soft);
        self.soft -= softly;
        over -= softly;
        while over > 0
            && let Some(last) = self.asked.back_mut()
        {
            let less = over.min(last.count);
            last.count -= less;
            over -= less;
            if last.count == 0 {
                self.asked.pop_back();
            }
        }
        Some(held)
    }

    /// Takes a permit out because it came back: it answers the oldest recall.
    pub(super) fn give_back(&mut self, order: u64) -> Option<Held> {
        let held = self.held.remove(&order)?;
        if let Some(first) = self.asked.front_mut() {
            first.count -= 1;
            if first.count == 0 {
                self.asked.pop_front();
            }
        } else {
            self.soft = self.soft.saturating_sub(1);
        }
        Some(held)
    }

    /// Permits that could be asked back, beyond those asked already. A line that waits uses what it has at once:
    /// only what is older than `young` seems stuck. O(permits that old).
    pub(super) fn takeable(&self, now: Mono, young: Duration, regardless: bool) -> u32 {
        let all = if self.waits() && !regardless {
            self.held
                .values()
                .take_while(|held| held.since + young <= now)
                .count() as u32
        } else {
            self.held.len() as u32
        };
        all.saturating_sub(self.owes())
    }

    /// When `takeable` will next grow by itself. O(permits asked back).
    pub(super) fn ripens(&self, young: Duration) -> Mono {
        self.held
            .values()
            .nth(self.owes() as usize)
            .map_or(Mono::NEVER, |held| held.since + young)
    }

    /// Asks `count` back, to be revoked after the grace; says how many of them it has not been asked for yet.
    pub(super) fn ask(&mut self, now: Mono, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        let softly = self.soft.min(count);
        self.soft -= softly;
        self.asked.push_back(Asked {
            due: now + self.grace,
            count,
            spoken: self.spoken,
        });
        count - softly
    }

    /// When the next of what it owes is to be revoked.
    pub(super) fn due(&self) -> Mono {
        self.asked.front().map_or(Mono::NEVER, |asked| asked.due)
    }

    /// Takes out what it still owes at `now`, the oldest first, into `out`.
    pub(super) fn overdue(&mut self, now: Mono, out: &mut Vec<WorkId>) {
        while let Some(asked) = self.asked.front()
            && asked.due <= now
        {
            // Not a word since: it is stalled or dead, and what it says it wants is old news.
            self.mute |= asked.spoken == self.spoken;
            for _ in 0..asked.count {
                if let Some((_, held)) = self.held.pop_first() {
                    out.push(held.id);
                }
            }
            self.asked.pop_front();
        }
        self.soft = self
            .soft
            .min((self.held.len() as u32).saturating_sub(self.owes()));
    }

    /// A request came with a permit that had been revoked: the way is longer than we thought.
    pub(super) fn was_late(&mut self, most: Duration) {
        self.grace = (self.grace * 2).min(most);
    }

    /// A request came in time.
    pub(super) fn was_in_time(&mut self, least: Duration) {
        self.grace -= self.grace.saturating_sub(least) / 16;
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WorkId> + '_ {
        self.held.values().map(|held| held.id)
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
        assert_eq!(self.planned, 0, "planned and not granted: {self:?}");
    }
}
