//! The simulation of a queue and its workers.

use super::controller::{BacklogController, BacklogSeen};
use super::instances::{Instances, Phase};
use super::record::{BacklogRun, BacklogSecond, Done};
use super::scene::BacklogScene;
use core::time::Duration;
use forebay_queues::{
    Ask, Change, Deleted, Delivered, Kind, Letter, MessageId, Queue, RawSettings, Receipt, Settings,
};
use forebay_units::{Mono, Rng, Wall};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
/// Least time between two looks that changes of the queue cause, as in the server.
const LEAST: u64 = 50_000_000;
/// The wall clock at the beginning.
const BEGINS: i64 = 1_700_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Send(usize),
    Started(u64),
    /// An instance is done with a message.
    Worked(u64, Receipt),
    /// A deadline of the queue has come.
    Queue,
    Look,
    Second,
}

struct World<'s> {
    scene: &'s BacklogScene,
    queue: Queue<()>,
    changes: Vec<Change<()>>,
    instances: Instances,
    events: BinaryHeap<Reverse<(u64, u64, Next)>>,
    added: u64,
    now: u64,
    /// When the next look is, and when the last one was.
    look: u64,
    looked: Option<u64>,
    /// The next deadline of the queue.
    due: Option<u64>,
    has_changed: bool,
    sent: u64,
    desired: u32,
    deleted: Vec<Duration>,
    reported: Option<f64>,
    rng: Rng,
    run: BacklogRun,
}

impl BacklogScene {
    /// Plays the scene with this controller.
    pub fn play(&self, controller: &mut dyn BacklogController) -> BacklogRun {
        World::new(self).run(controller)
    }
}

fn queue(scene: &BacklogScene) -> Queue<()> {
    let raw = RawSettings {
        visibility_s: scene.visibility.as_secs(),
        ..RawSettings::of(Kind::Standard)
    };
    Queue::new(Settings::new(raw).expect("the scene's visibility is one"))
}

