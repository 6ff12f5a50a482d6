//! The needs of an agent's nodes: which node gets the next permit, and which nodes can spare some.

use super::messages::Session;
use super::node_session::NodeSession;
use core::cmp::Reverse;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::BTreeMap;

/// A node that holds this many idle permits, and at least half of an even share, is not short.
const ENOUGH: u32 = 8;

/// A node can spare permits that it has not used for this long.
const SPARE: Duration = Duration::from_millis(10);

/// Nodes whose last waits are less than this apart count as equally recent, because each reports at times of its own.
const NEARLY: Duration = Duration::from_millis(5);

/// The needs of all nodes taken together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// Whether any request waits for a permit.
    pub(super) waits: bool,
    /// Requests that wait at nodes that are not mute.
    pub(super) waiting: u64,
    /// Permits that were recalled and have not come back.
    pub(super) owed: u32,
    /// Until when requests count as having waited just now; zero if none did.
    pub(super) lined_until: Mono,
    /// Number of nodes that are not mute.
    speaking: u32,
    /// Permits that the poorest of them holds.
    least: u32,
}

impl Need {
    /// Adds up the needs of all sessions. O(sessions).
    pub(super) fn of(sessions: &BTreeMap<Session, NodeSession>, now: Mono) -> Need {
        let mut need = Need {
            least: u32::MAX,
            ..Need::default()
        };
        for node in sessions.values() {
            need.owed += node.owes();
            // Its last report is out of date, and it gets nothing until it speaks.
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

    /// Whether this node is where requests waited last or nearly last; true of all nodes if none waited just now. Idle
    /// permits are best kept there: where requests come as quickly as permits, some wait all the time, though each is
    /// served as soon as its node has reported it.
    pub(super) fn is_lately(self, node: &NodeSession) -> bool {
        node.lined_until + NEARLY >= self.lined_until
    }

    /// The permits that a node must hold so as not to run out before it is granted more, with `idle` slots granted or
    /// free.
    pub(super) fn enough(self, idle: u32) -> u32 {
        let share = idle.div_ceil(self.speaking.max(1));
        share.min(ENOUGH.max(share / 2))
    }

    /// Whether any node is short of permits.
    pub(super) fn is_short(self, idle: u32) -> bool {
        self.least < self.enough(idle)
    }
}

/// The node that gets the next permit. First the longest queue of a node that answers, with ties broken by turns, then
/// the longest queue of a doubtful one. If nobody waits: among the nodes where requests waited last, the one that holds
/// least, and of those the one that used a permit last (so that a busy node among idle ones keeps its own).
/// O(sessions).
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

/// The permits that can move to the node where requests waited last: those that other nodes have not needed for a
/// while. O(sessions x log permits).
pub(super) fn spare(sessions: &BTreeMap<Session, NodeSession>, need: Need, now: Mono) -> Vec<(Session, u32)> {
    let asks = |node: &NodeSession| !node.mute && node.soft == 0 && !need.is_lately(node);
    let others = sessions.iter().filter(|(_, node)| asks(node));
    others
        .map(|(&session, node)| (session, node.unneeded(now, SPARE)))
        .filter(|&(_, count)| count > 0)
        .collect()
}

/// Among the nodes where requests waited last, or among all: the one that holds most, and half of its lead over the one
/// that holds least, if that lead is two or more. O(sessions).
pub(super) fn uneven(sessions: &BTreeMap<Session, NodeSession>, need: Need) -> Option<(Session, u32)> {
    let alike = || {
        let speaking = sessions.iter().filter(|(_, node)| !node.mute);
        speaking.filter(|(_, node)| need.is_lately(node))
    };
    let (&session, rich) = alike().max_by_key(|(_, node)| node.held())?;
    let poorest = alike().map(|(_, node)| node.held()).min()?;
    let count = (rich.held() - poorest) / 2;
    // Not while an earlier recall is unanswered: its permits still count as held.
    (count > 0 && rich.soft == 0 && rich.owes() == 0).then_some((session, count))
}
