//! Lifecycle hooks: how long an instance waits for one, and the result.

use core::time::Duration;
use forebay_units::Wall;

/// The least time between two heartbeats (AWS's constraint).
pub const HEARTBEAT_LEAST: Duration = Duration::from_secs(30);
/// The longest time between two heartbeats (AWS's constraint).
pub const HEARTBEAT_MOST: Duration = Duration::from_secs(7_200);
/// The time between two heartbeats if none is given (AWS's default).
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(3_600);
/// The longest wait, whatever the number of heartbeats (AWS's limit): the lesser of this and [`HEARTBEATS_MOST`]
/// heartbeats.
pub const WAIT_MOST: Duration = Duration::from_secs(48 * 3_600);
/// See [`WAIT_MOST`].
pub const HEARTBEATS_MOST: u32 = 100;

/// The result of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// The instance proceeds.
    Continue,
    /// A launched instance is terminated; a terminating one is terminated without its remaining hooks.
    Abandon,
}

/// A hook's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The longest time between two heartbeats.
    pub heartbeat: Duration,
    /// The result if nobody completes it in time.
    pub default_result: HookResult,
}

/// An instance that waits for a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When the wait began.
    pub began: Wall,
    /// The last heartbeat, or the beginning if there was none.
    pub last_heartbeat: Wall,
    /// The result, once somebody has completed it.
    pub completed: Option<HookResult>,
}

/// The state of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitVerdict {
    /// It continues, at most until then.
    WaitUntil(Wall),
    /// Somebody completed it.
    Completed(HookResult),
    /// Nobody completed it in time: the hook's default result.
    TimedOut(HookResult),
}

impl Hook {
    /// Whether AWS accepts this heartbeat timeout.
    pub fn is_heartbeat_valid(heartbeat: Duration) -> bool {
        (HEARTBEAT_LEAST..=HEARTBEAT_MOST).contains(&heartbeat)
    }

    /// The longest wait, however many heartbeats come.
    pub fn longest(&self) -> Duration {
        WAIT_MOST.min(self.heartbeat * HEARTBEATS_MOST)
    }

    /// When a wait ends without further heartbeats. Each heartbeat postpones it, up to the longest wait.
    pub fn deadline(&self, wait: &Wait) -> Wall {
        (wait.last_heartbeat + self.heartbeat).min(wait.began + self.longest())
    }

    /// The state of a wait now.
    pub fn verdict(&self, wait: &Wait, now: Wall) -> WaitVerdict {
        if let Some(result) = wait.completed {
            return WaitVerdict::Completed(result);
        }
        match self.deadline(wait) {
            deadline if now < deadline => WaitVerdict::WaitUntil(deadline),
            _ => WaitVerdict::TimedOut(self.default_result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HookResult::*;
    use proptest::prelude::*;

    const START: Wall = Wall::from_seconds(1_000_000);

    fn hook(heartbeat: u64) -> Hook {
        Hook {
            heartbeat: Duration::from_secs(heartbeat),
            default_result: Abandon,
        }
    }

    fn after(seconds: u64) -> Wall {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_wait_ends_after_a_heartbeat_and_heartbeats_put_that_off_to_a_limit() {
        // Heartbeat timeout, last heartbeat, deadline; all in seconds since the wait began.
        for (heartbeat, last, deadline) in [
            (3_600, 0, 3_600),
            (3_600, 3_000, 6_600),
            // 100 heartbeats of 30 s.
            (30, 2_960, 2_990),
            (30, 2_990, 3_000),
            // 48 h are over before 100 heartbeats of two hours.
            (7_200, 172_000, 172_800),
            // 100 heartbeats of 1,728 s are 48 h.
            (1_728, 172_790, 172_800),
            (1_727, 172_690, 172_700),
        ] {
            let wait = Wait {
                began: START,
                last_heartbeat: after(last),
                completed: None,
            };
            let came = hook(heartbeat).deadline(&wait);
            assert_eq!(came, after(deadline), "{heartbeat} {last}");
        }
    }

    #[test]
    fn a_wait_comes_to_what_was_said_or_to_the_default() {
        let waits = |completed| Wait {
            began: START,
            last_heartbeat: START,
            completed,
        };
        let patient = Hook {
            default_result: Continue,
            ..hook(60)
        };
        for (hook, completed, now, wanted) in [
            (hook(60), None, 59, WaitVerdict::WaitUntil(after(60))),
            (hook(60), None, 60, WaitVerdict::TimedOut(Abandon)),
            (patient, None, 60, WaitVerdict::TimedOut(Continue)),
            (patient, Some(Abandon), 0, WaitVerdict::Completed(Abandon)),
            // A completion in time holds, however late it is looked at.
            (patient, Some(Abandon), 90, WaitVerdict::Completed(Abandon)),
        ] {
            assert_eq!(hook.verdict(&waits(completed), after(now)), wanted);
        }
    }

    #[test]
    fn heartbeats_have_bounds() {
        for (seconds, is_valid) in [(29, false), (30, true), (7_200, true), (7_201, false)] {
            assert_eq!(Hook::is_heartbeat_valid(Duration::from_secs(seconds)), is_valid);
        }
    }

    proptest! {
        /// However many heartbeats come, no wait is too long, and none ends before its first heartbeat is due.
        #[test]
        fn no_wait_is_too_long(heartbeat in 30_u64..=7_200, last in 0_u64..1_000_000) {
            let wait = Wait { began: START, last_heartbeat: after(last), completed: None };
            let deadline = hook(heartbeat).deadline(&wait);
            prop_assert!(deadline >= after(heartbeat));
            prop_assert!(deadline <= after(heartbeat * 100) && deadline <= after(172_800));
        }
    }
}
