//! Tables of what is due when and what is refused; looks; retries; and properties checked against naive models.

mod looks;
mod properties;
mod retries;
mod tables;

use crate::{Dialect, RawSchedule, Schedule, Window};
use forebay_units::Wall;
use jiff::Timestamp;

/// Parses an instant as tables write it.
fn at(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_microsecond())
}

/// Writes an instant as tables do.
fn written(at: Wall) -> String {
    Timestamp::from_microsecond(at.0).unwrap().to_string()
}

/// A schedule of EventBridge Scheduler created at an instant.
fn raw<'a>(expression: &'a str, zone: &'a str, since: &str) -> RawSchedule<'a> {
    RawSchedule {
        expression,
        dialect: Dialect::Scheduler,
        zone: Some(zone),
        since: at(since),
        start: None,
        end: None,
        window: Window::OFF,
    }
}

fn schedule(expression: &str, since: &str) -> Schedule {
    Schedule::new(&raw(expression, "UTC", since)).unwrap()
}
