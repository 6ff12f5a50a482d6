//! Links: the messages between nodes and agents, and when each end learns that a channel is broken.

use crate::scene::MS;
use crate::world::{Event, World};
use forebay_admission::permits::{Output, Session, WorkId};
use forebay_units::Mono;
use std::time::Duration;

/// How soon a peer that is told learns that a channel is broken, in microseconds.
const SOON: (u64, u64) = (0, 5000);

#[derive(Debug)]
pub(crate) enum ToAgent {
    Hello,
    Demand { waiting: u64, seen: u64 },
    Return(Vec<WorkId>),
}

#[derive(Debug)]
pub(crate) enum ToNode {
    Welcome,
    Grant(Vec<WorkId>),
    Recall(u32),
}

impl World {
    pub(crate) fn dial(&mut self, node: usize, target: usize, epoch: u32, waited: Duration) {
        let at = self.at(node, target);
        if !self.nodes[node].alive || self.channels[at].epoch != epoch {
            return;
        }
        if !self.agents[target].alive {
            let wait = (waited * 2).clamp(50 * MS, 800 * MS);
            let jitter = self.between(wait.as_micros() as u64 / 2, wait.as_micros() as u64);
            self.after(
                jitter,
                Event::Dial {
                    node,
                    target,
                    epoch,
                    waited: wait,
                },
            );
            return;
        }
        self.say(node, target, ToAgent::Hello);
    }

    fn say(&mut self, node: usize, target: usize, message: ToAgent) {
        let (delay, at) = (self.delay(), self.at(node, target));
        let channel = &mut self.channels[at];
        let arrives = (self.now + delay).max(channel.last_to_agent).max(channel.stalled);
        channel.last_to_agent = arrives;
        let epoch = channel.epoch;
        self.push(
            arrives,
            Event::ToAgent {
                node,
                target,
                epoch,
                message,
            },
        );
    }

    fn answer(&mut self, node: usize, target: usize, message: ToNode) {
        let (delay, at) = (self.delay(), self.at(node, target));
        let channel = &mut self.channels[at];
        let arrives = (self.now + delay).max(channel.last_to_node).max(channel.stalled);
        channel.last_to_node = arrives;
        let epoch = channel.epoch;
        self.push(
            arrives,
            Event::ToNode {
                node,
                target,
                epoch,
                message,
            },
        );
    }

    pub(crate) fn hear_node(&mut self, node: usize, target: usize, epoch: u32, message: ToAgent) {
        let at = self.at(node, target);
        if self.channels[at].epoch != epoch {
            return;
        }
        let agent = &mut self.agents[target];
        if !agent.alive {
            // Refused or reset: the node learns of it.
            let delay = self.delay();
            self.after(delay, Event::NodeLearns { node, target, epoch });
            return;
        }
        match message {
            ToAgent::Hello => {
                let session = agent.permit_issuer.join(self.now);
                agent.sessions.insert(session, node);
                self.channels[at].session = Some(session);
                self.answer(node, target, ToNode::Welcome);
            }
            ToAgent::Demand { waiting, seen } => {
                if let Some(session) = self.channels[at].session {
                    agent.permit_issuer.demand(self.now, session, waiting, seen);
                }
                // The most frequent message to agents. It voids no permit, so no check is needed.
                self.pass_on(target);
                return;
            }
            ToAgent::Return(ids) => {
                if let Some(session) = self.channels[at].session {
                    agent.permit_issuer.returned(self.now, session, &ids);
                }
            }
        }
        self.settle(target);
    }

    pub(crate) fn hear_agent(&mut self, node: usize, target: usize, epoch: u32, message: ToNode) {
        let at = self.at(node, target);
        if self.channels[at].epoch != epoch || !self.nodes[node].alive {
            return;
        }
        let channel = &mut self.channels[at];
        match message {
            ToNode::Welcome => {
                (channel.up, channel.usable) = (true, self.now.max(channel.stalled));
                (channel.seen, channel.expected) = (0, 0);
                let restored = self.now.since(self.agents[target].since);
                if self.agents[target].life > 0 && channel.stalled < self.agents[target].since {
                    self.seen.restored = self.seen.restored.max(restored.min(Duration::from_secs(1)));
                }
            }
            ToNode::Grant(ids) => {
                channel.seen += ids.len() as u64;
                channel.expected = channel.expected.saturating_sub(ids.len() as u64);
                self.nodes[node].gate.grant(self.now, target as u64, &ids);
            }
            ToNode::Recall(count) => {
                let ids = self.nodes[node].gate.take_back(target as u64, count as usize);
                self.say(node, target, ToAgent::Return(ids));
            }
        }
        self.drain(node);
    }

