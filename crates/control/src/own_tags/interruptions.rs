//! The tag that announces a Spot interruption, to try out how a fleet copes with one. AWS's Fault Injection Service can
//! do the same.

use crate::settings::holder::Holder;
use crate::settings::setting::{Setting, apply_all, put};
use crate::settings::values::Values::Form;
use core::time::Duration;

/// The longest notice, in seconds.
const LONGEST: u64 = 3600;

/// The tags of a Spot Instance.
pub(crate) const TAGS: &[Setting<Option<Duration>>] = &[Setting::new(
    "forebay:spot-interruption",
    &[Holder::Instance],
    (
        Form("a number of seconds from 0 to 3600; AWS gives 120"),
        "not interrupted",
    ),
    "the Spot Instance gets an interruption notice, and is interrupted this many seconds after the tag was set",
    |notice, value| {
        let seconds: u64 = value.text()?.parse().ok()?;
        let is_short = seconds <= LONGEST;
        put(notice, is_short.then(|| Some(Duration::from_secs(seconds))))
    },
)];

/// The notice that this tag gives its instance, if it is the interruption tag.
pub(crate) fn notice(key: &str, value: &str) -> Option<Duration> {
    let mut notice = None;
    apply_all(TAGS, &mut notice, |known| (known == key).then_some(value));
    notice
}
