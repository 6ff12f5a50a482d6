//! What an agent's nodes are in need of, and who is next.

use super::line::Line;
use super::words::Session;
use forebay_units::Mono;
use std::collections::BTreeMap;

/// A node with so many idle permits, and with half of an even share, is not short of any.
const ENOUGH: u32 = 8;

/// What nodes are in need of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// Somebody waits for a permit.
    pub(super) waits: bool,
    /// Until when somebody counts as having waited just now.
    pub(super) lined_until: Mono,
    /// Nodes that are not mute.
    speaking: u32,
    /// What the poorest of them holds.
    least: u32,
}

impl Need {
    /// O(sessions).
    pub(super) fn of(sessions: &BTreeMap<Session, Line>) -> Need {
        let mut need = Need {
            least: u32::MAX,
            ..Need::default()
        };
        for line in sessions.values().filter(|line| !line.mute) {
            need.waits |= line.wants > 0;
            need.lined_until = need.lined_until.max(line.lined_until);
            need.speaking += 1;
            need.least = need.least.min(line.held());
        }
        need
    }

    /// A node that holds fewer permits may run out of them before it is given more, when so many slots are `idle`: granted,
    /// or free.
    pub(super) fn enough(self, idle: u32) -> u32 {
        let share = idle.div_ceil(self.speaking.max(1));
        share.min(ENOUGH.max(share / 2))
    }

    /// Whether a node is short of permits.
    pub(super) fn is_short(self, idle: u32) -> bool {
        self.least < self.enough(idle)
    }
}

/// Who gets the next permit: the longest line of those that speak, ties by turns, else the longest at all; if nobody waits, who
/// has least, and of those the one that used one last (so that a busy node among idle ones keeps its own). O(sessions).
pub(super) fn next_taker(sessions: &mut BTreeMap<Session, Line>) -> Option<&mut Line> {
    let left = |line: &Line| line.wants.saturating_sub(u64::from(line.planned));
    let longest = sessions
        .iter()
        .filter(|(_, line)| line.waits() && left(line) > 0)
        .max_by_key(|(_, line)| (!line.is_doubtful(), left(line), core::cmp::Reverse(line.turn)))
        .map(|(&session, _)| session);
    let chosen = longest.or_else(|| {
        sessions
            .iter()
            .filter(|(_, line)| !line.mute)
            .min_by_key(|(_, line)| (line.held(), core::cmp::Reverse(line.used), line.turn))
            .map(|(&session, _)| session)
    });
    sessions.get_mut(&chosen?)
}
