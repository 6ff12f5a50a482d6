//! What shows Forebay and tries it: the demo, the sample target that misbehaves on demand, the sample worker of a queue, and the experiments.
//! Never serves anybody's traffic.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aws_client;
pub mod demo;
mod demo_balancer;
pub mod experiment;
mod load;
pub mod sample;
pub mod sample_worker;
