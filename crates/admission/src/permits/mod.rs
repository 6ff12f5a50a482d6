//! Permits: an agent beside a target grants them, nodes spend them, and never more than the limit are out or in flight.

mod line;
mod need;
mod timing;
mod turnstile;
mod words;
mod work_id;

#[cfg(test)]
mod tests;

pub use timing::GRACE;
pub use turnstile::{Turnstile, Work};
pub use words::{Figures, Output, Refused, Session};
pub use work_id::WorkId;
