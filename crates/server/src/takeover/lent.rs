//! In the predecessor: asks the successor for its gates' decisions, and reports what ends.

use super::link::Link;
use super::messages::{Claim, Message, Named, Point};
use super::place::rows;
use crate::datapoints::KeptDatapoints;
use forebay_control::{Datapoint, State};
use forebay_model::Blueprint;
use forebay_node::{GroupGate, Refusal, SlotAuthority, TargetId, Why};
use forebay_proxy::{Clock, DataPlane};
use forebay_units::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Interval at which requests at targets without a limit are counted.
const LOOK: Duration = Duration::from_millis(20);

/// Interval at which datapoints are sent.
const POINTS: Duration = Duration::from_millis(500);

fn point(point: Datapoint) -> Point {
    Point {
        region: point.series.region,
        namespace: point.series.namespace,
        name: point.series.name,
        dimensions: point.series.dimensions,
        at_us: point.at.0,
        unit: point.unit,
        summary: point.summary,
        high_resolution: point.high_resolution,
    }
}

/// The names of targets and zones, which both processes share; numbers differ.
#[derive(Default)]
struct Names {
    targets: BTreeMap<u64, Named>,
    zones: Vec<String>,
}

impl Names {
    /// Reads the current names.
    fn read(plane: &DataPlane, names: &Mutex<Names>) {
        let mut read = Names::default();
        plane.with_node(|node| {
            read.zones = (0..)
                .map_while(|zone| node.zone_name(zone).map(str::to_owned))
                .collect();
            for (group, view) in node.target_views() {
                let named = Named {
                    group: group.to_owned(),
                    id: view.name.clone(),
                    port: view.port,
                };
                read.targets.insert(view.id.0, named);
            }
        });
        let mut names = lock(names);
        // Requests may still be at targets that are gone, so their names are kept.
        let mut before = core::mem::take(&mut names.targets);
        before.append(&mut read.targets);
        names.targets = before;
        names.zones = read.zones;
    }
}

/// A gate whose decisions the successor makes.
struct GroupAuthority {
    group: String,
    clock: Clock,
    names: Arc<Mutex<Names>>,
    sender: Sender<Message>,
}

impl GroupAuthority {
    fn target(&self, target: u64) -> Option<Named> {
        let names = lock(&self.names);
        names.targets.get(&target).cloned()
    }

