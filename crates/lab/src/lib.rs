//! Demonstrates and tests Forebay: the demo, a sample target that misbehaves on demand, a sample worker of a queue, and the
//! experiments.
//! Never serves anybody's traffic.
//!
//! In reading order: `aws_client` (calls of the API), `demo` with `demo_balancer` and `load`, `sample` (the target),
//! `sample_worker`, `experiment`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aws_client;
pub mod demo;
mod demo_balancer;
pub mod experiment;
mod load;
pub mod sample;
pub mod sample_worker;
