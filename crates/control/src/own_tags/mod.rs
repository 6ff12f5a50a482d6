//! Tags of Forebay's own: by them a resource asks for what AWS does not have. They stay AWS's tags in every other way.

pub(crate) mod addresses;
pub(crate) mod backlogs;
pub(crate) mod balancers;
pub(crate) mod groups;
pub(crate) mod interruptions;
pub(crate) mod names;
pub(crate) mod planners;
pub(crate) mod queues;
mod switch;
