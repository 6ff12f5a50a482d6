//! Tags of Forebay's own, with which a resource asks for what AWS does not have. In every other way they stay AWS's tags.
//!
//! Each file is a table of rows ([`crate::settings::Setting`]) for one purpose: `groups`, `queues` (limits and waiting), `balancers`,
//! `planners` and `backlogs` (how Auto Scaling groups are sized), `interruptions`, `addresses`. `names` knows all of them: it refuses
//! what is misspelt and values that mean nothing.

pub(crate) mod addresses;
pub(crate) mod backlogs;
pub(crate) mod balancers;
pub(crate) mod groups;
pub(crate) mod interruptions;
pub(crate) mod names;
pub(crate) mod planners;
pub(crate) mod queues;