    fn send(&self, message: Message) {
        // If the other end is gone, this gate will soon decide for itself again.
        let _ = self.sender.send(message);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl SlotAuthority for GroupAuthority {
    fn claim(&self, number: u64, claim: &forebay_node::Claim) {
        let now = self.clock.now();
        let zone = {
            let names = lock(&self.names);
            let at = usize::try_from(claim.zone).unwrap_or(usize::MAX);
            names.zones.get(at).cloned().unwrap_or_default()
        };
        self.send(Message::Claim(Claim {
            group: self.group.clone(),
            number,
            zone,
            class: claim.class,
            weight: claim.weight,
            waited_us: micros(now.since(claim.since)),
            left_us: micros(claim.deadline.since(now)),
            front: claim.front,
            prefers: claim.prefers.and_then(|target| self.target(target)),
        }));
    }

    fn withdraw(&self, number: u64) {
        let group = self.group.clone();
        self.send(Message::Withdraw { group, number });
    }

    fn release(&self, target: TargetId, took: Option<Duration>) {
        if let Some(target) = self.target(target.0) {
            let took_us = took.map(micros);
            self.send(Message::Release { target, took_us });
        }
    }

    fn pause(&self, target: TargetId, time: Duration) {
        if let Some(target) = self.target(target.0) {
            let time_us = micros(time);
            self.send(Message::Pause { target, time_us });
        }
    }
}

/// The gates of a predecessor.
pub(super) struct Lent {
    plane: Arc<DataPlane>,
    clock: Clock,
    gates: BTreeMap<String, Arc<GroupGate>>,
    names: Arc<Mutex<Names>>,
    receiver: Receiver<Message>,
    sender: Sender<Message>,
    /// Slots in use, by target.
    pub(super) slots: Vec<(Named, u32)>,
}

impl Lent {
    /// Lets the successor decide from now on; messages to it are queued until [`Lent::tell`].
    pub(super) fn lend(plane: &Arc<DataPlane>, clock: Clock) -> Lent {
        let (sender, receiver) = channel();
        let names = Arc::default();
        Names::read(plane, &names);
        let gates: BTreeMap<_, _> = plane.with_node(|node| {
            let gates = node.gates();
            gates
                .map(|(arn, gate)| (arn.to_owned(), Arc::clone(gate)))
                .collect()
        });
        let mut lent = Lent {
            plane: Arc::clone(plane),
            clock,
            gates: BTreeMap::new(),
            names,
            receiver,
            sender,
            slots: Vec::new(),
        };
        for (group, gate) in gates {
            let authority = Arc::new(GroupAuthority {
                group: group.clone(),
                clock,
                names: Arc::clone(&lent.names),
                sender: lent.sender.clone(),
            });
            let Some(slots) = gate.lend(clock.now(), Arc::clone(&authority) as _) else {
                continue;
            };
            let named = slots
                .into_iter()
                .filter_map(|(target, count)| Some((authority.target(target.0)?, count)));
            lent.slots.extend(named);
            lent.gates.insert(group, gate);
        }
        lent
    }

    /// Lets the gates decide here again.
    pub(super) fn reclaim(&self) {
        for gate in self.gates.values() {
            gate.reclaim(self.clock.now());
        }
    }

    /// Sends events to the successor and carries out its answers until it is gone; then this process decides again. Changes
    /// of `state` that it reports are followed. `datapoints` are sent too; once `is_over` is set, the last ones are, and
    /// this returns.
    pub(super) fn tell(
        self,
        mut link: Link,
        state: &State,
        exposed: &[IpAddr],
        datapoints: &KeptDatapoints,
        is_over: &AtomicBool,
    ) -> io::Result<()> {
        let answers = link.again()?;
        let obeying = Obeying {
            plane: Arc::clone(&self.plane),
            gates: self.gates.clone(),
            clock: self.clock,
            names: Arc::clone(&self.names),
            sender: self.sender.clone(),
            exposed: exposed.to_owned(),
            rows: rows(state)
                .into_iter()
                .map(|(table, key, json)| ((table, key), json))
                .collect(),
        };
        let listening = std::thread::Builder::new()
            .name("take-over".to_owned())
            .spawn(move || obeying.listen(answers))?;
        let mut counted = BTreeMap::new();
        let mut told = Instant::now();
        let outcome = loop {
            // Read before the datapoints are taken: those that come before `is_over` is set are then sent for sure.
            let ends = is_over.load(SeqCst);
            if ends || told.elapsed() >= POINTS {
                told = Instant::now();
                let points = datapoints.diverted();
                if !points.is_empty() {
                    let points = points.into_iter().map(point).collect();
                    // Metrics are not worth a request's slot, so a failure to send them is ignored.
                    let _ = link.send(&Message::Points(points));
                }
            }
            if ends {
                break Ok(());
            }
            let sent = match self.receiver.recv_timeout(LOOK) {
                Ok(message) => link.send(&message),
                Err(RecvTimeoutError::Timeout) => self.tell_in_flight(&mut counted, &mut link),
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            };
            // The end of the successor may show in either direction first.
            if sent.is_err() || listening.is_finished() {
                break sent;
            }
        };
        self.reclaim();
        outcome
    }

    /// Reports the number of requests at targets without a limit, where it has changed.
    fn tell_in_flight(&self, counted: &mut BTreeMap<u64, u32>, link: &mut Link) -> io::Result<()> {
        let limited: BTreeSet<&str> = self.gates.keys().map(String::as_str).collect();
        let mut changed = Vec::new();
        self.plane.with_node(|node| {
            for (group, view) in node.target_views().filter(|(group, _)| !limited.contains(group)) {
                let count = view.stats.in_flight.load(Relaxed);
                let before = counted.insert(view.id.0, count).unwrap_or_default();
                if count != before {
                    let target = Named {
                        group: group.to_owned(),
                        id: view.name.clone(),
                        port: view.port,
                    };
                    changed.push(Message::InFlight { target, count });
                }
            }
        });
        changed.iter().try_for_each(|message| link.send(message))
    }
}

/// Carries out what the successor sends.
struct Obeying {
    plane: Arc<DataPlane>,
    gates: BTreeMap<String, Arc<GroupGate>>,
    clock: Clock,
    names: Arc<Mutex<Names>>,
    sender: Sender<Message>,
    exposed: Vec<IpAddr>,
    rows: BTreeMap<(String, String), String>,
}

impl Obeying {
    /// Listens until the successor is gone.
    fn listen(mut self, mut link: Link) {
        while let Ok(message) = link.receive() {
            match message {
                Message::Granted { number, target } => self.granted(number, target),
                Message::Denied {
                    group,
                    number,
                    why,
                    retry_after_ms,
                } => {
                    let refusal = Refusal {
                        why: Why::ALL.get(why).copied().unwrap_or_default(),
                        retry_after: Duration::from_millis(retry_after_ms),
                    };
                    if let Some(gate) = self.gates.get(&group) {
                        gate.refused(self.clock.now(), number, refusal);
                    }
                }
                Message::Changed(rows) => self.follow(rows),
                _ => return,
            }
        }
    }

    fn granted(&self, number: u64, target: Named) {
        let Some(gate) = self.gates.get(&target.group) else {
            return;
        };
        let (group, id, port) = (&target.group, &target.id, target.port);
        let view = self.plane.with_node(|node| node.target_view(group, id, port));
        let now = self.clock.now();
        let is_known = view.is_some();
        if view.is_some_and(|view| gate.granted(now, number, view)) {
            return;
        }
        if !is_known {
            gate.refused(now, number, Refusal::default());
        }
        // The client has left, or the target is unknown here: nobody uses the slot, and the successor must get it back.
        let _ = self.sender.send(Message::Release {
            target,
            took_us: None,
        });
    }

    /// Applies the successor's changes to the requests in flight here: new targets may be used, removed ones are left.
    fn follow(&mut self, rows: Vec<(String, String, Option<String>)>) {
        for (table, key, json) in rows {
            match json {
                Some(json) => self.rows.insert((table, key), json),
                None => self.rows.remove(&(table, key)),
            };
        }
        let rows = self.rows.iter().map(|((table, key), json)| (table, key, json));
        match State::from_rows(rows) {
            Ok(state) => {
                self.plane.apply(Blueprint {
                    exposed: self.exposed.clone(),
                    ..state.blueprint()
                });
                Names::read(&self.plane, &self.names);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read a change by the successor: the requests in flight here use the previous state");
            }
        }
    }
}
