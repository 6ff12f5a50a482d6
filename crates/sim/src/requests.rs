//! Requests of the simulation. Each takes its way through the data plane's own `Exchange`.

use crate::crowd::Kind;
use crate::events::Next;
use crate::figures::Seen;
use crate::fleet::Change;
use crate::scene::target_at;
use crate::target::Trip;
use crate::users::{Ask, Source};
use crate::world::World;
use core::time::Duration;
use forebay_node::{ConnectError, Death, Exchange, Facts, Headers, Outcome, Request, Sent, Speaks, Step};
use forebay_units::{Mono, Wall};
use std::sync::Arc;

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

impl World {
    pub(crate) fn user(&mut self, crowd: usize) {
        self.enter(Source::Crowd(crowd));
        if let Some(next) = self.users.next_of(crowd, self.now, &mut self.rng[0]) {
            self.at(next, Next::User(crowd));
        }
    }

    /// Schedules the next request of a flow, at `now` or later.
    pub(crate) fn flow(&mut self, flow: usize, now: u64) {
        if let Some((at, takes)) = self.flows[flow].next(now, &mut self.rng[0]) {
            self.flows[flow].takes = takes;
            self.at(at, Next::Flow(flow));
        }
    }

    pub(crate) fn flow_on(&mut self, flow: usize) {
        self.enter(Source::Flow(self.flows[flow].takes));
        self.flow(flow, self.now);
    }

    /// Ends a request's wait.
    pub(crate) fn wait_over(&mut self, mut trip: Box<Trip>, outcome: Outcome) {
        trip.waited += self.now - trip.since;
        self.count(Change::WaitOver);
        self.report(trip, outcome);
    }

    /// Adds a user, who sends the first request at once.
    pub(crate) fn enter(&mut self, source: Source) {
        let user = self.users.enter(source);
        self.at(self.now, Next::Request(user));
    }

    pub(crate) fn request(&mut self, user: usize) {
        let Some(Ask { kind, worker, takes }) = self.users.ask(user, self.now) else {
            return;
        };
        self.count(Change::Came);
        let snapshot = Arc::clone(&self.snapshot);
        let listener = &snapshot.listeners[0];
        let nodes = usize::from(self.zones).min(listener.nodes.len());
        let request = Request {
            facts: Facts {
                method: match kind {
                    Kind::Get => b"GET",
                    Kind::Post => b"POST",
                },
                host: b"balancer",
                path: b"/",
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone: listener.nodes[user % nodes].zone,
            speaks: Speaks::Http1,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        };
        let now = Mono(self.now);
        let (exchange, step) = Exchange::begin(now, &request, listener, &snapshot, &mut self.workers[worker]);
        let trip = Box::new(Trip {
            exchange,
            worker,
            user,
            kind,
            takes,
            began: self.now,
            since: self.now,
            waited: 0,
            target: 0,
            status: 0,
        });
        self.follow(trip, step);
    }

    fn follow(&mut self, mut trip: Box<Trip>, step: Step) {
        match step {
            Step::Send { target, .. } => {
                trip.target = target.address.map_or(u16::MAX, target_at);
                let target = trip.target;
                let place = self.free.last().copied().unwrap_or(self.trips.len());
                let Some(Some(actor)) = self.actors.get_mut(usize::from(target)) else {
                    return self.report(trip, Outcome::NotConnected(ConnectError::Refused));
                };
                let held = actor.behaviour.failing.is_none();
                let takes = match actor.behaviour.failing {
                    Some(after) => Some(after.as_nanos() as u64),
                    None => actor.take(place, &trip, &mut self.rng[1]),
                };
                trip.since = self.now;
                self.keep(trip);
                self.count(Change::Sent);
                self.loads[usize::from(target)] += 1;
                if let Some(takes) = takes {
                    self.at(self.now + takes, Next::Done(place, held));
                }
            }
            Step::Wait { ticket, until } => {
                trip.since = self.now;
                self.count(Change::Waits);
                let wait = self.waits.keep(trip, &ticket);
                self.at(until.0, Next::Late(wait));
            }
            Step::Answer(answer) => {
                trip.status = answer.status;
                self.count(Change::Refused);
                self.settle(trip, Some(answer.status));
            }
            Step::Relay | Step::Abort => self.settle(trip, None),
        }
    }

    /// Stores a trip in a free place.
    fn keep(&mut self, trip: Box<Trip>) {
        match self.free.pop() {
            Some(place) => self.trips[place] = Some(trip),
            None => self.trips.push(Some(trip)),
        }
    }

    /// Kills a target. Its requests break off; places of requests that it worked on become free only when their events
    /// come.
    pub(crate) fn kill(&mut self, target: u16) {
        self.sick.insert(target);
        let actor = self.actors.get_mut(usize::from(target)).and_then(Option::take);
        let Some(actor) = actor else { return };
        self.loads[usize::from(target)] = 0;
        self.free.extend(actor.into_waiting());
        let death = Death {
            reused: false,
            sent: Sent::Some,
            replayable: true,
        };
        for place in 0..self.trips.len() {
            if let Some(trip) = self.trips[place].take_if(|trip| trip.target == target) {
                self.count(Change::Failed);
                self.report(trip, Outcome::Died(death));
            }
        }
    }

    pub(crate) fn done(&mut self, place: usize, held: bool) {
        self.free.push(place);
        let Some(mut trip) = self.trips[place].take() else {
            return;
        };
        let number = usize::from(trip.target);
        self.loads[number] -= 1;
        if held && let Some(Some(actor)) = self.actors.get_mut(number) {
            let next = actor.done();
            let waiting = next.and_then(|next| self.trips[next].as_ref().map(|trip| (next, trip)));
            if let Some((next, trip)) = waiting
                && let Some(takes) = actor.take(next, trip, &mut self.rng[1])
            {
                self.at(self.now + takes, Next::Done(next, true));
            }
        }
        let (status, change) = if held {
            (200, Change::Succeeded(self.now - trip.since))
        } else {
            (500, Change::Failed)
        };
        trip.status = status;
        self.count(change);
        let outcome = Outcome::Answered(trip.status);
        self.report(trip, outcome);
    }

    /// Reports the outcome of a step to the request's exchange, and takes the next step.
    pub(crate) fn report(&mut self, mut trip: Box<Trip>, outcome: Outcome) {
        let snapshot = Arc::clone(&self.snapshot);
        let worker = &mut self.workers[trip.worker];
        let step = trip
            .exchange
            .on(Mono(self.now), outcome, &snapshot.listeners[0], &snapshot, worker);
        self.follow(trip, step);
    }

    fn settle(&mut self, mut trip: Box<Trip>, own: Option<u16>) {
        let worker = &mut self.workers[trip.worker];
        trip.exchange
            .settle(Mono(self.now), own, &self.snapshot.listeners[0], worker);
        self.seen.push(Seen {
            at: Duration::from_nanos(trip.began),
            kind: trip.kind,
            waited: Duration::from_nanos(trip.waited),
            took: Duration::from_nanos(self.now - trip.began),
            target: own.is_none().then_some(trip.target),
            status: trip.status,
        });
        if self.users.wish(trip.user, self.now).is_some() {
            let turn = self.users.turn(trip.user, &mut self.rng[0]);
            self.at(self.now + turn, Next::Request(trip.user));
        }
    }
}
