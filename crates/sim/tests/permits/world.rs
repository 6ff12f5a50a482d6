//! Nodes, agents, links and what goes wrong with them, and the checks.

use forebay_admission::permits::{Output, Session, Turnstile, Work, WorkId};
use forebay_admission::{Arrival, Gate, Leaving, Limit, Member, Place, Rules, Verdict};
use forebay_units::{Mono, Stream};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// No slot stays free for longer while someone waits who could use it.
const BOUND: Duration = Duration::from_millis(50);
/// The same around a node's death, and how long "around" is.
const DEATH_BOUND: Duration = Duration::from_millis(100);
/// A node tells changes of its demand at most this often.
const COALESCE: Duration = MS;
/// How often free slots are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What a run consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) nodes: usize,
    pub(crate) targets: usize,
    /// Virtual time with traffic and trouble.
    pub(crate) time: Duration,
    /// Mean time between two troubles.
    pub(crate) trouble: Duration,
    /// Offered load over capacity: least and most, in per cent.
    pub(crate) load: (u64, u64),
    /// Mean service time.
    pub(crate) service: Duration,
    /// A crowd comes for so long, then none for as long.
    pub(crate) wave: Duration,
}

impl Scene {
    pub(crate) fn small() -> Scene {
        Scene {
            nodes: 4,
            targets: 20,
            time: 2000 * MS,
            trouble: 25 * MS,
            load: (50, 200),
            service: 20 * MS,
            wave: 300 * MS,
        }
    }

    pub(crate) fn large() -> Scene {
        Scene {
            nodes: 32,
            targets: 2000,
            time: 500 * MS,
            trouble: Duration::from_micros(500),
            load: (150, 200),
            service: 100 * MS,
            wave: 150 * MS,
        }
    }

    pub(crate) fn tenth(self) -> Scene {
        Scene {
            nodes: self.nodes / 4,
            targets: self.targets / 10,
            trouble: self.trouble * 10,
            ..self
        }
    }
}

/// What was met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) served: u64,
    pub(crate) waited: u64,
    pub(crate) refused: u64,
    pub(crate) revoked: u64,
    pub(crate) node_deaths: u64,
    pub(crate) agent_deaths: u64,
    pub(crate) breaks: u64,
    pub(crate) stalls: u64,
    pub(crate) limits: u64,
    pub(crate) left: u64,
    pub(crate) events: u64,
    /// Longest time that a slot was free while someone waited who could use it: usually, and around a node's death.
    pub(crate) idle: Duration,
    pub(crate) idle_around_death: Duration,
    /// Longest time from an agent's return to the last channel of a live node.
    pub(crate) restored: Duration,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Seen) {
        self.served += other.served;
        self.waited += other.waited;
        self.refused += other.refused;
        self.revoked += other.revoked;
        self.node_deaths += other.node_deaths;
        self.agent_deaths += other.agent_deaths;
        self.breaks += other.breaks;
        self.stalls += other.stalls;
        self.limits += other.limits;
        self.left += other.left;
        self.events += other.events;
        self.idle = self.idle.max(other.idle);
        self.idle_around_death = self.idle_around_death.max(other.idle_around_death);
        self.restored = self.restored.max(other.restored);
    }
}

type Request = u32;

#[derive(Debug)]
enum ToAgent {
    Hello,
    Demand { waiting: u64, seen: u64 },
    Return(Vec<WorkId>),
}

#[derive(Debug)]
enum ToNode {
    Welcome,
    Grant(Vec<WorkId>),
    Recall(u32),
}

#[derive(Debug)]
enum Event {
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
    /// A node tells its demand.
    Tell {
        node: usize,
        life: u32,
    },
    /// A node dials an agent, after it has waited so long.
    Dial {
        node: usize,
        target: usize,
        epoch: u32,
        waited: Duration,
    },
    /// A node, or an agent, learns that a channel is broken.
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
    /// A request comes to an agent.
    In {
        request: Request,
        life: u32,
    },
    /// The application is done with it.
    Done {
        request: Request,
        target: usize,
        life: u32,
    },
    /// The answer comes to the node.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Good,
    /// Not processed: it may go elsewhere.
    Refused,
    /// The agent died with it.
    Broken,
}

