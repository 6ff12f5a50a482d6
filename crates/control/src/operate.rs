//! The door: one operation in, an answer and perhaps a next state out.

use crate::api::context::{Operation, OperationSpec, Request, Tx, View};
use crate::ports::Observations;
use crate::state::State;
use crate::{acm, ec2, elbv2, iam, shield, sts, tagging, waf};
use forebay_awswire::{ApiError, Service};
use forebay_units::Rng;
use serde_json::Value;

/// What an operation leads to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The output, keyed by botocore's member names.
    pub answer: Value,
    /// The state afterwards; none if nothing changed.
    pub next: Option<State>,
}

fn entries(service: Service) -> &'static [OperationSpec] {
    match service {
        Service::Elbv2 => elbv2::OPERATIONS,
        Service::Ec2 => ec2::OPERATIONS,
        Service::Acm => acm::OPERATIONS,
        Service::Iam => iam::OPERATIONS,
        Service::Sts => sts::OPERATIONS,
        Service::Tagging => tagging::OPERATIONS,
        Service::Shield => shield::OPERATIONS,
        Service::Wafv2 | Service::WafRegional => waf::OPERATIONS,
    }
}

fn entry(service: Service, operation: &str) -> Option<&'static OperationSpec> {
    entries(service).iter().find(|entry| entry.name == operation)
}

/// Whether the operation only reads.
pub fn is_read(service: Service, operation: &str) -> bool {
    entry(service, operation).is_some_and(|entry| matches!(entry.run, Operation::Read(_)))
}

/// Whether the operation is served.
pub fn supports(service: Service, operation: &str) -> bool {
    entry(service, operation).is_some()
}

/// All operations that are served.
pub fn supported() -> Vec<(Service, &'static str)> {
    Service::ALL
        .into_iter()
        .flat_map(|service| entries(service).iter().map(move |entry| (service, entry.name)))
        .collect()
}

/// Carries out an operation on a copy of the state. An operation that errs leaves nothing behind.
pub fn operate(
    state: &State,
    request: &Request<'_>,
    observations: &dyn Observations,
    rng: &mut Rng,
) -> Result<Outcome, ApiError> {
    let Some(entry) = entry(request.service, request.operation) else {
        let text = format!("The action {} is not supported by Forebay yet", request.operation);
        return Err(ApiError::sender("InvalidAction", text));
    };
    check_region(request.region)?;
    let view = View::new(request, observations, state);
    match entry.run {
        Operation::Read(run) => Ok(Outcome {
            answer: run(&view)?,
            next: None,
        }),
        Operation::Write(run) => {
            let mut tx = Tx::new(view, rng);
            let answer = run(&mut tx)?;
            Ok(Outcome {
                answer,
                next: tx.next(),
            })
        }
    }
}

/// A region's name becomes part of ARNs, host names and row keys.
fn check_region(region: &str) -> Result<(), ApiError> {
    let fits = (1..=32).contains(&region.len())
        && region
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(ApiError::sender(
        "ValidationError",
        "The region of the signature's scope is no region name",
    ))
}
