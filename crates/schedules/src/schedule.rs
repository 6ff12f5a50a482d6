//! A schedule: an expression in a time zone, between two dates.

use crate::expression::Expression;
use crate::expression_error::{Dialect, ExpressionError};
use crate::window::Window;
use forebay_units::Wall;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Why a schedule is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression is not valid.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The time zone does not exist.
    #[error("'{0}' is not the name of an IANA time zone")]
    Zone(String),
    /// The end date is not after the start date.
    #[error("a schedule's end date must be later than its start date")]
    Dates,
}

/// A schedule as given by a caller.
#[derive(Clone, Copy, Debug)]
pub struct RawSchedule<'a> {
    /// `ScheduleExpression`.
    pub expression: &'a str,
    /// The dialect of the expression. A rule's zone is UTC, whatever `zone` says.
    pub dialect: Dialect,
    /// `ScheduleExpressionTimezone`; UTC if there is none.
    pub zone: Option<&'a str>,
    /// When it was created, or enabled with this expression. Nothing is due before, and a rate without a start date
    /// counts from here.
    pub since: Wall,
    /// `StartDate`: a rate counts from here, even if it lies before `since`. One-time schedules ignore it and `end`.
    pub start: Option<Wall>,
    /// `EndDate`.
    pub end: Option<Wall>,
    /// `FlexibleTimeWindow`.
    pub window: Window,
}

/// When something runs. Scheduled times are at least a minute apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    expression: Expression,
    zone: TimeZone,
    /// The lower bound of scheduled times, in whole seconds.
    first: Wall,
    /// What a rate counts from.
    anchor: Wall,
    /// The upper bound of scheduled times.
    last: Wall,
    /// Whether a rate's first run is one interval after `anchor` (rules) instead of at `anchor` itself.
    skips_first: bool,
    window: Window,
}

impl Schedule {
    /// Validates a schedule.
    ///
    /// # Errors
    /// If its expression, its zone or its dates are not valid.
    pub fn new(raw: &RawSchedule<'_>) -> Result<Schedule, ScheduleError> {
        let expression = Expression::parse(raw.expression, raw.dialect)?;
        let zone = match raw.zone {
            Some(name) if raw.dialect == Dialect::Scheduler => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| ScheduleError::Zone(name.to_owned()))?,
            _ => TimeZone::UTC,
        };
        if let (Some(start), Some(end)) = (raw.start, raw.end)
            && end <= start
        {
            return Err(ScheduleError::Dates);
        }
        let is_once = matches!(expression, Expression::At(_));
        let start = raw.start.filter(|_| !is_once).unwrap_or(raw.since);
        let end = raw.end.filter(|_| !is_once);
        Ok(Schedule {
            expression,
            zone,
            first: whole_second(start.max(raw.since)),
            anchor: whole_second(start),
            last: end.unwrap_or(Wall(i64::MAX)),
            // A rule first runs after one interval; a schedule of Scheduler runs at once.
            skips_first: raw.dialect == Dialect::Rules,
            window: raw.window,
        })
    }

    /// Its flexible time window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The value of `last` for the first look, so that a run at the very first moment is due.
    pub fn unseen(&self) -> Wall {
        Wall(self.first.0.saturating_sub(1))
    }

    /// The next scheduled time after `after`; `None` if it is never due again. Windows are not considered.
    pub fn next_after(&self, after: Wall) -> Option<Wall> {
        let next = match &self.expression {
            Expression::Rate(rate) => self.next_of_rate(rate.period().as_micros(), after),
            // A microsecond earlier, so that the first moment itself counts.
            Expression::Cron(cron) => cron.next_after(&self.zone, after.max(self.unseen())),
            // A time that the zone skips is moved on by the length of the gap, so that a one-time schedule is not lost.
            Expression::At(local) => {
                let at = self.zone.to_ambiguous_timestamp(*local).compatible().ok()?;
                let at = Wall::from_seconds(Timestamp::as_second(at));
                (at > after && at >= self.first).then_some(at)
            }
        };
        next.filter(|next| *next <= self.last)
    }

    /// The last scheduled time after `after` and up to `until`, found by bisection.
    pub fn last_within(&self, after: Wall, until: Wall) -> Option<Wall> {
        let is_due = |next: &Wall| *next <= until;
        let mut found = self.next_after(after).filter(is_due)?;
        let mut bound = until;
        // A time after `found` is due, none after `bound` is.
        while found < bound {
            let half = Wall(found.0.midpoint(bound.0));
            match self.next_after(half).filter(is_due) {
                Some(later) => found = later,
                None => bound = half,
            }
            if bound.0.saturating_sub(found.0) <= 1 {
                break;
            }
        }
        Some(found)
    }

    fn next_of_rate(&self, period: u128, after: Wall) -> Option<Wall> {
        let least = u128::from(self.skips_first);
        let after = after.max(self.unseen());
        let passed = after.0.checked_sub(self.anchor.0).filter(|passed| *passed >= 0);
        let count = match passed {
            None => least,
            Some(passed) => (u128::from(passed.unsigned_abs()) / period + 1).max(least),
        };
        let span = i64::try_from(count.checked_mul(period)?).ok()?;
        self.anchor.0.checked_add(span).map(Wall)
    }
}

/// This second, or the next one if it has begun: runs are at whole seconds.
fn whole_second(at: Wall) -> Wall {
    let begun = Wall::from_seconds(at.seconds());
    if begun == at {
        at
    } else {
        Wall::from_seconds(at.seconds() + 1)
    }
}