#[derive(Debug)]
struct Channel {
    /// Counts connections: what is under way on an older one is lost.
    epoch: u32,
    up: bool,
    /// Since when the node could use it.
    usable: Mono,
    seen: u64,
    expected: u64,
    session: Option<Session>,
    /// Messages of a connection arrive in order.
    last_to_agent: Mono,
    last_to_node: Mono,
    stalled: Mono,
}

struct Node {
    gate: Gate<usize, Request>,
    life: u32,
    alive: bool,
    waits_since: Option<Mono>,
    told: Mono,
    telling: bool,
    places: BTreeMap<Request, Place>,
}

struct Agent {
    turnstile: Turnstile,
    limit: u32,
    life: u32,
    alive: bool,
    since: Mono,
    sessions: BTreeMap<Session, usize>,
    deadline: Mono,
    running: BTreeMap<Request, Work>,
    /// Permits that are out, and since when their slots have been free; and whether a request is on its way with them.
    out: BTreeMap<WorkId, (Mono, bool)>,
    /// Slots that no permit stands for, since when they are free.
    bare: VecDeque<Mono>,
    /// Slots that are still used or granted though the limit was lowered: what comes free first pays for them.
    owed: u32,
    ids: Stream,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    node: usize,
    target: usize,
    permit: Option<WorkId>,
    since: Mono,
    /// The node's life that it belongs to.
    life: u32,
}

pub(crate) struct World {
    scene: Scene,
    seed: u64,
    now: Mono,
    events: BinaryHeap<Reverse<(Mono, u64, Boxed)>>,
    pushed: u64,
    draws: Stream,
    gates: Stream,
    nodes: Vec<Node>,
    agents: Vec<Agent>,
    channels: Vec<Channel>,
    flights: Vec<Flight>,
    last_death: Option<Mono>,
    weights: Vec<u64>,
    seen: Seen,
}

