//! The next step for an instance, from what is wanted and what is seen. Pure.

use forebay_control::fleet::{SeenInstance, SeenPhase, WantedPhase};

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start the wanted run.
    Start,
    Pause,
    Resume,
    Stop,
    Remove,
}

/// The wanted run and its phase; none for an instance that is in no list.
pub(crate) type Wanted = Option<(u32, WantedPhase)>;

/// Whether anything of the instance lives.
pub(crate) fn is_alive(phase: &SeenPhase) -> bool {
    !matches!(phase, SeenPhase::Stopped { .. } | SeenPhase::Failed { .. })
}

/// The next step; none if everything is as wanted, or on its way there.
pub(crate) fn next(wanted: Wanted, seen: Option<&SeenInstance>) -> Option<Step> {
    let alive = seen.is_some_and(|seen| is_alive(&seen.phase));
    let stopping = seen.is_some_and(|seen| seen.phase == SeenPhase::Stopping);
    let end = || (!stopping).then_some(Step::Stop);
    let (run, phase) = match wanted {
        None | Some((_, WantedPhase::Gone)) if alive => return end(),
        None | Some((_, WantedPhase::Gone)) => return seen.map(|_| Step::Remove),
        Some((_, WantedPhase::Stopped)) => return if alive { end() } else { None },
        Some(wanted) => wanted,
    };
    let Some(seen) = seen else {
        return Some(Step::Start);
    };
    if seen.run < run {
        return if alive { end() } else { Some(Step::Start) };
    }
    match (phase, &seen.phase) {
        (WantedPhase::Paused, SeenPhase::Running) => Some(Step::Pause),
        (WantedPhase::Running, SeenPhase::Paused) => Some(Step::Resume),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(run: u32, phase: SeenPhase) -> SeenInstance {
        SeenInstance { run, phase }
    }

    fn ended() -> SeenPhase {
        SeenPhase::Stopped { why: String::new() }
    }

    #[test]
    fn a_run_is_started_once() {
        let wanted = Some((2, WantedPhase::Running));
        assert_eq!(next(wanted, None), Some(Step::Start));
        assert_eq!(next(wanted, Some(&seen(1, ended()))), Some(Step::Start));
        assert_eq!(
            next(wanted, Some(&seen(2, ended()))),
            None,
            "what has ended stays ended"
        );
        let failed = SeenPhase::Failed { why: String::new() };
        assert_eq!(next(wanted, Some(&seen(2, failed))), None);
        assert_eq!(
            next(wanted, Some(&seen(3, ended()))),
            None,
            "an old list starts nothing"
        );
    }

    #[test]
    fn an_earlier_run_ends_before_the_next_begins() {
        let wanted = Some((2, WantedPhase::Running));
        assert_eq!(next(wanted, Some(&seen(1, SeenPhase::Running))), Some(Step::Stop));
        assert_eq!(next(wanted, Some(&seen(1, SeenPhase::Stopping))), None);
    }

    #[test]
    fn pausing_goes_both_ways() {
        let paused = Some((1, WantedPhase::Paused));
        assert_eq!(next(paused, None), Some(Step::Start));
        assert_eq!(next(paused, Some(&seen(1, SeenPhase::Starting))), None);
        assert_eq!(
            next(paused, Some(&seen(1, SeenPhase::Running))),
            Some(Step::Pause)
        );
        let running = Some((1, WantedPhase::Running));
        assert_eq!(
            next(running, Some(&seen(1, SeenPhase::Paused))),
            Some(Step::Resume)
        );
    }

    #[test]
    fn what_is_in_no_list_is_ended_and_removed() {
        for wanted in [None, Some((1, WantedPhase::Gone))] {
            assert_eq!(next(wanted, Some(&seen(1, SeenPhase::Running))), Some(Step::Stop));
            assert_eq!(next(wanted, Some(&seen(1, SeenPhase::Stopping))), None);
            assert_eq!(next(wanted, Some(&seen(1, ended()))), Some(Step::Remove));
            assert_eq!(next(wanted, None), None);
        }
    }

    #[test]
    fn what_is_stopped_keeps_what_it_wrote() {
        let wanted = Some((1, WantedPhase::Stopped));
        assert_eq!(next(wanted, Some(&seen(1, SeenPhase::Paused))), Some(Step::Stop));
        assert_eq!(next(wanted, Some(&seen(1, ended()))), None);
        assert_eq!(next(wanted, None), None);
    }
}
