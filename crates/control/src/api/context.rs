//! What an operation works with: the call, a state that may be changed, and what its service's table says of it.

use crate::ports::Observations;
use crate::state::{Dialect, State};
use crate::tables::Region;
use core::net::IpAddr;
use forebay_awswire::{ApiError, Service};
use forebay_units::{Stream, Wall};
use serde_json::Value;
use std::sync::Arc;

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

/// An operation at work: a state that may be changed, and what came with the call. Thrown away if the operation errs.
pub struct OpContext<'a> {
    /// The call.
    pub request: &'a Request<'a>,
    /// What the data plane has observed.
    pub observations: &'a dyn Observations,
    /// Random draws for ids.
    pub draws: &'a mut Stream,
    /// The state, changed as the operation goes on. Change regions through `region_mut`.
    pub state: State,
    region: Arc<Region>,
    changed: bool,
}

impl<'a> OpContext<'a> {
    /// The operation of `request` before it has done anything.
    pub(crate) fn new(
        request: &'a Request<'a>,
        observations: &'a dyn Observations,
        draws: &'a mut Stream,
        state: &State,
    ) -> OpContext<'a> {
        OpContext {
            request,
            observations,
            draws,
            state: state.clone(),
            region: state.region(request.region),
            changed: false,
        }
    }

    /// Whether it has changed the state.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

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
    pub fn home(&self) -> Arc<Region> {
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
pub(crate) type Operation = fn(&mut OpContext<'_>) -> Result<Value, ApiError>;

/// An operation that is served.
pub(crate) struct OperationSpec {
    pub(crate) name: &'static str,
    pub(crate) read: bool,
    pub(crate) run: Operation,
}

impl OperationSpec {
    pub(crate) const fn read(name: &'static str, run: Operation) -> OperationSpec {
        OperationSpec {
            name,
            read: true,
            run,
        }
    }

    pub(crate) const fn write(name: &'static str, run: Operation) -> OperationSpec {
        OperationSpec {
            name,
            read: false,
            run,
        }
    }
}
