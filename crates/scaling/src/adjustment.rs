//! Changes of a capacity by a number, to a number, or by a percentage, with AWS's rounding.

/// The meaning of an adjustment's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustmentType {
    /// The change.
    ChangeInCapacity,
    /// The new capacity.
    ExactCapacity,
    /// The change in per cent.
    PercentChangeInCapacity,
}

/// How a policy's adjustments are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The meaning of the number.
    pub kind: AdjustmentType,
    /// The least change, for percentages.
    pub minimum_magnitude: Option<u32>,
}

impl Adjustment {
    /// The capacity after this adjustment of `current`: at least zero, but not limited to any group's bounds.
    pub fn of(&self, current: u32, by: i32) -> u32 {
        let current = i64::from(current);
        let wanted = match self.kind {
            AdjustmentType::ExactCapacity => i64::from(by),
            AdjustmentType::ChangeInCapacity => current + i64::from(by),
            AdjustmentType::PercentChangeInCapacity => current + self.percent(current, by),
        };
        u32::try_from(wanted.max(0)).unwrap_or(u32::MAX)
    }

    /// Rounds towards zero, except that a change of less than one is one; then applies the minimum magnitude.
    fn percent(&self, current: i64, by: i32) -> i64 {
        let hundredths = current * i64::from(by);
        let change = match hundredths / 100 {
            0 => hundredths.signum(),
            whole => whole,
        };
        let least = i64::from(self.minimum_magnitude.unwrap_or(0));
        i64::from(by.signum()) * change.abs().max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::AdjustmentType::*;
    use super::*;

    #[test]
    fn rounding_is_awss() {
        // Kind, least change, capacity, adjustment, result.
        for (kind, least, current, by, wanted) in [
            (ChangeInCapacity, None, 3, 2, 5),
            (ChangeInCapacity, None, 3, -2, 1),
            (ChangeInCapacity, None, 3, -5, 0),
            // A minimum magnitude does not apply to plain numbers.
            (ChangeInCapacity, Some(9), 3, 2, 5),
            (ExactCapacity, None, 3, 8, 8),
            (ExactCapacity, None, 3, 0, 0),
            // 12.7 -> 12, 0.67 -> 1, -0.58 -> -1, -6.67 -> -6: the documentation's examples.
            (PercentChangeInCapacity, None, 127, 10, 139),
            (PercentChangeInCapacity, None, 67, 1, 68),
            (PercentChangeInCapacity, None, 58, -1, 57),
            (PercentChangeInCapacity, None, 667, -1, 661),
            (PercentChangeInCapacity, None, 10, 10, 11),
            (PercentChangeInCapacity, None, 10, -100, 0),
            (PercentChangeInCapacity, None, 10, 0, 10),
            // 4 and 25 % with a minimum magnitude of 2: the documentation's example.
            (PercentChangeInCapacity, Some(2), 4, 25, 6),
            (PercentChangeInCapacity, Some(2), 4, -25, 2),
            (PercentChangeInCapacity, Some(2), 100, 25, 125),
            // A percentage of nothing is nothing, but the minimum magnitude still applies.
            (PercentChangeInCapacity, None, 0, 50, 0),
            (PercentChangeInCapacity, Some(2), 0, 50, 2),
            (PercentChangeInCapacity, None, u32::MAX, i32::MAX, u32::MAX),
        ] {
            let adjustment = Adjustment {
                kind,
                minimum_magnitude: least,
            };
            let came = adjustment.of(current, by);
            assert_eq!(came, wanted, "{kind:?} {least:?} {current} {by}");
        }
    }
}
