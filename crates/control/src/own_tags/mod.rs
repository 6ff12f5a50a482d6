//! Tags of Forebay's own, which give resources features that AWS does not have. In every other way they behave like
//! AWS's tags.
//!
//! Each file is a table of rows ([`crate::settings::Setting`]) for one purpose: `groups`, `queues` (limits and
//! waiting), `balancers`, `planners` and `backlogs` (how Auto Scaling groups are sized), `interruptions`, `addresses`.
//! `names` knows all of them: it refuses misspelt keys and invalid values.

pub(crate) mod addresses;
pub(crate) mod backlogs;
pub(crate) mod balancers;
pub(crate) mod groups;
pub(crate) mod interruptions;
pub(crate) mod names;
pub(crate) mod planners;
pub(crate) mod queues;
