//! Requests arrive, wait, are sent, begin at an agent and end.

use crate::scene::COALESCE;
use crate::world::{Event, World};
use forebay_admission::permits::WorkId;
use forebay_admission::{Arrival, Leaving, Verdict};
use forebay_units::Mono;
use std::time::Duration;

pub(crate) type Request = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Good,
    /// Not processed, so it may be sent elsewhere.
    Refused,
    /// The agent died with it.
    Broken,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) node: usize,
    pub(crate) target: usize,
    pub(crate) permit: Option<WorkId>,
    pub(crate) since: Mono,
    /// The life of the node that it belongs to.
    pub(crate) life: u32,
}

impl World {
    /// A request arrives. The rate follows the waves, and each node gets its share.
    pub(crate) fn arrive(&mut self) {
        if self.is_over() {
            return;
        }
        // All targets may be drained.
        let slots = 1.max(self.agents.iter().map(|agent| u64::from(agent.limit)).sum());
        let (low, high) = self.scene.load;
        let load = low + (self.seed * 37) % (high - low + 1);
        let per_second = slots as f64 * load as f64 / 100.0 / self.scene.service.as_secs_f64();
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let gap = Duration::from_secs_f64(-(1.0 - uniform).ln() / per_second);
        let wave = self.scene.wave.as_nanos() as u64;
        let pause = if (self.now.0 / wave) % 2 == 1 {
            Duration::from_nanos(wave - self.now.0 % wave)
        } else {
            gap
        };
        self.after(pause.max(gap), Event::Arrive);
        let mut ticket = self.rng.below(self.weights.iter().sum());
        let node = self.weights.iter().position(|&weight| {
            let here = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            here
        });
        if let Some(node) = node.filter(|&node| self.nodes[node].alive) {
            self.flights.push(Flight {
                node,
                target: usize::MAX,
                permit: None,
                since: self.now,
                life: self.nodes[node].life,
            });
            let request = (self.flights.len() - 1) as Request;
            self.ask(request, false);
            if self.rng.below(50) == 0 {
                let (life, gone) = (self.nodes[node].life, self.between(1000, 200_000));
                self.after(gone, Event::Leaves { request, node, life });
            }
        }
    }

    fn ask(&mut self, request: Request, front: bool) {
        let flight = self.flights[request as usize];
        let arrival = Arrival {
            zone: 0,
            class: 0,
            weight: 1,
            since: flight.since,
            deadline: flight.since + Duration::from_secs(3600),
            front,
            avoid: &[],
            prefers: None,
        };
        let node = &mut self.nodes[flight.node];
        match node.gate.arrive(self.now, &arrival, &mut self.gates, || request) {
            Verdict::Admitted(slot) => self.send(request, slot.key as usize, slot.permit),
            Verdict::Waits(place) => {
                self.seen.waited += u64::from(!front);
                node.places.insert(request, place);
            }
            Verdict::Refused(refusal) => panic!("seed {}: {refusal:?}", self.seed),
        }
        self.drain(flight.node);
    }

    pub(crate) fn leaves(&mut self, request: Request, node: usize, life: u32) {
        if self.nodes[node].life == life
            && let Some(place) = self.nodes[node].places.remove(&request)
        {
            self.nodes[node]
                .gate
                .leave(self.now, place, Leaving::Gone)
                .expect("it waits");
            self.seen.left += 1;
            self.drain(node);
        }
    }

    /// Sends the requests that are released at this node, and checks whether its demand has changed.
    pub(crate) fn drain(&mut self, node: usize) {
        while let Some(released) = self.nodes[node].gate.poll(self.now) {
            self.nodes[node].places.remove(&released.waiter);
            let slot = released.outcome.expect("all may wait for long");
            self.send(released.waiter, slot.key as usize, slot.permit);
        }
        let state = &mut self.nodes[node];
        match (state.gate.waiting(), state.waits_since) {
            (0, _) => state.waits_since = None,
            (_, None) => state.waits_since = Some(self.now),
            _ => {}
        }
        if !state.telling {
            state.telling = true;
            let (at, life) = (state.told + COALESCE, state.life);
            self.push(at, Event::Tell { node, life });
        }
    }

    fn send(&mut self, request: Request, target: usize, permit: Option<WorkId>) {
        let flight = &mut self.flights[request as usize];
        (flight.target, flight.permit) = (target, permit);
        let id = permit.expect("slots are permits");
        let waits = self.waits_since(target);
        if let Some((free, used)) = self.agents[target].out.get_mut(&id) {
            *used = true;
            let free = *free;
            self.idle(target, free, waits, "until it was used");
        }
        let delay = self.delay();
        let life = self.agents[target].life;
        self.after(delay, Event::In { request, life });
    }

    pub(crate) fn begin(&mut self, request: Request, life: u32) {
        let flight = self.flights[request as usize];
        if self.nodes[flight.node].life != flight.life {
            return;
        }
        let (delay, service) = (self.delay(), self.service());
        let agent = &mut self.agents[flight.target];
        let id = flight.permit.expect("has one");
        // If the agent is gone, its machine refuses; if it was restarted, the new agent does.
        let begun = if agent.alive {
            agent.permit_issuer.begin(self.now, id).ok()
        } else {
            None
        };
        let Some(work) = begun else {
            self.seen.refused += 1;
            self.settle(flight.target);
            self.after(
                delay,
                Event::Out {
                    request,
                    answer: Answer::Refused,
                },
            );
            return;
        };
        assert_eq!(
            life, agent.life,
            "seed {}: a permit of another life was taken",
            self.seed
        );
        agent.out.remove(&id);
        agent.running.insert(request, work);
        assert!(
            agent.running.len() <= agent.limit as usize,
            "seed {}: {} in flight at target {}",
            self.seed,
            agent.running.len(),
            flight.target
        );
        self.settle(flight.target);
        let target = flight.target;
        self.after(
            service,
            Event::Done {
                request,
                target,
                life,
            },
        );
    }

    /// Mostly near the mean, sometimes ten times that.
    fn service(&mut self) -> Duration {
        let mean = self.scene.service.as_micros() as u64;
        if self.rng.below(20) == 0 {
            self.between(mean, mean * 10)
        } else {
            self.between(mean / 20, mean * 3 / 2)
        }
    }

    pub(crate) fn done(&mut self, request: Request, target: usize, life: u32) {
        let agent = &mut self.agents[target];
        if agent.life != life {
            return;
        }
        let Some(work) = agent.running.remove(&request) else {
            return;
        };
        agent.permit_issuer.end(self.now, work);
        agent.freed(self.now);
        self.settle(target);
        let delay = self.delay();
        self.after(
            delay,
            Event::Out {
                request,
                answer: Answer::Good,
            },
        );
    }

    pub(crate) fn answered(&mut self, request: Request, answer: Answer) {
        let flight = self.flights[request as usize];
        let node = &mut self.nodes[flight.node];
        if !node.alive || node.life != flight.life {
            return;
        }
        let took = (answer == Answer::Good).then(|| self.now.since(flight.since));
        node.gate.release(self.now, flight.target as u64, took);
        self.seen.served += u64::from(answer == Answer::Good);
        match answer {
            Answer::Refused => self.ask(request, true),
            Answer::Good | Answer::Broken => self.drain(flight.node),
        }
    }
}