/// Ordered by time and number alone.
struct Boxed(Event);
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
        let mut draws = Stream::named(seed, "world");
        let agents = (0..scene.targets).map(|target| {
            let limit = [1, 2, 8][draws.below(3) as usize];
            Agent {
                turnstile: Turnstile::new(limit, 1),
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
                ids: Stream::named(seed * 10_000 + target as u64, "ids"),
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
            gates: Stream::named(seed, "gates"),
            nodes: (0..scene.nodes).map(|_| Node::new(scene.targets)).collect(),
            agents,
            channels: (0..scene.nodes * scene.targets).map(channel).collect(),
            flights: Vec::new(),
            last_death: None,
            weights: (0..scene.nodes)
                .map(|_| [0, 1, 1, 5][draws.below(4) as usize])
                .collect(),
            seen: Seen::default(),
            draws,
        };
        for node in 0..scene.nodes {
            // One of four joins later.
            let later = if node > 0 && world.draws.below(4) == 0 {
                world.draws.below(1000)
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

    fn after(&mut self, time: Duration, event: Event) {
        self.push(self.now + time, event);
    }

    fn push(&mut self, at: Mono, event: Event) {
        self.pushed += 1;
        self.events
            .push(Reverse((at.max(self.now), self.pushed, Boxed(event))));
    }

    fn between(&mut self, low_us: u64, high_us: u64) -> Duration {
        Duration::from_micros(low_us + self.draws.below(high_us - low_us))
    }

    fn delay(&mut self) -> Duration {
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

    fn is_over(&self) -> bool {
        self.now >= Mono::ZERO + self.scene.time
    }

    fn take(&mut self, event: Event) {
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
                self.agents[target].turnstile.part(self.now, session);
                self.settle(target);
            }
            Event::Deadline { target, life } if self.agents[target].life == life => {
                self.agents[target].deadline = Mono::NEVER;
                if self.agents[target].turnstile.next_deadline() <= self.now {
                    self.agents[target].turnstile.handle_deadline(self.now);
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

    // Requests.

    /// Someone comes, at a rate that changes with the waves; nodes have their shares of all.
    fn arrive(&mut self) {
        if self.is_over() {
            return;
        }
        let slots: u64 = self.agents.iter().map(|agent| u64::from(agent.limit)).sum();
        let (low, high) = self.scene.load;
        let load = low + (self.seed * 37) % (high - low + 1);
        let per_second = slots as f64 * load as f64 / 100.0 / self.scene.service.as_secs_f64();
        let uniform = (self.draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let gap = Duration::from_secs_f64(-(1.0 - uniform).ln() / per_second);
        let wave = self.scene.wave.as_nanos() as u64;
        let pause = if (self.now.0 / wave) % 2 == 1 {
            Duration::from_nanos(wave - self.now.0 % wave)
        } else {
            gap
        };
        self.after(pause.max(gap), Event::Arrive);
        let mut ticket = self.draws.below(self.weights.iter().sum());
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
            if self.draws.below(50) == 0 {
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

    fn leaves(&mut self, request: Request, node: usize, life: u32) {
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

    /// Sends on whoever is released at this node, and sees whether its demand has changed.
    fn drain(&mut self, node: usize) {
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

    fn begin(&mut self, request: Request, life: u32) {
        let flight = self.flights[request as usize];
        if self.nodes[flight.node].life != flight.life {
            return;
        }
        let (delay, service) = (self.delay(), self.service());
        let agent = &mut self.agents[flight.target];
        let id = flight.permit.expect("has one");
        // Refused by the machine if the agent is gone; by the new one if it is another.
        let begun = if agent.alive {
            agent.turnstile.begin(self.now, id).ok()
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

    /// Mostly near the mean, some ten times that.
    fn service(&mut self) -> Duration {
        let mean = self.scene.service.as_micros() as u64;
        if self.draws.below(20) == 0 {
            self.between(mean, mean * 10)
        } else {
            self.between(mean / 20, mean * 3 / 2)
        }
    }

    fn done(&mut self, request: Request, target: usize, life: u32) {
        let agent = &mut self.agents[target];
        if agent.life != life {
            return;
        }
        let Some(work) = agent.running.remove(&request) else {
            return;
        };
        agent.turnstile.end(self.now, work);
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

    fn answered(&mut self, request: Request, answer: Answer) {
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

    // Channels.

    fn at(&self, node: usize, target: usize) -> usize {
        node * self.scene.targets + target
    }

    fn dial(&mut self, node: usize, target: usize, epoch: u32, waited: Duration) {
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

    fn hear_node(&mut self, node: usize, target: usize, epoch: u32, message: ToAgent) {
        let at = self.at(node, target);
        if self.channels[at].epoch != epoch {
            return;
        }
        let agent = &mut self.agents[target];
        if !agent.alive {
            // Refused, or reset: the node learns.
            let delay = self.delay();
            self.after(delay, Event::NodeLearns { node, target, epoch });
            return;
        }
        match message {
            ToAgent::Hello => {
                let session = agent.turnstile.join(self.now);
                agent.sessions.insert(session, node);
                self.channels[at].session = Some(session);
                self.answer(node, target, ToNode::Welcome);
            }
            ToAgent::Demand { waiting, seen } => {
                if let Some(session) = self.channels[at].session {
                    agent.turnstile.demand(self.now, session, waiting, seen);
                }
            }
            ToAgent::Return(ids) => {
                if let Some(session) = self.channels[at].session {
                    agent.turnstile.returned(self.now, session, &ids);
                }
            }
        }
        self.settle(target);
    }

    fn hear_agent(&mut self, node: usize, target: usize, epoch: u32, message: ToNode) {
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
                let ids = self.nodes[node]
                    .gate
                    .take_back(self.now, target as u64, count as usize);
                self.say(node, target, ToAgent::Return(ids));
            }
        }
        self.drain(node);
    }

    /// Tells all agents to which it has told something else.
    fn tell(&mut self, node: usize) {
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

    /// Passes on what an agent has to say.
    fn settle(&mut self, target: usize) {
        let agent = &mut self.agents[target];
        if !agent.alive {
            return;
        }
        // What is void: its slot has been free all along.
        let void: Vec<WorkId> = agent
            .out
            .keys()
            .copied()
            .filter(|id| !agent.turnstile.is_out(*id))
            .collect();
        for id in void {
            if let Some((free, _)) = agent.out.remove(&id) {
                agent.freed(free);
            }
        }
        loop {
            let agent = &mut self.agents[target];
            let ids = &mut agent.ids;
            let mut draw = || (u128::from(ids.next_u64()) << 64) | u128::from(ids.next_u64());
            let Some(output) = agent.turnstile.poll_output(&mut draw) else {
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
        let deadline = agent.turnstile.next_deadline();
        if deadline < agent.deadline {
            agent.deadline = deadline;
            let life = agent.life;
            self.push(deadline, Event::Deadline { target, life });
        }
    }

    // What goes wrong.

    fn trouble(&mut self) {
        let mean = self.scene.trouble.as_micros() as u64;
        let next = self.between(1, 2 * mean);
        self.after(next, Event::Trouble);
        let node = self.draws.below(self.scene.nodes as u64) as usize;
        let target = self.draws.below(self.scene.targets as u64) as usize;
        match self.draws.below(20) {
            0 if self.nodes[node].alive => self.node_dies(node),
            3 if self.agents[target].alive => self.limit_changes(target),
            1 | 2 if self.agents[target].alive => self.agent_dies(target),
            4..=10 => self.breaks(node, target),
            _ => self.stalls(node, target),
        }
    }

    /// Mostly to another one; sometimes to none, which drains it.
    fn limit_changes(&mut self, target: usize) {
        self.seen.limits += 1;
        let limit = [0, 1, 2, 8][self.draws.below(4) as usize];
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
        agent.turnstile.set_limit(self.now, limit);
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

    /// A connection is lost; each end learns of it in its own time, an agent perhaps late.
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
            let late = self.draws.below(3) == 0;
            let learns = if late {
                self.between(10_000, 500_000)
            } else {
                self.between(0, 5000)
            };
            let life = self.agents[target].life;
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

    fn node_learns(&mut self, node: usize, target: usize, epoch: u32) {
        let at = self.at(node, target);
        if self.channels[at].epoch != epoch || !self.nodes[node].alive {
            return;
        }
        self.channels[at].epoch += 1;
        (self.channels[at].up, self.channels[at].usable) = (false, Mono::NEVER);
        self.nodes[node].gate.lost(self.now, target as u64);
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

    /// A process is killed, and the machine tells its peers; or a machine is gone, and nobody does.
    fn node_dies(&mut self, node: usize) {
        self.seen.node_deaths += 1;
        self.last_death = Some(self.now);
        let silent = self.draws.below(2) == 0;
        let state = &mut self.nodes[node];
        (state.alive, state.waits_since) = (false, None);
        state.life += 1;
        for target in 0..self.scene.targets {
            let at = self.at(node, target);
            let channel = &mut self.channels[at];
            channel.epoch += 1;
            (channel.up, channel.usable) = (false, Mono::NEVER);
            if let Some(session) = channel.session.take() {
                let learns = if silent {
                    self.between(300_000, 1_000_000)
                } else {
                    self.between(0, 5000)
                };
                let life = self.agents[target].life;
                self.after(
                    learns,
                    Event::AgentLearns {
                        target,
                        life,
                        session,
                    },
                );
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

    fn node_starts(&mut self, node: usize) {
        let life = self.nodes[node].life + 1;
        self.nodes[node] = Node::new(self.scene.targets);
        self.nodes[node].alive = true;
        self.nodes[node].life = life;
        for target in 0..self.scene.targets {
            let at = self.at(node, target);
            self.channels[at].epoch += 1;
            (self.channels[at].stalled, self.channels[at].expected) = (self.now, 0);
            let (soon, epoch) = (self.between(0, 5000), self.channels[at].epoch);
            self.after(
                soon,
                Event::Dial {
                    node,
                    target,
                    epoch,
                    waited: 25 * MS,
                },
            );
        }
    }

    fn agent_dies(&mut self, target: usize) {
        self.seen.agent_deaths += 1;
        let agent = &mut self.agents[target];
        self.seen.revoked += agent.turnstile.figures().revoked;
        agent.alive = false;
        agent.life += 1;
        // What it relayed is cut off, on both sides.
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
                self.after(
                    soon,
                    Event::Dial {
                        node,
                        target,
                        epoch,
                        waited: 25 * MS,
                    },
                );
            }
        }
        let back = self.between(10_000, 300_000);
        self.after(back, Event::AgentStarts { target });
    }

    fn agent_starts(&mut self, target: usize) {
        let agent = &mut self.agents[target];
        agent.turnstile = Turnstile::new(agent.limit, u64::from(agent.life) + 1);
        (agent.alive, agent.since, agent.deadline) = (true, self.now, Mono::NEVER);
        agent.sessions.clear();
        agent.out.clear();
        agent.bare = (0..agent.limit).map(|_| self.now).collect();
        agent.owed = 0;
    }

    // Checks.

    /// Since when someone has waited who can use this target.
    fn waits_since(&self, target: usize) -> Option<Mono> {
        let waits = self.nodes.iter().enumerate().filter_map(|(node, state)| {
            let since = state.waits_since.filter(|_| state.alive)?;
            let usable = self.channels[self.at(node, target)].usable;
            (usable <= self.now).then_some(since.max(usable))
        });
        waits.min()
    }

    /// A slot has been free since `free`, and someone has waited since `waits`.
    fn idle(&mut self, target: usize, free: Mono, waits: Option<Mono>, what: &str) {
        let Some(waits) = waits else { return };
        let begins = free.max(waits);
        let idle = self.now.since(begins);
        let around = self.last_death.is_some_and(|death| begins <= death + DEATH_BOUND);
        let (bound, seen) = if around {
            (DEATH_BOUND, &mut self.seen.idle_around_death)
        } else {
            (BOUND, &mut self.seen.idle)
        };
        *seen = (*seen).max(idle);
        assert!(
            idle <= bound,
            "seed {}: at {:?} a slot of target {target} was idle for {idle:?}, {what}; free since {free:?}, someone waits since \
             {waits:?}; {:?}",
            self.seed,
            self.now,
            self.agents[target].turnstile
        );
    }

    fn look(&mut self, target: usize) {
        if !self.agents[target].alive {
            return;
        }
        let waits = self.waits_since(target);
        if waits.is_none() {
            return;
        }
        let agent = &self.agents[target];
        let unused = agent
            .out
            .values()
            .filter(|(_, used)| !used)
            .map(|(free, _)| *free);
        if let Some(free) = unused.chain(agent.bare.iter().copied()).min() {
            self.idle(target, free, waits, "unused");
        }
    }

    /// All is quiet: nobody waits, and every slot is granted and known to the node that has it.
    fn check_rest(&mut self) {
        let seed = self.seed;
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(node.alive, "seed {seed}: node {number} did not come back");
            assert_eq!(
                node.gate.waiting(),
                0,
                "seed {seed}: someone waits at node {number}"
            );
            assert_eq!(node.gate.figures().busy, 0, "seed {seed}: node {number}");
        }
        for target in 0..self.scene.targets {
            let agent = &self.agents[target];
            agent.turnstile.check_invariants();
            let figures = agent.turnstile.figures();
            self.seen.revoked += figures.revoked;
            assert_eq!(
                (figures.in_flight, figures.outstanding),
                (0, agent.limit),
                "seed {seed}: target {target}"
            );
            let held: u32 = self
                .nodes
                .iter()
                .map(|node| node.gate.slots(target as u64).free)
                .sum();
            assert_eq!(
                held, agent.limit,
                "seed {seed}: target {target}: nodes hold another number of permits"
            );
            let ups = (0..self.scene.nodes)
                .filter(|&node| self.channels[self.at(node, target)].up)
                .count();
            assert_eq!(
                ups, self.scene.nodes,
                "seed {seed}: target {target} has lost a channel"
            );
        }
    }
}

impl Agent {
    /// A slot has been free since then.
    fn freed(&mut self, since: Mono) {
        if self.owed > 0 {
            self.owed -= 1;
        } else {
            self.bare.push_back(since);
        }
    }
}

impl Node {
    fn new(targets: usize) -> Node {
        let mut gate = Gate::new(Rules {
            limit: Limit::Permits,
            length: 1_000_000,
            wait: Duration::from_secs(3600),
            balanced: false,
        });
        let member = |target| Member {
            key: target as u64,
            zone: None,
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
