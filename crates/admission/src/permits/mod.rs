//! Permits: an agent beside a target grants them, nodes spend them, and never more than the limit are out or in flight.

mod line;
mod turnstile;
mod words;

#[cfg(test)]
mod tests;

pub use turnstile::{GRACE, Turnstile, Work};
pub use words::{Figures, Output, Refused, Session};

use core::fmt;

/// A permit's id: single use, unguessable, known to the agent that granted it and to the node it went to.
///
/// Written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u128);

impl WorkId {
    /// Reads 32 hexadecimal digits, of either case; anything else is no id.
    pub fn parse(text: &[u8]) -> Option<WorkId> {
        if text.len() != 32 {
            return None;
        }
        let digit = |byte: u8| (byte as char).to_digit(16);
        text.iter()
            .try_fold(0_u128, |id, &byte| Some(id << 4 | u128::from(digit(byte)?)))
            .map(WorkId)
    }

    /// Its 32 digits.
    pub fn digits(self) -> [u8; 32] {
        core::array::from_fn(|at| b"0123456789abcdef"[(self.0 >> (124 - 4 * at)) as usize & 0xf])
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}
