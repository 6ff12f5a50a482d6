//! The operation context, in two halves: what an operation sees (`View`), and what one that writes may change (`Tx`).

use crate::elbv2::records::LoadBalancer;
use crate::messages::Asked;
use crate::ports::{Datapoints, Observations};
use crate::records::IpVersion;
use crate::state::nodes::NoAddress;
use crate::state::{Dialect, State};
use crate::tables::Region;
use core::net::IpAddr;
use core::ops::Deref;
use forebay_awswire::{ApiError, Service};
use forebay_units::{Rng, Wall};
use serde_json::Value;
use std::sync::Arc;

/// One authenticated operation.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The service that is called.
    pub service: Service,
    /// The operation's name, such as `CreateLoadBalancer`.
    pub operation: &'a str,
    /// The region of the signature's scope.
    pub region: &'a str,
    /// The account ID, twelve digits.
    pub account: &'a str,
    /// The input, keyed by botocore's member names. The constraints of the API model have been checked.
    pub input: Value,
    /// When the call arrived.
    pub now: Wall,
    /// The caller's access key id.
    pub caller: &'a str,
    /// The URL at which the caller reached Forebay, such as `http://127.0.0.1:8080`; empty for calls that Forebay makes
    /// itself.
    pub endpoint: &'a str,
    /// The instance whose credentials signed the call, if the credentials are an instance's.
    pub instance: Option<&'a str>,
    /// Whether a signature has proven who the caller is.
    pub is_proven: bool,
    /// The id of the answer, a UUID; empty for calls that Forebay makes itself.
    pub request_id: &'a str,
}

/// What an operation sees: the call, what the data plane has observed, and the state. A view is read-only.
pub(crate) struct View<'a> {
    /// The call.
    pub(crate) request: &'a Request<'a>,
    /// What the data plane has observed.
    pub(crate) observations: &'a dyn Observations,
    /// The state.
    pub(crate) state: State,
    /// Finds operations by name, for those that call others.
    pub(crate) find: Find,
    region: Arc<Region>,
}

/// Finds the operation of a service by its name, in whatever case.
pub(crate) type Find = fn(Service, &str) -> Option<&'static OperationSpec>;

impl<'a> View<'a> {
    /// The view of `state` for the operation that `request` names.
    pub(crate) fn new(
        request: &'a Request<'a>,
        observations: &'a dyn Observations,
        state: &State,
    ) -> View<'a> {
        View {
            find: |_, _| None,
            request,
            observations,
            state: state.clone(),
            region: state.region(request.region),
        }
    }

    /// The same view with `find`, for an operation that calls others by name.
    pub(crate) fn finding(self, find: Find) -> View<'a> {
        View { find, ..self }
    }

    /// The request's region, with what this operation has changed so far.
    pub(crate) fn region(&self) -> &Region {
        self.state
            .existing_region(self.request.region)
            .unwrap_or(&self.region)
    }

    /// The region that holds the resources of global services.
    pub(crate) fn home(&self) -> Arc<Region> {
        self.state.region(&self.state.settings().default_region)
    }

    /// The dialect that answers follow.
    pub(crate) fn dialect(&self) -> Dialect {
        self.state.settings().dialect
    }

    /// The input as the operation's own type.
    pub(crate) fn input<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
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

/// An operation that writes, at work. It sees its own changes. If the operation fails, they are dropped with it.
pub(crate) struct Tx<'a> {
    view: View<'a>,
    /// Random draws for ids.
    pub(crate) rng: &'a mut Rng,
    changed: bool,
}

