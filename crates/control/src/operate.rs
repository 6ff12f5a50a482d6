//! The entry point of API calls: one operation in, an answer and perhaps a new state out.

use crate::api::context::{Operation, OperationSpec, Request, Tx, View};
use crate::messages::{Asked, MessageError};
use crate::ports::{Observations, Ports};
use crate::state::State;
use crate::{
    acm, autoscaling, cloudwatch, ec2, elbv2, events, iam, lambda, scheduler, shield, sqs, ssm, sts, tagging,
    waf,
};
use forebay_awswire::{ApiError, Service};
use forebay_units::Rng;
use serde_json::Value;

/// The result of an operation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The output, keyed by botocore's member names.
    pub answer: Value,
    /// The new state; `None` if nothing changed.
    pub next: Option<State>,
}

/// A service and its operations.
struct Served {
    service: Service,
    operations: &'static [OperationSpec],
}

// To add a service: an entry at its place here. To add an operation: its file, and an entry in its service's
// OPERATIONS.
static SERVED: [Served; Service::ALL.len()] = [
    served(Service::Elbv2, elbv2::OPERATIONS),
    served(Service::Ec2, ec2::OPERATIONS),
    served(Service::Acm, acm::OPERATIONS),
    served(Service::Iam, iam::OPERATIONS),
    served(Service::Sts, sts::OPERATIONS),
    served(Service::CloudWatch, cloudwatch::OPERATIONS),
    served(Service::Tagging, tagging::OPERATIONS),
    served(Service::Shield, shield::OPERATIONS),
    served(Service::Wafv2, waf::OPERATIONS),
    served(Service::WafRegional, waf::OPERATIONS),
    served(Service::AutoScaling, autoscaling::OPERATIONS),
    served(Service::Ssm, ssm::OPERATIONS),
    served(Service::Sqs, sqs::OPERATIONS),
    served(Service::Lambda, lambda::OPERATIONS),
    served(Service::Scheduler, scheduler::OPERATIONS),
    served(Service::Events, events::OPERATIONS),
];

// Entries are indexed by service, so every service must have one, in the order of `Service::ALL`.
const _: () = {
    let mut place = 0;
    while place < SERVED.len() {
        assert!(SERVED[place].service as usize == Service::ALL[place] as usize);
        place += 1;
    }
};

const fn served(service: Service, operations: &'static [OperationSpec]) -> Served {
    Served { service, operations }
}

/// The operation of that name, if it is supported.
pub fn find(service: Service, name: &str) -> Option<&'static OperationSpec> {
    let operations = SERVED[service as usize].operations;
    operations.iter().find(|operation| operation.name == name)
}

/// Like [`find`], but ignoring the case of the name.
pub(crate) fn find_any(service: Service, name: &str) -> Option<&'static OperationSpec> {
    let operations = SERVED[service as usize].operations;
    operations
        .iter()
        .find(|operation| operation.name.eq_ignore_ascii_case(name))
}

/// All supported operations.
pub fn supported() -> Vec<(Service, &'static str)> {
    SERVED
        .iter()
        .flat_map(|served| {
            served
                .operations
                .iter()
                .map(|operation| (served.service, operation.name))
        })
        .collect()
}

/// Finds the operation that the request names and carries it out.
pub fn operate(
    state: &State,
    request: &Request<'_>,
    ports: &Ports<'_>,
    rng: &mut Rng,
) -> Result<Outcome, ApiError> {
    let Some(operation) = find(request.service, request.operation) else {
        let text = format!("The action {} is not supported by Forebay yet", request.operation);
        return Err(ApiError::sender("InvalidAction", text));
    };
    operation.run(state, request, ports, rng)
}

impl OperationSpec {
    /// Carries the operation out on a copy of the state. If it fails, the state stays as it was.
    pub fn run(
        &self,
        state: &State,
        request: &Request<'_>,
        ports: &Ports<'_>,
        rng: &mut Rng,
    ) -> Result<Outcome, ApiError> {
        check_region(request.region)?;
        let view = View::new(request, ports.observations, state).finding(find_any);
        match self.run {
            Operation::Read(run) => Ok(Outcome {
                answer: run(&view)?,
                next: None,
            }),
            Operation::Datapoints(run) => Ok(Outcome {
                answer: run(&view, ports.datapoints)?,
                next: None,
            }),
            // These operations go through `ask`.
            Operation::Messages(_) => Err(MessageError::Nowhere.into()),
            Operation::Write(run) => {
                let mut tx = Tx::new(view, rng);
                // What the operation changed may concern Auto Scaling groups (an instance that was terminated, a
                // group's new size). They settle in the same change, so that nobody sees a state in between.
                let answer = run(&mut tx)?;
                autoscaling::settle::follow(&mut tx);
                Ok(Outcome {
                    answer,
                    next: tx.next(),
                })
            }
        }
    }
}

impl OperationSpec {
    /// What an operation asks of messages or functions, and how it answers. Only for operations that do; `rng` draws
    /// new ids.
    pub fn ask(
        &self,
        state: &State,
        request: &Request<'_>,
        observations: &dyn Observations,
        rng: &mut Rng,
    ) -> Result<Asked, ApiError> {
        check_region(request.region)?;
        match self.run {
            Operation::Messages(run) => run(&View::new(request, observations, state).finding(find_any), rng),
            _ => Err(MessageError::Nowhere.into()),
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
        "The signature's scope does not contain a valid region name",
    ))
}
