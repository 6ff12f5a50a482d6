//! Lifecycle hooks: how long an instance waits for one, and what comes of it.

use core::time::Duration;
use forebay_units::Wall;

/// The least time between two heartbeats (AWS's constraint).
pub const HEARTBEAT_LEAST: Duration = Duration::from_secs(30);
/// The longest time between two heartbeats (AWS's constraint).
pub const HEARTBEAT_MOST: Duration = Duration::from_secs(7_200);
/// The time between two heartbeats if none is said (AWS's default).
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(3_600);
/// No wait is longer, however often it is told to go on (AWS's limit): this, or so many heartbeats, whichever is less.
pub const WAIT_MOST: Duration = Duration::from_secs(48 * 3_600);
/// See [`WAIT_MOST`].
pub const HEARTBEATS_MOST: u32 = 100;

/// What a hook comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// The instance goes on to what it was about to do.
    Continue,
    /// An instance that was launched is terminated; one that was to be terminated is, without the hooks that are left.
    Abandon,
}

/// A hook's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The longest time between two heartbeats.
    pub heartbeat: Duration,
    /// What comes of it when nobody says.
    pub default_result: HookResult,
}

/// An instance that waits for a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Since when.
    pub began: Wall,
    /// When somebody last said that it should go on waiting; when it began, if nobody did.
    pub last_heartbeat: Wall,
    /// What somebody said that it comes to.
    pub completed: Option<HookResult>,
}

/// Where a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitVerdict {
    /// It goes on, at most until then.
    WaitUntil(Wall),
    /// Somebody said so.
    Completed(HookResult),
    /// Nobody said anything in time: the hook's default result.
    TimedOut(HookResult),
}

impl Hook {
    /// Whether its heartbeat is one that AWS accepts.
    pub fn is_heartbeat_valid(heartbeat: Duration) -> bool {
        (HEARTBEAT_LEAST..=HEARTBEAT_MOST).contains(&heartbeat)
    }

    /// The longest wait, however often a heartbeat comes.
    pub fn longest(&self) -> Duration {
        WAIT_MOST.min(self.heartbeat * HEARTBEATS_MOST)
    }

    /// When a wait ends if nobody says anything more. Heartbeats put that off, up to the longest wait.
    pub fn deadline(&self, wait: &Wait) -> Wall {
        (wait.last_heartbeat + self.heartbeat).min(wait.began + self.longest())
    }

    /// Where a wait stands now.
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
            // 48 h come before 100 heartbeats of two hours.
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
            // What was said in time holds, however late it is looked at.
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
        /// However often somebody says to go on, no wait is longer than it may be, and none ends before its first heartbeat is due.
        #[test]
        fn no_wait_is_too_long(heartbeat in 30_u64..=7_200, last in 0_u64..1_000_000) {
            let wait = Wait { began: START, last_heartbeat: after(last), completed: None };
            let deadline = hook(heartbeat).deadline(&wait);
            prop_assert!(deadline >= after(heartbeat));
            prop_assert!(deadline <= after(heartbeat * 100) && deadline <= after(172_800));
        }
    }
}