// Code that only reads takes a `View`, and a `Tx` lends it one. There is deliberately no `DerefMut`: changes must go
// through the methods below, which record that the state has changed.
impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Tx<'a> {
    /// An operation that has not changed anything yet.
    pub(crate) fn new(view: View<'a>, rng: &'a mut Rng) -> Tx<'a> {
        Tx {
            view,
            rng,
            changed: false,
        }
    }

    /// Whether the operation has changed anything so far.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// The new state, or `None` if nothing changed.
    pub(crate) fn next(self) -> Option<State> {
        let mut state = self.view.state;
        self.changed.then(|| {
            state.grow();
            state
        })
    }

    fn state_mut(&mut self) -> &mut State {
        self.changed = true;
        &mut self.view.state
    }

    /// Carries out another operation as part of this one, for the same caller and at the same time. If it fails, its
    /// changes are dropped and those of this operation remain.
    pub(crate) fn nested(
        &mut self,
        service: Service,
        operation: &str,
        input: Value,
        run: fn(&mut Tx<'_>) -> Answered,
    ) -> Answered {
        let request = Request {
            service,
            operation,
            input,
            ..self.view.request.clone()
        };
        let view = View::new(&request, self.view.observations, &self.view.state).finding(self.view.find);
        let mut inner = Tx::new(view, self.rng);
        let answer = run(&mut inner)?;
        if let Some(next) = inner.next() {
            *self.state_mut() = next;
        }
        Ok(answer)
    }

    /// The request's region, for changes.
    pub(crate) fn region_mut(&mut self) -> &mut Region {
        self.region_named_mut(self.view.request.region)
    }

    /// A region by its name, for changes.
    pub(crate) fn region_named_mut(&mut self, name: &str) -> &mut Region {
        self.state_mut().region_mut(name)
    }

    /// The region that holds the resources of global services, for changes.
    pub(crate) fn home_mut(&mut self) -> &mut Region {
        let home = self.state.settings().default_region.clone();
        self.region_named_mut(&home)
    }

    /// Takes a free IPv4 address from a subnet's slice of the pool for `owner`; `None` if the pool is exhausted.
    pub(crate) fn take_address(&mut self, subnet_id: &str, owner: &str) -> Option<IpAddr> {
        let region = self.request.region;
        // A region that nobody has written to is not in the state yet, so its subnets have no slices there: writing
        // creates it.
        self.region_mut();
        self.state_mut()
            .take_address(region, subnet_id, owner, IpVersion::V4)
    }

    /// Gives a load balancer's nodes the addresses that they need, and frees those that they no longer need.
    pub(crate) fn place_nodes(&mut self, balancer: &mut LoadBalancer) -> Result<(), NoAddress> {
        let region = self.request.region;
        self.region_mut();
        let state = self.state_mut();
        state.give_back(region, balancer);
        state.place(region, balancer, false)
    }

    /// Frees an address.
    pub(crate) fn free_address(&mut self, address: IpAddr) {
        self.region_mut().addresses.remove(&address.to_string());
    }

    /// Takes a free slice of the pool for a new subnet; `None` if the pool is exhausted.
    pub(crate) fn take_slice(&mut self, subnet_id: &str) -> Option<u32> {
        self.state_mut().take_slice(subnet_id)
    }

    /// Frees a deleted subnet's slice.
    pub(crate) fn free_slice(&mut self, slice: u32) {
        self.state_mut().free_slice(slice);
    }
}

/// Removes empty strings from the input: Elastic Load Balancing treats them as absent (Terraform sends
/// `ProtocolVersion=`).
fn leave_out_blanks(input: &mut Value) {
    if let Some(members) = input.as_object_mut() {
        members.retain(|_, member| member.as_str() != Some(""));
    }
}

/// What an operation returns to its caller.
pub(crate) type Answered = Result<Value, ApiError>;

/// How an operation is implemented. One that only reads gets no way to write, and only those that need datapoints see
/// them.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Read(fn(&View<'_>) -> Answered),
    /// Reads or puts datapoints, and does not change the state.
    Datapoints(fn(&View<'_>, &dyn Datapoints) -> Answered),
    /// Works with messages, which are not in the state, and does not change the state. The random numbers are for new
    /// ids.
    Messages(fn(&View<'_>, &mut Rng) -> Result<Asked, ApiError>),
    Write(fn(&mut Tx<'_>) -> Answered),
}

/// An operation that is served.
pub struct OperationSpec {
    pub(crate) name: &'static str,
    pub(crate) run: Operation,
    /// Whether the caller must be authenticated even where signatures are not checked.
    pub(crate) proven: bool,
}

impl OperationSpec {
    /// The operation's name, such as `CreateLoadBalancer`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the caller must have proven its identity by a signature even where signatures are not checked: the call
    /// brings code that will be run.
    pub const fn needs_proof(&self) -> bool {
        self.proven
    }

    /// The same operation, with its caller required to be authenticated.
    pub(crate) const fn proven(mut self) -> OperationSpec {
        self.proven = true;
        self
    }

    /// Whether the operation works with messages or functions, which bypass the writer.
    pub const fn asks_messages(&self) -> bool {
        matches!(self.run, Operation::Messages(_))
    }

    /// Whether the operation may change the state. If not, it needs no writer.
    pub const fn changes_state(&self) -> bool {
        matches!(self.run, Operation::Write(_))
    }

    pub(crate) const fn read(name: &'static str, run: fn(&View<'_>) -> Answered) -> OperationSpec {
        OperationSpec {
            name,
            run: Operation::Read(run),
            proven: false,
        }
    }

    pub(crate) const fn datapoints(
        name: &'static str,
        run: fn(&View<'_>, &dyn Datapoints) -> Answered,
    ) -> OperationSpec {
        OperationSpec {
            name,
            run: Operation::Datapoints(run),
            proven: false,
        }
    }

    pub(crate) const fn messages(
        name: &'static str,
        run: fn(&View<'_>, &mut Rng) -> Result<Asked, ApiError>,
    ) -> OperationSpec {
        OperationSpec {
            name,
            run: Operation::Messages(run),
            proven: false,
        }
    }

    pub(crate) const fn write(name: &'static str, run: fn(&mut Tx<'_>) -> Answered) -> OperationSpec {
        OperationSpec {
            name,
            run: Operation::Write(run),
            proven: false,
        }
    }
}
