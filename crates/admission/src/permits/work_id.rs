//! Permit ids.

use core::fmt;

/// A permit's id: single use, unguessable, known to the agent that granted it and to the node it went to.
///
/// Written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u128);

/// The value of each byte as a hexadecimal digit; 255 if it is not one.
const VALUES: [u8; 256] = {
    let (mut values, mut digit) = ([255; 256], 0);
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

impl WorkId {
    /// Reads 32 hexadecimal digits of either case; anything else is `None`.
    pub fn parse(text: &[u8]) -> Option<WorkId> {
        let half = |digits: &[u8; 16]| {
            let values = digits.map(|byte| VALUES[usize::from(byte)]);
            let all = values.iter().fold(0, |all, value| all | value);
            let half = values
                .iter()
                .fold(0_u64, |half, &value| half << 4 | u64::from(value));
            (all < 16).then_some(half)
        };
        let (high, rest) = text.split_first_chunk()?;
        let low = half(rest.try_into().ok()?)?;
        Some(WorkId(u128::from(half(high)?) << 64 | u128::from(low)))
    }

    /// The id as 32 digits.
    pub fn digits(self) -> [u8; 32] {
        core::array::from_fn(|at| b"0123456789abcdef"[(self.0 >> (124 - 4 * at)) as usize & 0xf])
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}
