//! Simple scaling: one adjustment, and then a cooldown in which nothing is done.

use crate::adjustment::Adjustment;
use crate::group::{Group, Proposal, Why};
use core::time::Duration;

/// A simple scaling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simple {
    /// How it adjusts.
    pub adjustment: Adjustment,
    /// The adjustment's number.
    pub by: i32,
    /// Time after an activity in which nothing is done.
    pub cooldown: Duration,
}

/// The state of the group's last scaling activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastActivity {
    /// There was none.
    Never,
    /// It is in progress.
    InProgress,
    /// It ended this long ago: the last instance was launched and its hook completed, or it had left its target groups.
    Ended(Duration),
}

impl Simple {
    /// The proposal because of an alarm. Unlike a step policy, it waits for activities in progress and for its
    /// cooldown.
    pub fn propose(&self, group: &Group, last: LastActivity) -> Proposal {
        let stays = |why| Proposal {
            desired: group.desired,
            why,
        };
        match last {
            LastActivity::InProgress => return stays(Why::ActivityInProgress),
            LastActivity::Ended(ago) if ago < self.cooldown => return stays(Why::Cooldown),
            LastActivity::Ended(_) | LastActivity::Never => {}
        }
        let wanted = self.adjustment.of(group.desired, self.by);
        if wanted == group.desired {
            return stays(Why::Enough);
        }
        group.propose(wanted, Why::Adjusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adjustment::AdjustmentType::ChangeInCapacity;

    #[test]
    fn it_waits_for_what_goes_on_and_for_its_cooldown() {
        let simple = Simple {
            adjustment: Adjustment {
                kind: ChangeInCapacity,
                minimum_magnitude: None,
            },
            by: 2,
            cooldown: Duration::from_secs(300),
        };
        let group = Group {
            minimum: 1,
            maximum: 5,
            desired: 2,
            in_service: 2,
            warming: 0,
        };
        for (last, desired, why) in [
            (LastActivity::Never, 4, Why::Adjusted),
            (LastActivity::InProgress, 2, Why::ActivityInProgress),
            (LastActivity::Ended(Duration::from_secs(299)), 2, Why::Cooldown),
            (LastActivity::Ended(Duration::from_secs(300)), 4, Why::Adjusted),
        ] {
            assert_eq!(
                simple.propose(&group, last),
                Proposal { desired, why },
                "{last:?}"
            );
        }
        let full = Group { desired: 4, ..group };
        let proposal = simple.propose(&full, LastActivity::Never);
        assert_eq!((proposal.desired, proposal.why), (5, Why::AtMaximum));
    }
}
