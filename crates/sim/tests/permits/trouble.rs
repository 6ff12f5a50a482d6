//! Troubles: limits change, links stall and break, nodes and agents die and come back.

use crate::requests::{Answer, Request};
use crate::scene::MS;
use crate::world::{Event, Node, World};
use forebay_admission::permits::PermitIssuer;
use forebay_units::Mono;
use std::time::Duration;

impl World {
    pub(crate) fn trouble(&mut self) {
        let mean = self.scene.trouble.as_micros() as u64;
        let next = self.between(1, 2 * mean);
        self.after(next, Event::Trouble);
        let node = self.rng.below(self.scene.nodes as u64) as usize;
        let target = self.rng.below(self.scene.targets as u64) as usize;
        match self.rng.below(20) {
            0 if self.nodes[node].alive => self.node_dies(node),
            3 if self.agents[target].alive => self.limit_changes(target),
            1 | 2 if self.agents[target].alive => self.agent_dies(target),
            4..=10 => self.breaks(node, target),
            _ => self.stalls(node, target),
        }
    }

    /// Mostly to another limit; sometimes to zero, which drains the target.
    fn limit_changes(&mut self, target: usize) {
        self.seen.limits += 1;
        let [few, some, many] = self.scene.limits;
        let limit = [0, few, some, many][self.rng.below(4) as usize];
        let agent = &mut self.agents[target];
        for _ in agent.limit..limit {
            agent.freed(self.now);
        }
        for _ in limit..agent.limit {
            if agent.bare.pop_back().is_none() {
                agent.owed += 1;
            }
        }
        agent.limit = limit;
        agent.permit_issuer.set_limit(self.now, limit);
        self.settle(target);
    }

    fn stalls(&mut self, node: usize, target: usize) {
        let (time, at) = (self.between(1000, 300_000), self.at(node, target));
        let channel = &mut self.channels[at];
        channel.stalled = channel.stalled.max(self.now + time);
        if channel.up {
            channel.usable = channel.usable.max(channel.stalled);
            self.seen.stalls += 1;
        }
    }

    /// A connection is lost. Each end learns of it at its own time, an agent perhaps late.
    fn breaks(&mut self, node: usize, target: usize) {
        let at = self.at(node, target);
        let channel = &mut self.channels[at];
        channel.epoch += 1;
        channel.usable = Mono::NEVER;
        (channel.stalled, channel.last_to_agent, channel.last_to_node) = (self.now, self.now, self.now);
        let (epoch, session) = (channel.epoch, channel.session.take());
        self.seen.breaks += u64::from(session.is_some());
        let soon = self.between(0, 5000);
        self.after(soon, Event::NodeLearns { node, target, epoch });
        if let Some(session) = session {
            let late = (self.rng.below(3) == 0).then_some((10_000, 500_000));
            self.tell_agent(target, session, late);
        }
    }

    /// Either a process is killed and its machine tells the peers, or the machine is gone and nobody does.
    fn node_dies(&mut self, node: usize) {
        self.seen.node_deaths += 1;
        self.last_death = Some(self.now);
        let silent = self.rng.below(2) == 0;
        let late = silent.then_some((300_000, 1_000_000));
        let state = &mut self.nodes[node];
        (state.alive, state.waits_since) = (false, None);
        state.life += 1;
        for target in 0..self.scene.targets {
            let at = self.at(node, target);
            let channel = &mut self.channels[at];
            channel.epoch += 1;
            (channel.up, channel.usable) = (false, Mono::NEVER);
            if let Some(session) = channel.session.take() {
                self.tell_agent(target, session, late);
            }
            if silent {
                continue;
            }
            // Its requests are cut off.
            let cut: Vec<Request> = self.agents[target].running.keys().copied().collect();
            for request in cut {
                if self.flights[request as usize].node == node {
                    let (learns, life) = (self.between(0, 5000), self.agents[target].life);
                    self.after(
                        learns,
                        Event::Done {
                            request,
                            target,
                            life,
                        },
                    );
                }
            }
        }
        let back = self.between(50_000, 500_000);
        self.after(back, Event::NodeStarts { node });
    }

    pub(crate) fn node_starts(&mut self, node: usize) {
        let life = self.nodes[node].life + 1;
        self.nodes[node] = Node::new(self.scene.targets);
        self.nodes[node].alive = true;
        self.nodes[node].life = life;
        for target in 0..self.scene.targets {
            let at = self.at(node, target);
            self.channels[at].epoch += 1;
            (self.channels[at].stalled, self.channels[at].expected) = (self.now, 0);
            let (soon, epoch) = (self.between(0, 5000), self.channels[at].epoch);
            self.dial_after(soon, node, target, epoch);
        }
    }

    /// Has the node dial the agent after this delay, for the first time since it lost the channel.
    fn dial_after(&mut self, delay: Duration, node: usize, target: usize, epoch: u32) {
        let waited = 25 * MS;
        self.after(
            delay,
            Event::Dial {
                node,
                target,
                epoch,
                waited,
            },
        );
    }

    fn agent_dies(&mut self, target: usize) {
        self.seen.agent_deaths += 1;
        let agent = &mut self.agents[target];
        self.seen.revoked += agent.permit_issuer.figures().revoked;
        agent.alive = false;
        agent.life += 1;
        // Requests that it relayed are cut off on both sides.
        let running = std::mem::take(&mut agent.running);
        for request in running.into_keys() {
            let delay = self.delay();
            self.after(
                delay,
                Event::Out {
                    request,
                    answer: Answer::Broken,
                },
            );
        }
        for node in 0..self.scene.nodes {
            let at = self.at(node, target);
            let channel = &mut self.channels[at];
            channel.epoch += 1;
            channel.usable = Mono::NEVER;
            let (epoch, had) = (channel.epoch, channel.session.take().is_some() || channel.up);
            let soon = self.between(0, 5000);
            if had {
                self.after(soon, Event::NodeLearns { node, target, epoch });
            } else if self.nodes[node].alive {
                self.dial_after(soon, node, target, epoch);
            }
        }
        let back = self.between(10_000, 300_000);
        self.after(back, Event::AgentStarts { target });
    }

    pub(crate) fn agent_starts(&mut self, target: usize) {
        let agent = &mut self.agents[target];
        agent.permit_issuer = PermitIssuer::new(agent.limit, u64::from(agent.life) + 1);
        (agent.alive, agent.since, agent.deadline) = (true, self.now, Mono::NEVER);
        agent.sessions.clear();
        agent.out.clear();
        agent.bare = (0..agent.limit).map(|_| self.now).collect();
        agent.owed = 0;
    }
}
