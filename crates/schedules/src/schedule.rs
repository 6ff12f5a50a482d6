//! A schedule: an expression in a time zone, from one date to another.

use crate::expression::Expression;
use crate::expression_error::{Dialect, ExpressionError};
use crate::window::Window;
use forebay_units::Wall;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Why there can be no such schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression is none.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// There is no such time zone.
    #[error("'{0}' is not the name of an IANA time zone")]
    Zone(String),
    /// It ends before it starts.
    #[error("a schedule's end date is later than its start date")]
    Dates,
}

/// A schedule as a caller gives it.
#[derive(Clone, Copy, Debug)]
pub struct RawSchedule<'a> {
    /// `ScheduleExpression`.
    pub expression: &'a str,
    /// Whose rules it follows. A rule's zone is UTC, whatever `zone` says.
    pub dialect: Dialect,
    /// `ScheduleExpressionTimezone`; UTC if there is none.
    pub zone: Option<&'a str>,
    /// When it was made, or enabled with this expression: nothing is due before, and a rate without a start date counts from here.
    pub since: Wall,
    /// `StartDate`. One-time schedules ignore it, and `end` too.
    pub start: Option<Wall>,
    /// `EndDate`.
    pub end: Option<Wall>,
    /// `FlexibleTimeWindow`.
    pub window: Window,
}

/// When something runs. Its scheduled times are at least a minute apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    expression: Expression,
    zone: TimeZone,
    /// No scheduled time is earlier. Whole seconds.
    first: Wall,
    /// No scheduled time is later.
    last: Wall,
    /// What a rate counts from: the first time itself, or, for rules, the one before it.
    skips_first: bool,
    window: Window,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// If its expression, its zone or its dates make no sense.
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
            last: end.unwrap_or(Wall(i64::MAX)),
            // A rule's first run comes when its interval is over; Scheduler's comes at once.
            skips_first: raw.dialect == Dialect::Rules,
            window: raw.window,
        })
    }

    /// Its flexible time window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// What the first look takes for the time of the last one, so that a run at the very first moment is due.
    pub fn unseen(&self) -> Wall {
        Wall(self.first.0.saturating_sub(1))
    }

    /// Its next scheduled time, later than `after`; none if it is never due again. A window is no part of this.
    pub fn next_after(&self, after: Wall) -> Option<Wall> {
        let next = match &self.expression {
            Expression::Rate(rate) => self.next_of_rate(rate.period().as_micros(), after),
            // A microsecond earlier, so that the first moment itself counts.
            Expression::Cron(cron) => cron.next_after(&self.zone, after.max(self.unseen())),
            // A time that the zone leaves out is moved on by what was left out: what is to happen once is not lost.
            Expression::At(local) => {
                let at = self.zone.to_ambiguous_timestamp(*local).compatible().ok()?;
                let at = Wall::from_seconds(Timestamp::as_second(at));
                (at > after && at >= self.first).then_some(at)
            }
        };
        next.filter(|next| *next <= self.last)
    }

    /// Its last scheduled time that is later than `after` and not later than `until`, found by halving the time between.
    pub fn last_within(&self, after: Wall, until: Wall) -> Option<Wall> {
        let is_due = |next: &Wall| *next <= until;
        let mut found = self.next_after(after).filter(is_due)?;
        let mut bound = until;
        // Something is due after times before `found`, nothing is after `bound`.
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
        let passed = after.0.checked_sub(self.first.0).filter(|passed| *passed >= 0);
        let count = match passed {
            None => least,
            Some(passed) => (u128::from(passed.unsigned_abs()) / period + 1).max(least),
        };
        let span = i64::try_from(count.checked_mul(period)?).ok()?;
        self.first.0.checked_add(span).map(Wall)
    }
}

/// This second, or the next one if it has begun: runs are at the second.
fn whole_second(at: Wall) -> Wall {
    let begun = Wall::from_seconds(at.seconds());
    if begun == at {
        at
    } else {
        Wall::from_seconds(at.seconds() + 1)
    }
}
