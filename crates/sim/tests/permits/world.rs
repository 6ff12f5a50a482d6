//! Nodes, agents and the links between them, and the events.

use crate::links::{ToAgent, ToNode};
use crate::requests::{Answer, Flight, Request};
use crate::scene::{LOOK, MS, Scene, Seen};
use forebay_admission::permits::{PermitIssuer, Session, Work, WorkId};
use forebay_admission::{Gate, Limit, Member, Place, Rules};
use forebay_units::{Mono, Rng};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

#[derive(Debug)]
pub(crate) enum Event {
    Arrive,
    ToAgent {
        node: usize,
        target: usize,
        epoch: u32,
        message: ToAgent,
    },
    ToNode {
        node: usize,
        target: usize,
        epoch: u32,
        message: ToNode,
    },
    /// A node reports its demand.
    Tell {
        node: usize,
        life: u32,
    },
    /// A node dials an agent, after it has waited this long.
    Dial {
        node: usize,
        target: usize,
        epoch: u32,
        waited: Duration,
    },
    /// A node or an agent learns that a channel is broken.
    NodeLearns {
        node: usize,
        target: usize,
        epoch: u32,
    },
    AgentLearns {
        target: usize,
        life: u32,
        session: Session,
    },
    Deadline {
        target: usize,
        life: u32,
    },
    /// A request arrives at an agent.
    In {
        request: Request,
        life: u32,
    },
    /// The application is done with a request.
    Done {
        request: Request,
        target: usize,
        life: u32,
    },
    /// The answer arrives at the node.
    Out {
        request: Request,
        answer: Answer,
    },
    Leaves {
        request: Request,
        node: usize,
        life: u32,
    },
    Trouble,
    NodeStarts {
        node: usize,
    },
    AgentStarts {
        target: usize,
    },
    Look,
}

#[derive(Debug)]
pub(crate) struct Channel {
    /// The number of the connection: messages of older ones are lost.
    pub(crate) epoch: u32,
    pub(crate) up: bool,
    /// Since when the node could use it.
    pub(crate) usable: Mono,
    pub(crate) seen: u64,
    pub(crate) expected: u64,
    pub(crate) session: Option<Session>,
    /// Messages of a connection arrive in order, so none may arrive before these times.
    pub(crate) last_to_agent: Mono,
    pub(crate) last_to_node: Mono,
    pub(crate) stalled: Mono,
}

pub(crate) struct Node {
    pub(crate) gate: Gate<usize, Request>,
    pub(crate) life: u32,
    pub(crate) alive: bool,
    pub(crate) waits_since: Option<Mono>,
    pub(crate) told: Mono,
    pub(crate) telling: bool,
    pub(crate) places: BTreeMap<Request, Place>,
}

pub(crate) struct Agent {
    pub(crate) permit_issuer: PermitIssuer,
    pub(crate) limit: u32,
    pub(crate) life: u32,
    pub(crate) alive: bool,
    pub(crate) since: Mono,
    pub(crate) sessions: BTreeMap<Session, usize>,
    pub(crate) deadline: Mono,
    pub(crate) running: BTreeMap<Request, Work>,
    /// Permits that are out, each with the time since when its slot has been free, and whether a request is on its way with
    /// it.
    pub(crate) out: BTreeMap<WorkId, (Mono, bool)>,
    /// Slots without a permit, each with the time since when it is free.
    pub(crate) bare: VecDeque<Mono>,
    /// Slots in use or granted beyond a lowered limit: the next ones that become free are given up.
    pub(crate) owed: u32,
    pub(crate) ids: Rng,
}

pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) seed: u64,
    pub(crate) now: Mono,
    pub(crate) events: BinaryHeap<Reverse<(Mono, u64, Boxed)>>,
    pub(crate) pushed: u64,
    pub(crate) rng: Rng,
    pub(crate) gates: Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) last_death: Option<Mono>,
    pub(crate) weights: Vec<u64>,
    pub(crate) seen: Seen,
}

