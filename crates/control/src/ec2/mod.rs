//! The part of EC2 that load balancers stand on.

pub mod records;
