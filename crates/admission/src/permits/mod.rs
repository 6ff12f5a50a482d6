//! The agent's side of permits: an agent beside a target grants them, nodes spend them, and permits out plus requests
//! in flight never exceed the limit.
//!
//! In reading order: `messages` (what the issuer tells nodes), `work_id` (a permit's id), `issuer` (grants, recalls,
//! revokes), `need` (which node gets the next permit, and which can spare some), `node_session` (what the issuer knows
//! of one node), `timing` (its delays).

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
