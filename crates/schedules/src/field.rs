//! A field of a cron expression: the numbers that it matches.

use crate::expression_error::ExpressionError;

/// Numbers from `low` on, as bits; wide enough for the years 1970 to 2199.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    low: u16,
    bits: [u64; 4],
}

impl Numbers {
    const fn none(low: u16) -> Numbers {
        Numbers { low, bits: [0; 4] }
    }

    fn insert(&mut self, number: u16) {
        let place = usize::from(number - self.low);
        self.bits[place / 64] |= 1 << (place % 64);
    }

    /// Whether this number matches.
    pub(crate) fn has(&self, number: u16) -> bool {
        let Some(place) = number.checked_sub(self.low).map(usize::from) else {
            return false;
        };
        self.bits
            .get(place / 64)
            .is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The first matching number from this one on.
    pub(crate) fn from(&self, number: u16) -> Option<u16> {
        let start = usize::from(number.max(self.low) - self.low);
        let first = start / 64;
        for (index, word) in self.bits.iter().enumerate().skip(first) {
            let shift = if index == first { start % 64 } else { 0 };
            let rest = word & (u64::MAX << shift);
            if rest != 0 {
                let place = index * 64 + rest.trailing_zeros() as usize;
                return u16::try_from(place).ok().map(|place| self.low + place);
            }
        }
        None
    }
}

/// The numbers and names that a field accepts.
#[derive(Debug)]
pub(crate) struct Field {
    /// The name in error messages.
    pub(crate) title: &'static str,
    low: u16,
    high: u16,
    /// Names for `low` and the numbers after it.
    names: &'static [&'static str],
}

/// The six fields, in order.
pub(crate) const MINUTE: Field = Field {
    title: "minutes",
    low: 0,
    high: 59,
    names: &[],
};
pub(crate) const HOUR: Field = Field {
    title: "hours",
    low: 0,
    high: 23,
    names: &[],
};
pub(crate) const DAY_OF_MONTH: Field = Field {
    title: "day-of-month",
    low: 1,
    high: 31,
    names: &[],
};
pub(crate) const MONTH: Field = Field {
    title: "month",
    low: 1,
    high: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
pub(crate) const DAY_OF_WEEK: Field = Field {
    title: "day-of-week",
    low: 1,
    high: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};
pub(crate) const YEAR: Field = Field {
    title: "year",
    low: 1970,
    high: 2199,
    names: &[],
};

impl Field {
    /// The error for a text that is not valid in this field.
    pub(crate) fn wrong(&self, text: &str) -> ExpressionError {
        ExpressionError::Field {
            field: self.title,
            text: text.to_owned(),
        }
    }

    /// The empty set of this field's numbers.
    pub(crate) fn empty(&self) -> Numbers {
        Numbers::none(self.low)
    }

    /// Parses a list of numbers, ranges and steps.
    pub(crate) fn numbers(&self, text: &str) -> Result<Numbers, ExpressionError> {
        let mut numbers = self.empty();
        for item in text.split(',') {
            self.item(item, &mut numbers).ok_or_else(|| self.wrong(text))?;
        }
        Ok(numbers)
    }

    /// Adds the numbers of one list item: `*`, `a`, `a-b`, each optionally with `/step`. A step from a single number
    /// goes to the end of the field.
    pub(crate) fn item(&self, item: &str, numbers: &mut Numbers) -> Option<()> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some(self.step(step)?)),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            None if range == "*" => (self.low, self.high),
            None if step.is_some() => (self.number(range)?, self.high),
            None => (self.number(range)?, self.number(range)?),
        };
        // AWS does not document ranges that wrap around the end of the field, so they are refused.
        if from > to {
            return None;
        }
        let step = usize::from(step.unwrap_or(1));
        (from..=to)
            .step_by(step)
            .for_each(|number| numbers.insert(number));
        Some(())
    }

    /// Parses a number or a name for one.
    pub(crate) fn number(&self, text: &str) -> Option<u16> {
        let named = self.names.iter().zip(self.low..);
        if let Some((_, number)) = named
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            return Some(number);
        }
        let number = digits(text)?;
        (self.low..=self.high).contains(&number).then_some(number)
    }

    /// Parses a step: at least one, and shorter than the field. EventBridge refuses `*/60` for minutes.
    fn step(&self, text: &str) -> Option<u16> {
        let step = digits(text)?;
        (1..=self.high - self.low).contains(&step).then_some(step)
    }
}

/// Parses up to four digits and nothing else: no sign, no space.
pub(crate) fn digits(text: &str) -> Option<u16> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}
