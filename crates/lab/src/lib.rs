//! What shows Forebay and tries it: the demo, the sample target that misbehaves on demand, and the experiments.
//! Never serves anybody's traffic.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod demo;
pub mod experiment;
mod load;
mod made;
pub mod sample;
mod signed;
