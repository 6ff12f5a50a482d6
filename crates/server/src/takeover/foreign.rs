//! In the successor: the predecessor's requests hold slots here and count at their targets, until it reports that they are
//! over, or is gone.

use super::link::Link;
use super::messages::{Claim, Message, Named, Point};
use crate::datapoints::KeptDatapoints;
use forebay_control::{Datapoint, Datapoints as _, Series};
use forebay_node::{ForeignClaim, ForeignWait, InFlight, Refusal, TargetId};
use forebay_proxy::{Clock, DataPlane};
use forebay_units::lock::lock;
use forebay_units::{Rng, Wall};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The predecessor's requests.
pub(super) struct Foreign {
    plane: Arc<DataPlane>,
    clock: Clock,
    answers: Sender<Message>,
    datapoints: Arc<KeptDatapoints>,
    inner: Mutex<Inner>,
}

struct Inner {
    rng: Rng,
    /// Slots held by its requests.
    slots: HashMap<Named, Vec<InFlight>>,
    /// Its requests at targets without a limit.
    loose: HashMap<Named, Vec<InFlight>>,
    waiting: HashMap<(String, u64), ForeignWait>,
}

fn datapoint(point: Point) -> Datapoint {
    Datapoint {
        series: Series {
            region: point.region,
            namespace: point.namespace,
            name: point.name,
            dimensions: point.dimensions,
        },
        at: Wall(point.at_us),
        unit: point.unit,
        summary: point.summary,
        high_resolution: point.high_resolution,
    }
}

