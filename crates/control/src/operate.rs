//! The door: one operation in, an answer and perhaps a next state out.

use crate::ports::Seen;
use crate::state::{Dialect, State};
use crate::{Region, acm, ec2, elbv2, iam, shield, sts, tagging, waf};
use core::net::IpAddr;
use forebay_awswire::{ApiError, Service};
use forebay_units::{Stream, Wall};
use serde_json::Value;

/// One authenticated operation.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose operation.
    pub service: Service,
    /// Its name, such as `CreateLoadBalancer`.
    pub operation: &'a str,
    /// The region of the signature's scope.
    pub region: &'a str,
    /// The account, twelve digits.
    pub account: &'a str,
    /// The input, keyed by botocore's member names, constraints already checked.
    pub input: Value,
    /// When it arrived.
    pub now: Wall,
    /// The caller's access key id.
    pub caller: &'a str,
}

/// What an operation leads to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The output, keyed by botocore's member names.
    pub answer: Value,
    /// The state afterwards; none if nothing changed.
    pub next: Option<State>,
}

/// An operation at work: a state that may be changed, and what came with the call. Thrown away if the operation errs.
pub struct Work<'a> {
    /// The call.
    pub request: &'a Request<'a>,
    /// What the data plane has observed.
    pub seen: &'a dyn Seen,
    /// Random draws for ids.
    pub draws: &'a mut Stream,
    /// The state, changed as the operation goes on. Change regions through `region_mut`.
    pub state: State,
    region: std::sync::Arc<Region>,
    changed: bool,
}

impl Work<'_> {
    /// The request's region as it now is.
    pub fn region(&self) -> &Region {
        self.state
            .existing_region(self.request.region)
            .unwrap_or(&self.region)
    }

    /// The request's region, to change it. What calls this has changed the state.
    pub fn region_mut(&mut self) -> &mut Region {
        self.changed = true;
        self.state.region_mut(self.request.region)
    }

    /// The region that keeps what belongs to no region.
    pub fn home(&self) -> std::sync::Arc<Region> {
        self.state.region(&self.state.settings().default_region)
    }

    /// The region that keeps what belongs to no region, to change it.
    pub fn home_mut(&mut self) -> &mut Region {
        self.changed = true;
        let home = self.state.settings().default_region.clone();
        self.state.region_mut(&home)
    }

    /// Whose habits answers follow.
    pub fn dialect(&self) -> Dialect {
        self.state.settings().dialect
    }

    /// Takes a free address of a subnet's part of the pool for `owner`; none if the pool is used up.
    pub fn take_address(&mut self, subnet_id: &str, owner: &str) -> Option<IpAddr> {
        self.region_mut();
        self.state.take_address(self.request.region, subnet_id, owner)
    }

    /// Gives an address back.
    pub fn free_address(&mut self, address: IpAddr) {
        self.region_mut().addresses.remove(&address.to_string());
    }

    /// The input, read into the operation's own words.
    pub fn input<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        let mut input = self.request.input.clone();
        if self.request.service == Service::Elbv2 {
            leave_out_blanks(&mut input);
            input.get_mut("Matcher").map(leave_out_blanks);
        }
        serde_json::from_value(input).map_err(|error| {
            ApiError::sender("ValidationError", format!("The input cannot be read: {error}"))
        })
    }
}

/// To Elastic Load Balancing a blank text is one that was not given (Terraform sends `ProtocolVersion=`).
fn leave_out_blanks(input: &mut Value) {
    if let Some(members) = input.as_object_mut() {
        members.retain(|_, member| member.as_str() != Some(""));
    }
}

/// What an operation is in code.
pub(crate) type Operation = fn(&mut Work<'_>) -> Result<Value, ApiError>;

/// An operation that is served.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) read: bool,
    pub(crate) run: Operation,
}

impl Entry {
    pub(crate) const fn read(name: &'static str, run: Operation) -> Entry {
        Entry {
            name,
            read: true,
            run,
        }
    }

    pub(crate) const fn write(name: &'static str, run: Operation) -> Entry {
        Entry {
            name,
            read: false,
            run,
        }
    }
}

fn entries(service: Service) -> &'static [Entry] {
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

fn entry(service: Service, operation: &str) -> Option<&'static Entry> {
    entries(service).iter().find(|entry| entry.name == operation)
}

/// Whether the operation only reads.
pub fn is_read(service: Service, operation: &str) -> bool {
    entry(service, operation).is_some_and(|entry| entry.read)
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
    seen: &dyn Seen,
    draws: &mut Stream,
) -> Result<Outcome, ApiError> {
    let Some(entry) = entry(request.service, request.operation) else {
        let text = format!("The action {} is not supported by Forebay yet", request.operation);
        return Err(ApiError::sender("InvalidAction", text));
    };
    check_region(request.region)?;
    let region = state.region(request.region);
    let mut work = Work {
        request,
        seen,
        draws,
        state: state.clone(),
        region,
        changed: false,
    };
    let answer = (entry.run)(&mut work)?;
    debug_assert!(!(entry.read && work.changed), "{} says it only reads", entry.name);
    let next = (work.changed && !entry.read).then(|| {
        work.state.grow();
        work.state
    });
    Ok(Outcome { answer, next })
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