impl<'s> World<'s> {
    fn new(scene: &'s BacklogScene) -> World<'s> {
        World {
            scene,
            queue: queue(scene),
            changes: Vec::new(),
            instances: Instances::new(scene.seed, scene.start_up),
            events: BinaryHeap::new(),
            added: 0,
            now: 0,
            look: 0,
            looked: None,
            due: None,
            has_changed: false,
            sent: 0,
            desired: scene.initial,
            deleted: Vec::new(),
            reported: None,
            rng: Rng::named(scene.seed, "messages"),
            run: BacklogRun {
                done: Vec::new(),
                timeline: Vec::new(),
                instance_seconds: 0.0,
                all_instance_seconds: 0.0,
                largest: 0,
                cut: 0,
                changes: Vec::new(),
            },
        }
    }

    fn at(&mut self, time: u64, next: Next) {
        self.added += 1;
        self.events.push(Reverse((time, self.added, next)));
    }

    fn wall(&self) -> Wall {
        Wall::from_seconds(BEGINS) + Duration::from_nanos(self.now)
    }

    /// Runs until the end of the scene and until all messages are done.
    fn run(mut self, controller: &mut dyn BacklogController) -> BacklogRun {
        for _ in 0..self.scene.initial {
            // These were in service before the scene.
            let (id, _) = self.instances.order(0);
            self.receive(id);
        }
        for (place, send) in self.scene.sends.iter().enumerate() {
            self.at(send.0.as_nanos() as u64, Next::Send(place));
        }
        self.at(0, Next::Look);
        self.at(0, Next::Second);
        let all: u64 = self.scene.sends.iter().map(|send| u64::from(send.1)).sum();
        let until = self.scene.until.as_nanos() as u64;
        while let Some(Reverse((time, _, next))) = self.events.pop() {
            let is_done = self.run.done.len() as u64 == all;
            if is_done && time >= until {
                break;
            }
            self.now = time;
            self.happen(next, controller);
            if self.has_changed && controller.wakes_on_change() {
                let soonest = self
                    .looked
                    .map_or(self.now, |looked| self.now.max(looked + LEAST));
                if soonest < self.look {
                    self.look = soonest;
                    self.at(soonest, Next::Look);
                }
            }
        }
        self.run.all_instance_seconds = self.instances.seconds(self.now.max(until));
        self.run.largest = self.instances.largest;
        self.run
    }

    fn happen(&mut self, next: Next, controller: &mut dyn BacklogController) {
        match next {
            Next::Send(place) => self.send(place),
            Next::Started(id) => {
                if self.instances.phase(id) == Some(Phase::Starting) {
                    self.receive(id);
                }
            }
            Next::Worked(id, receipt) => {
                if self.instances.phase(id) == Some(Phase::Processing(receipt)) {
                    self.finish(id, receipt);
                }
            }
            // A deadline that has moved since has another event.
            Next::Queue if self.due == Some(self.now) => {
                self.due = None;
                self.wake();
            }
            Next::Queue => {}
            Next::Look => self.look(controller),
            Next::Second => {
                self.write(controller);
                self.at(self.now + SECOND, Next::Second);
            }
        }
    }

    fn send(&mut self, place: usize) {
        let now = self.wall();
        for _ in 0..self.scene.sends[place].1 {
            self.sent += 1;
            let letter = Letter {
                id: MessageId(self.sent.into()),
                group: None,
                deduplication: None,
                delay: None,
                body: (),
            };
            self.queue
                .send(now, letter, &mut self.changes)
                .expect("a standard queue takes it");
        }
        self.wake();
    }

    /// An instance asks for a message, and waits if there is none.
    fn receive(&mut self, id: u64) {
        let (now, ask) = (self.wall(), ask());
        let taken = self.queue.receive(now, &ask, &mut self.changes);
        let messages = taken.map(|taken| taken.messages).unwrap_or_default();
        match messages.first() {
            Some(message) => self.work(id, message),
            None => {
                let ticket = self.queue.wait(ask, now + self.scene.wait);
                self.instances.enter(self.now, id, Phase::Receiving(ticket));
            }
        }
        self.watch();
    }

    fn work(&mut self, id: u64, message: &Delivered<()>) {
        self.has_changed = true;
        let receipt = message.receipt;
        self.instances.enter(self.now, id, Phase::Processing(receipt));
        let takes = self.scene.processing.draw(&mut self.rng) as u64;
        self.at(self.now + takes, Next::Worked(id, receipt));
    }

    fn finish(&mut self, id: u64, receipt: Receipt) {
        let now = self.wall();
        let sent = self.queue.copy(receipt.sequence).map(|message| message.sent);
        if let (Ok(Deleted::Now(took)), Some(sent)) =
            (self.queue.delete(now, receipt, &mut self.changes), sent)
        {
            self.deleted.push(took);
            self.reported = Some(self.scene.says);
            self.run.done.push(Done {
                at: Duration::from_nanos(self.now),
                age: now.since(sent),
            });
            self.run.instance_seconds = self.instances.seconds(self.now);
        }
        self.has_changed = true;
        self.receive(id);
    }

    /// Serves waiting receives while there are messages; those whose wait time is over ask again.
    fn wake(&mut self) {
        self.has_changed = true;
        let woken = self.queue.wake(self.wall(), &mut self.changes);
        for served in woken.served {
            let Some(id) = self.instances.with_ticket(served.ticket) else {
                continue;
            };
            match served.messages.first() {
                Some(message) => self.work(id, message),
                None => self.receive(id),
            }
        }
        self.watch();
    }

    /// Schedules a look at the queue at its next deadline.
    fn watch(&mut self) {
        self.changes.clear();
        self.queue.take_gone();
        if let Some(due) = self.queue.next_deadline() {
            let after = due.since(Wall::from_seconds(BEGINS)).as_nanos() as u64;
            // Deadlines are in whole microseconds.
            let due = after.max(self.now + 1000);
            if self.due.is_none_or(|known| due < known) {
                self.due = Some(due);
                self.at(due, Next::Queue);
            }
        }
    }

    fn look(&mut self, controller: &mut dyn BacklogController) {
        if self.now != self.look {
            return;
        }
        let seen = self.seen();
        let desired = controller.decide(Mono(self.now), &seen);
        let desired = desired.min(self.scene.maximum).max(self.scene.minimum);
        if desired != self.desired {
            self.desired = desired;
            self.run.changes.push((Duration::from_nanos(self.now), desired));
            self.settle();
        }
        self.has_changed = false;
        self.looked = Some(self.now);
        self.look = self.now + (controller.interval().as_nanos() as u64).max(LEAST);
        self.at(self.look, Next::Look);
    }

    fn settle(&mut self) {
        while self.instances.count() < self.desired {
            let (id, takes) = self.instances.order(self.now);
            self.at(self.now + takes, Next::Started(id));
        }
        while self.instances.count() > self.desired {
            match self.instances.end_one(self.now) {
                Some(Phase::Receiving(ticket)) => drop(self.queue.forget(ticket)),
                // The message becomes visible again when its visibility timeout is over.
                Some(Phase::Processing(_)) => self.run.cut += 1,
                Some(Phase::Starting) | None => {}
            }
        }
    }

    fn seen(&mut self) -> BacklogSeen {
        let now = self.wall();
        let counts = self.queue.counts(now, &mut self.changes);
        BacklogSeen {
            visible: counts.visible as u64,
            in_flight: counts.in_flight as u64,
            oldest: self.queue.oldest_age(now),
            deleted: core::mem::take(&mut self.deleted),
            reported: self.reported,
            ready: self.instances.ready(),
            pending: self.instances.pending(self.now),
            desired: self.desired,
            minimum: self.scene.minimum,
            maximum: self.scene.maximum,
            start_up: self.instances.start_up().filter(|start_up| !start_up.is_zero()),
        }
    }

    fn write(&mut self, controller: &dyn BacklogController) {
        let counts = self.queue.counts(self.wall(), &mut self.changes);
        let (shown, ready) = (controller.shown(), self.instances.ready());
        self.run.timeline.push(BacklogSecond {
            at: Duration::from_nanos(self.now),
            visible: counts.visible as u64,
            in_flight: counts.in_flight as u64,
            ready,
            instances: self.instances.count(),
            processing: shown.processing,
            backlog: counts.visible as f64 / f64::from(ready.max(1)),
            acceptable: shown.target,
        });
    }
}

fn ask() -> Ask {
    Ask {
        most: 1,
        visibility: None,
        attempt: None::<Arc<str>>,
    }
}
