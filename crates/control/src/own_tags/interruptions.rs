//! The tag by which a Spot Instance is told that it is taken away, as AWS's Fault Injection Service does it for those who try it out.

use core::time::Duration;

/// Of a Spot Instance: seconds from the tag to the end.
const INTERRUPT: &str = "forebay:spot-interruption";

/// The tags of an instance.
pub(crate) const NAMES: &[&str] = &[INTERRUPT];

/// The longest notice.
const LONGEST: u64 = 3600;

/// After which time an instance with this tag is taken away.
pub(crate) fn notice(key: &str, value: &str) -> Option<Duration> {
    if key != INTERRUPT {
        return None;
    }
    let seconds: u64 = value.parse().ok()?;
    (seconds <= LONGEST).then(|| Duration::from_secs(seconds))
}

/// What the value of a tag of ours must be, if it is not.
pub(crate) fn wanted(key: &str, value: &str) -> Option<&'static str> {
    let is_wrong = key == INTERRUPT && notice(key, value).is_none();
    is_wrong.then_some("a number of seconds from 0 to 3600; AWS gives 120")
}
