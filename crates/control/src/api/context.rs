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
    /// Where the caller reached us, such as `http://127.0.0.1:8080`; empty if no caller did.
    pub endpoint: &'a str,
    /// The instance whose keys the caller has, if it is one's.
    pub instance: Option<&'a str>,
    /// Whether a signature has proven who the caller is.
    pub is_proven: bool,
}

/// What an operation sees: the call, what the data plane has observed, the state. Nothing can be changed through it.
pub(crate) struct View<'a> {
    /// The call.
    pub(crate) request: &'a Request<'a>,
    /// What the data plane has observed.
    pub(crate) observations: &'a dyn Observations,
    /// The state.
    pub(crate) state: State,
    /// How operations are found by their names.
    pub(crate) find: Find,
    region: Arc<Region>,
}

/// Finds the operation of a service by its name, in whatever case.
pub(crate) type Find = fn(Service, &str) -> Option<&'static OperationSpec>;

impl<'a> View<'a> {
    /// What the operation of `request` sees of `state`.
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

    /// The same, for an operation that looks for others.
    pub(crate) fn finding(self, find: Find) -> View<'a> {
        View { find, ..self }
    }

    /// The request's region as it now is.
    pub(crate) fn region(&self) -> &Region {
        self.state
            .existing_region(self.request.region)
            .unwrap_or(&self.region)
    }

    /// The region that keeps what belongs to no region.
    pub(crate) fn home(&self) -> Arc<Region> {
        self.state.region(&self.state.settings().default_region)
    }

    /// Whose habits answers follow.
    pub(crate) fn dialect(&self) -> Dialect {
        self.state.settings().dialect
    }

    /// The input, read into the operation's own words.
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

/// An operation that writes, at work: it sees what it has changed so far. Thrown away if the operation errs.
pub(crate) struct Tx<'a> {
    view: View<'a>,
    /// Random draws for ids.
    pub(crate) rng: &'a mut Rng,
    changed: bool,
}

// Whoever only reads takes a `View`, and is lent that of an operation that writes. There is no way to a `View` that can be changed.
impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Tx<'a> {
    /// An operation that sees this and has not changed anything yet.
    pub(crate) fn new(view: View<'a>, rng: &'a mut Rng) -> Tx<'a> {
        Tx {
            view,
            rng,
            changed: false,
        }
    }

    /// Whether it has changed anything so far.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// The state that it leaves; none if nothing changed.
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

    /// Carries out another operation as a part of this one, with the same caller and at the same time. If it errs it leaves nothing
    /// behind.
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

    /// The request's region, to change it.
    pub(crate) fn region_mut(&mut self) -> &mut Region {
        self.region_named_mut(self.view.request.region)
    }

    /// A region, to change it.
    pub(crate) fn region_named_mut(&mut self, name: &str) -> &mut Region {
        self.state_mut().region_mut(name)
    }

    /// The region that keeps what belongs to no region, to change it.
    pub(crate) fn home_mut(&mut self) -> &mut Region {
        let home = self.state.settings().default_region.clone();
        self.region_named_mut(&home)
    }

    /// Takes a free IPv4 address of a subnet's part of the pool for `owner`; none if the pool is used up.
    pub(crate) fn take_address(&mut self, subnet_id: &str, owner: &str) -> Option<IpAddr> {
        let region = self.request.region;
        // A region that nobody has written to has its subnets' slices only once it is made.
        self.region_mut();
        self.state_mut()
            .take_address(region, subnet_id, owner, IpVersion::V4)
    }

    /// Gives a load balancer's nodes the addresses that they need, and back what they no longer do.
    pub(crate) fn place_nodes(&mut self, balancer: &mut LoadBalancer) -> Result<(), NoAddress> {
        let region = self.request.region;
        self.region_mut();
        let state = self.state_mut();
        state.give_back(region, balancer);
        state.place(region, balancer, false)
    }

    /// Gives an address back.
    pub(crate) fn free_address(&mut self, address: IpAddr) {
        self.region_mut().addresses.remove(&address.to_string());
    }

    /// Takes a free slice of the pool for a new subnet; none if the pool is used up.
    pub(crate) fn take_slice(&mut self, subnet_id: &str) -> Option<u32> {
        self.state_mut().take_slice(subnet_id)
    }

    /// Gives a deleted subnet's slice back.
    pub(crate) fn free_slice(&mut self, slice: u32) {
        self.state_mut().free_slice(slice);
    }
}

/// To Elastic Load Balancing a blank text is one that was not given (Terraform sends `ProtocolVersion=`).
fn leave_out_blanks(input: &mut Value) {
    if let Some(members) = input.as_object_mut() {
        members.retain(|_, member| member.as_str() != Some(""));
    }
}

/// What an operation leads to for its caller.
pub(crate) type Answered = Result<Value, ApiError>;

/// What an operation is in code. One that only reads is given no way to write, and only one that is about datapoints sees them.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Read(fn(&View<'_>) -> Answered),
    /// It reads or puts datapoints, and changes no state.
    Datapoints(fn(&View<'_>, &dyn Datapoints) -> Answered),
    /// It asks something of messages, which are no part of the state, and changes no state. The random numbers are for new ids.
    Messages(fn(&View<'_>, &mut Rng) -> Result<Asked, ApiError>),
    Write(fn(&mut Tx<'_>) -> Answered),
}

/// An operation that is served.
pub struct OperationSpec {
    pub(crate) name: &'static str,
    pub(crate) run: Operation,
    /// Whether its caller must be proven, even where nobody else must.
    pub(crate) proven: bool,
}

impl OperationSpec {
    /// Its name, such as `CreateLoadBalancer`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its caller must have proven who it is by a signature, even where signatures are not checked: what it brings is run.
    pub const fn needs_proof(&self) -> bool {
        self.proven
    }

    /// The same, of which the caller must be proven.
    pub(crate) const fn proven(mut self) -> OperationSpec {
        self.proven = true;
        self
    }

    /// Whether it asks something of messages or of functions, past the writer.
    pub const fn asks_messages(&self) -> bool {
        matches!(self.run, Operation::Messages(_))
    }

    /// Whether it may change the state: if not, it needs no writer.
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