/// An event that is ordered by time and number alone.
pub(crate) struct Boxed(Event);
impl PartialEq for Boxed {
    fn eq(&self, _: &Boxed) -> bool {
        true
    }
}
impl Eq for Boxed {}
impl PartialOrd for Boxed {
    fn partial_cmp(&self, other: &Boxed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Boxed {
    fn cmp(&self, _: &Boxed) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl World {
    pub(crate) fn new(scene: Scene, seed: u64) -> World {
        let mut rng = Rng::named(seed, "world");
        let agents = (0..scene.targets).map(|target| {
            let limit = scene.limits[rng.below(3) as usize];
            Agent {
                permit_issuer: PermitIssuer::new(limit, 1),
                limit,
                life: 0,
                alive: true,
                since: Mono::ZERO,
                sessions: BTreeMap::new(),
                deadline: Mono::NEVER,
                running: BTreeMap::new(),
                out: BTreeMap::new(),
                bare: (0..limit).map(|_| Mono::ZERO).collect(),
                owed: 0,
                ids: Rng::named(seed * 10_000 + target as u64, "ids"),
            }
        });
        let agents: Vec<Agent> = agents.collect();
        let channel = |_| Channel {
            epoch: 0,
            up: false,
            usable: Mono::NEVER,
            seen: 0,
            expected: 0,
            session: None,
            last_to_agent: Mono::ZERO,
            last_to_node: Mono::ZERO,
            stalled: Mono::ZERO,
        };
        let mut world = World {
            scene,
            seed,
            now: Mono::ZERO,
            events: BinaryHeap::new(),
            pushed: 0,
            gates: Rng::named(seed, "gates"),
            nodes: (0..scene.nodes).map(|_| Node::new(scene.targets)).collect(),
            agents,
            channels: (0..scene.nodes * scene.targets).map(channel).collect(),
            flights: Vec::new(),
            last_death: None,
            weights: (0..scene.nodes)
                .map(|_| [0, 1, 1, 5][rng.below(4) as usize])
                .collect(),
            seen: Seen::default(),
            rng,
        };
        for node in 0..scene.nodes {
            // One of four nodes joins later.
            let later = if node > 0 && world.rng.below(4) == 0 {
                world.rng.below(1000)
            } else {
                0
            };
            world.after(MS * later as u32, Event::NodeStarts { node });
        }
        if world.weights.iter().all(|&weight| weight == 0) {
            world.weights[0] = 1;
        }
        world.after(50 * MS, Event::Arrive);
        world.after(60 * MS, Event::Trouble);
        world.after(LOOK, Event::Look);
        world
    }

    pub(crate) fn after(&mut self, time: Duration, event: Event) {
        self.push(self.now + time, event);
    }

    pub(crate) fn push(&mut self, at: Mono, event: Event) {
        self.pushed += 1;
        self.events
            .push(Reverse((at.max(self.now), self.pushed, Boxed(event))));
    }

    pub(crate) fn between(&mut self, low_us: u64, high_us: u64) -> Duration {
        Duration::from_micros(low_us + self.rng.below(high_us - low_us))
    }

    pub(crate) fn delay(&mut self) -> Duration {
        self.between(100, 2000)
    }

    /// Plays the scene, then lets everything come to rest and checks that nothing is lost.
    pub(crate) fn play(mut self) -> Seen {
        let rest = Mono::ZERO + self.scene.time + Duration::from_secs(4);
        while let Some(Reverse((at, _, Boxed(event)))) = self.events.pop() {
            if at > rest {
                break;
            }
            self.now = at;
            self.seen.events += 1;
            self.take(event);
        }
        self.check_rest();
        self.seen
    }

    pub(crate) fn is_over(&self) -> bool {
        self.now >= Mono::ZERO + self.scene.time
    }

    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::ToAgent {
                node,
                target,
                epoch,
                message,
            } => self.hear_node(node, target, epoch, message),
            Event::ToNode {
                node,
                target,
                epoch,
                message,
            } => self.hear_agent(node, target, epoch, message),
            Event::Tell { node, life } if self.nodes[node].life == life => self.tell(node),
            Event::Dial {
                node,
                target,
                epoch,
                waited,
            } => self.dial(node, target, epoch, waited),
            Event::NodeLearns { node, target, epoch } => self.node_learns(node, target, epoch),
            Event::AgentLearns {
                target,
                life,
                session,
            } if self.agents[target].life == life => {
                self.agents[target].sessions.remove(&session);
                self.agents[target].permit_issuer.part(self.now, session);
                self.settle(target);
            }
            Event::Deadline { target, life } if self.agents[target].life == life => {
                self.agents[target].deadline = Mono::NEVER;
                if self.agents[target].permit_issuer.next_deadline() <= self.now {
                    self.agents[target].permit_issuer.handle_deadline(self.now);
                }
                self.settle(target);
            }
            Event::In { request, life } => self.begin(request, life),
            Event::Done {
                request,
                target,
                life,
            } => self.done(request, target, life),
            Event::Out { request, answer } => self.answered(request, answer),
            Event::Leaves { request, node, life } => self.leaves(request, node, life),
            Event::Trouble if !self.is_over() => self.trouble(),
            Event::NodeStarts { node } => self.node_starts(node),
            Event::AgentStarts { target } => self.agent_starts(target),
            Event::Look => {
                (0..self.scene.targets).for_each(|target| self.look(target));
                self.after(LOOK, Event::Look);
            }
            _ => {}
        }
    }
    pub(crate) fn at(&self, node: usize, target: usize) -> usize {
        node * self.scene.targets + target
    }
}

impl Agent {
    /// A slot has been free since this time.
    pub(crate) fn freed(&mut self, since: Mono) {
        if self.owed > 0 {
            self.owed -= 1;
        } else {
            self.bare.push_back(since);
        }
    }
}

impl Node {
    pub(crate) fn new(targets: usize) -> Node {
        let mut gate = Gate::new(Rules {
            limit: Limit::Permits,
            length: 1_000_000,
            wait: Duration::from_secs(3600),
            balanced: false,
        });
        let member = |target| Member {
            key: target as u64,
            zone: None,
            weight: 1,
            target,
        };
        gate.arrange(Mono::ZERO, (0..targets).map(member).collect());
        Node {
            gate,
            life: 0,
            alive: false,
            waits_since: None,
            told: Mono::ZERO,
            telling: false,
            places: BTreeMap::new(),
        }
    }
}
