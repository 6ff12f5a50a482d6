//! Permits: an agent beside a target grants them, nodes spend them, and never more than the limit are out or in flight.

mod issuer;
mod messages;
mod need;
mod node_session;
mod timing;
mod work_id;

#[cfg(test)]
mod tests;

pub use issuer::{PermitIssuer, Work};
pub use messages::{Figures, Output, Refused, Session};
pub use timing::GRACE;
pub use work_id::WorkId;