impl Foreign {
    /// Takes over the slots in use, and serves the predecessor until it is gone. Returns a sender for more messages to it,
    /// and a channel that closes when it is gone.
    pub(super) fn serve(
        plane: &Arc<DataPlane>,
        clock: Clock,
        seed: u64,
        slots: Vec<(Named, u32)>,
        datapoints: Arc<KeptDatapoints>,
        mut link: Link,
    ) -> io::Result<(Sender<Message>, watch::Receiver<()>)> {
        let (answers, to_send) = channel();
        let others = answers.clone();
        let foreign = Arc::new(Foreign {
            plane: Arc::clone(plane),
            clock,
            answers,
            datapoints,
            inner: Mutex::new(Inner {
                rng: Rng::named(seed, "take-over"),
                slots: HashMap::new(),
                loose: HashMap::new(),
                waiting: HashMap::new(),
            }),
        });
        for (target, count) in slots {
            foreign.occupy(target, count);
        }
        // Two threads, because either end may write while the other does: one that did both could block for ever on full
        // socket buffers.
        let mut answering = link.again()?;
        let thread = || std::thread::Builder::new().name("take-over".to_owned());
        thread().spawn(move || {
            while let Ok(message) = to_send.recv() {
                if answering.send(&message).is_err() {
                    return;
                }
            }
        })?;
        let runtime = Handle::current();
        let (here, is_here) = watch::channel(());
        thread().spawn(move || {
            // Dropped, which closes the channel, when the predecessor is gone.
            let _here = here;
            while let Ok(message) = link.receive() {
                foreign.take(message, &runtime);
            }
            // It is gone, and its requests with it.
            foreign.forget();
            tracing::info!("the process that was taken over from has ended");
        })?;
        Ok((others, is_here))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    fn forget(&self) {
        let (slots, loose, waiting) = {
            let mut inner = self.lock();
            (
                core::mem::take(&mut inner.slots),
                core::mem::take(&mut inner.loose),
                core::mem::take(&mut inner.waiting),
            )
        };
        // Dropped without the lock: that serves waiting requests, which may be the predecessor's and call back into this.
        drop((slots, loose, waiting));
    }

    fn occupy(&self, target: Named, count: u32) {
        let found = self.plane.with_node(|node| {
            let view = node.target_view(&target.group, &target.id, target.port)?;
            Some((view, node.gate_of(&target.group)))
        });
        let Some((view, gate)) = found else { return };
        let taken = (0..count).map(|_| match &gate {
            Some((gate, _)) => gate.occupy(&view),
            None => InFlight::new(Arc::clone(&view)),
        });
        let taken: Vec<InFlight> = taken.collect();
        self.lock().slots.entry(target).or_default().extend(taken);
    }

    fn take(self: &Arc<Self>, message: Message, runtime: &Handle) {
        match message {
            Message::Claim(claim) => self.claim(&claim, runtime),
            Message::Withdraw { group, number } => {
                let waited = self.lock().waiting.remove(&(group, number));
                drop(waited);
            }
            // Any slot of this target will do: they are all alike.
            Message::Release { target, took_us } => {
                let slot = self.lock().slots.get_mut(&target).and_then(Vec::pop);
                if let Some(slot) = slot {
                    slot.end(self.clock.now(), took_us.map(Duration::from_micros));
                }
            }
            Message::Pause { target, time_us } => {
                let found = self.plane.with_node(|node| {
                    let view = node.target_view(&target.group, &target.id, target.port)?;
                    Some((view.id, node.gate_of(&target.group)?.0))
                });
                if let Some((id, gate)) = found {
                    gate.pause_for(self.clock.now(), TargetId(id.0), Duration::from_micros(time_us));
                }
            }
            Message::InFlight { target, count } => self.count(target, count as usize),
            Message::Points(points) => {
                let points = points.into_iter().map(datapoint).collect();
                if let Err(error) = self.datapoints.put(points) {
                    tracing::error!(cause = %error.cause, "datapoints of the process that was taken over from were lost");
                }
            }
            _ => tracing::warn!("unexpected message from the process that was taken over from"),
        }
    }

    fn count(&self, target: Named, count: usize) {
        let view = self
            .plane
            .with_node(|node| node.target_view(&target.group, &target.id, target.port));
        let mut over = Vec::new();
        let mut inner = self.lock();
        let held = inner.loose.entry(target).or_default();
        if held.len() > count {
            over = held.split_off(count);
        }
        if let Some(view) = view {
            while held.len() < count {
                held.push(InFlight::new(Arc::clone(&view)));
            }
        }
        drop(inner);
        drop(over);
    }

    fn claim(self: &Arc<Self>, claim: &Claim, runtime: &Handle) {
        let now = self.clock.now();
        let found = self.plane.with_node(|node| {
            let (gate, counters) = node.gate_of(&claim.group)?;
            let prefers = claim.prefers.as_ref().and_then(|target| {
                let view = node.target_view(&target.group, &target.id, target.port)?;
                Some(view.id.0)
            });
            // A claim from a zone that is gone may use what all zones may.
            let zone = node.zone_number(&claim.zone).map_or(u64::MAX, |zone| zone.0);
            Some((gate, counters, prefers, zone))
        });
        let Some((gate, counters, prefers, zone)) = found else {
            return self.deny(claim, Refusal::default());
        };
        let asked = forebay_node::Claim {
            zone,
            class: claim.class,
            weight: claim.weight,
            since: forebay_units::Mono(now.0.saturating_sub(claim.waited_us.saturating_mul(1000))),
            deadline: now + Duration::from_micros(claim.left_us),
            front: claim.front,
            prefers,
        };
        let mut inner = self.lock();
        let verdict = gate.claim_for(now, &asked, &[], &mut inner.rng, &counters);
        match verdict {
            ForeignClaim::Admitted(slot) => {
                drop(inner);
                self.grant(&claim.group, claim.number, slot);
            }
            ForeignClaim::Refused(refusal) => {
                drop(inner);
                self.deny(claim, refusal);
            }
            ForeignClaim::Waits(wait) => {
                let ticket = wait.ticket();
                let key = (claim.group.clone(), claim.number);
                inner.waiting.insert(key.clone(), wait);
                drop(inner);
                let foreign = Arc::clone(self);
                runtime.spawn(async move {
                    poll_fn(|cx| ticket.poll(cx)).await;
                    foreign.over(key);
                });
            }
        }
    }

    /// Ends a wait that was served, refused or withdrawn.
    fn over(&self, key: (String, u64)) {
        let Some(wait) = self.lock().waiting.remove(&key) else {
            return;
        };
        match wait.over() {
            Some(Ok(slot)) => self.grant(&key.0, key.1, slot),
            Some(Err(refusal)) => self.send_denial(key.0, key.1, refusal),
            None => {}
        }
    }

    fn grant(&self, group: &str, number: u64, slot: InFlight) {
        let target = Named {
            group: group.to_owned(),
            id: slot.target().name.clone(),
            port: slot.target().port,
        };
        self.lock().slots.entry(target.clone()).or_default().push(slot);
        let _ = self.answers.send(Message::Granted { number, target });
    }

    fn deny(&self, claim: &Claim, refusal: Refusal) {
        self.send_denial(claim.group.clone(), claim.number, refusal);
    }

    fn send_denial(&self, group: String, number: u64, refusal: Refusal) {
        let _ = self.answers.send(Message::Denied {
            group,
            number,
            why: refusal.why as usize,
            retry_after_ms: u64::try_from(refusal.retry_after.as_millis()).unwrap_or(u64::MAX),
        });
    }
}
