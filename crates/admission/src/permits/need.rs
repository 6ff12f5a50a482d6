//! What an agent's nodes are in need of, and who is next.

use super::messages::Session;
use super::node_session::NodeSession;
use core::cmp::Reverse;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::BTreeMap;

/// A node with so many idle permits, and with half of an even share, is not short of any.
const ENOUGH: u32 = 8;

/// A node can spare what it has not used for so long.
const SPARE: Duration = Duration::from_millis(10);

/// Nodes where somebody waited so much earlier than at another one are treated alike: each tells of it at times of its own.
const NEARLY: Duration = Duration::from_millis(5);

/// What nodes are in need of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// Somebody waits for a permit.
    pub(super) waits: bool,
    /// How many wait at nodes that are not mute.
    pub(super) waiting: u64,
    /// How many permits are asked back and have not come.
    pub(super) owed: u32,
    /// Until when somebody counts as having waited just now; zero, if nobody does.
    pub(super) lined_until: Mono,
    /// Nodes that are not mute.
    speaking: u32,
    /// What the poorest of them holds.
    least: u32,
}

impl Need {
    /// O(sessions).
    pub(super) fn of(sessions: &BTreeMap<Session, NodeSession>, now: Mono) -> Need {
        let mut need = Need {
            least: u32::MAX,
            ..Need::default()
        };
        for node in sessions.values() {
            need.owed += node.owes();
            if node.mute {
                continue;
            }
            need.waiting += node.wants;
            need.waits |= node.wants > 0;
            need.lined_until = need.lined_until.max(node.lined_until);
            need.speaking += 1;
            need.least = need.least.min(node.held());
        }
        if need.lined_until <= now {
            need.lined_until = Mono::ZERO;
        }
        need
    }

    /// Whether this is where somebody waited last, or nearly last; holds for all nodes, if nobody waited just now. What nobody
    /// waits for at the moment is best kept there: where requests come as quickly as permits, some wait all the time, though
    /// each of them is served as soon as its node has told of it.
    pub(super) fn is_lately(self, node: &NodeSession) -> bool {
        node.lined_until + NEARLY >= self.lined_until
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

/// Who gets the next permit: the longest queue of those that speak, ties by turns, else the longest at all; if nobody waits, of
/// those where somebody waited last who has least, and of those the one that used one last (so that a busy node among idle ones
/// keeps its own). O(sessions).
pub(super) fn next_taker(
    sessions: &mut BTreeMap<Session, NodeSession>,
    need: Need,
) -> Option<&mut NodeSession> {
    let left = |node: &NodeSession| node.wants.saturating_sub(u64::from(node.planned));
    let longest = sessions
        .iter()
        .filter(|(_, node)| node.waits() && left(node) > 0)
        .max_by_key(|(_, node)| (!node.is_doubtful(), left(node), Reverse(node.turn)))
        .map(|(&session, _)| session);
    let chosen = longest.or_else(|| {
        sessions
            .iter()
            .filter(|(_, node)| !node.mute && need.is_lately(node))
            .min_by_key(|(_, node)| (node.held(), Reverse(node.used), node.turn))
            .map(|(&session, _)| session)
    });
    sessions.get_mut(&chosen?)
}

/// What can be moved to where somebody waited last: whatever others have not needed for a while. O(sessions x log permits).
pub(super) fn spare(sessions: &BTreeMap<Session, NodeSession>, need: Need, now: Mono) -> Vec<(Session, u32)> {
    let asks = |node: &NodeSession| !node.mute && node.soft == 0 && !need.is_lately(node);
    let others = sessions.iter().filter(|(_, node)| asks(node));
    others
        .map(|(&session, node)| (session, node.unneeded(now, SPARE)))
        .filter(|&(_, count)| count > 0)
        .collect()
}

/// Of those where somebody waited last, or of all: who has most, and half of what it has more than who has least, if they differ
/// by two or more. O(sessions).
pub(super) fn uneven(sessions: &BTreeMap<Session, NodeSession>, need: Need) -> Option<(Session, u32)> {
    let alike = || {
        let speaking = sessions.iter().filter(|(_, node)| !node.mute);
        speaking.filter(|(_, node)| need.is_lately(node))
    };
    let (&session, rich) = alike().max_by_key(|(_, node)| node.held())?;
    let poorest = alike().map(|(_, node)| node.held()).min()?;
    let count = (rich.held() - poorest) / 2;
    (count > 0 && rich.soft == 0 && rich.owes() == 0).then_some((session, count))
}