    /// Sends a node's demand to all agents that last got another value.
    pub(crate) fn tell(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        (state.telling, state.told) = (false, self.now);
        if !state.alive {
            return;
        }
        let waiting = state.gate.waiting() as u64;
        for target in 0..self.scene.targets {
            let at = self.at(node, target);
            let channel = &mut self.channels[at];
            if channel.up && channel.expected != waiting {
                channel.expected = waiting;
                let seen = channel.seen;
                self.say(node, target, ToAgent::Demand { waiting, seen });
            }
        }
    }

    /// Checks what has become void at an agent, and passes on its messages.
    pub(crate) fn settle(&mut self, target: usize) {
        let agent = &mut self.agents[target];
        if !agent.alive {
            return;
        }
        // Permits that became void: their slots have been free all along.
        let void: Vec<WorkId> = agent
            .out
            .keys()
            .copied()
            .filter(|id| !agent.permit_issuer.is_out(*id))
            .collect();
        for id in void {
            if let Some((free, _)) = agent.out.remove(&id) {
                agent.freed(free);
            }
        }
        self.pass_on(target);
    }

    /// Passes on an agent's messages.
    fn pass_on(&mut self, target: usize) {
        loop {
            let agent = &mut self.agents[target];
            let ids = &mut agent.ids;
            let mut draw = || (u128::from(ids.next_u64()) << 64) | u128::from(ids.next_u64());
            let Some(output) = agent.permit_issuer.poll_output(&mut draw) else {
                break;
            };
            let session = output.session();
            let (message, ids) = match output {
                Output::Grant { ids, .. } => (ToNode::Grant(ids.clone()), ids),
                Output::Recall { count, .. } => (ToNode::Recall(count), Vec::new()),
                Output::Limit { .. } => continue,
            };
            agent.bare.make_contiguous().sort();
            for id in ids {
                let free = agent.bare.pop_front().expect("no more permits than slots");
                agent.out.insert(id, (free, false));
            }
            let node = agent.sessions[&session];
            let at = self.at(node, target);
            if self.channels[at].session == Some(session) {
                self.answer(node, target, message);
            }
        }
        let agent = &mut self.agents[target];
        let taken = agent.running.len() + agent.out.len() + agent.bare.len();
        assert_eq!(
            taken,
            (agent.limit + agent.owed) as usize,
            "seed {}: more out than there are slots, or fewer",
            self.seed
        );
        let deadline = agent.permit_issuer.next_deadline();
        if deadline < agent.deadline {
            agent.deadline = deadline;
            let life = agent.life;
            self.push(deadline, Event::Deadline { target, life });
        }
    }

    pub(crate) fn node_learns(&mut self, node: usize, target: usize, epoch: u32) {
        let at = self.at(node, target);
        if self.channels[at].epoch != epoch || !self.nodes[node].alive {
            return;
        }
        self.channels[at].epoch += 1;
        (self.channels[at].up, self.channels[at].usable) = (false, Mono::NEVER);
        self.nodes[node].gate.lost(target as u64);
        self.drain(node);
        let (wait, epoch) = (self.between(25_000, 50_000), self.channels[at].epoch);
        self.after(
            wait,
            Event::Dial {
                node,
                target,
                epoch,
                waited: 50 * MS,
            },
        );
    }

    /// Tells a channel's agent that the channel is broken, soon or late.
    pub(crate) fn tell_agent(&mut self, target: usize, session: Session, late: Option<(u64, u64)>) {
        let (least, most) = late.unwrap_or(SOON);
        let (learns, life) = (self.between(least, most), self.agents[target].life);
        self.after(
            learns,
            Event::AgentLearns {
                target,
                life,
                session,
            },
        );
    }
}
