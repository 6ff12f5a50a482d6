//! The simulation of a group under a controller.

use super::controller::{Controller, Fleet};
use super::looks::{Change, SECOND, Sizing};
use super::record::FleetRun;
use crate::events::Next;
use crate::scene::Scene;
use crate::world::World;
use core::time::Duration;
use forebay_node::Coming;
use forebay_units::Mono;

impl Scene {
    /// Plays the scene with a group that a controller sizes instead of its targets, until the end of the run and until
    /// nobody is left.
    pub fn play_fleet(&self, fleet: &Fleet, controller: &mut dyn Controller) -> FleetRun {
        let targets = vec![fleet.instance; fleet.initial as usize];
        let scene = Scene {
            targets,
            ..self.clone()
        };
        let mut world = World::new(&scene);
        let queue = scene.settings.queue.clone();
        world.sizing = Some(Box::new(Sizing::new(fleet, self.seed, queue, controller)));
        world.at(0, Next::Look);
        world.at(SECOND, Next::Second);
        world.at(fleet.until.as_nanos() as u64, Next::Until);
        world.run(None, Some(controller));
        let sizing = world.sizing.take();
        let now = world.now;
        let sizing = sizing.expect("it was put there");
        FleetRun {
            seen: world.seen,
            timeline: sizing.timeline,
            instance_seconds: sizing.instances.seconds(now),
            largest: sizing.instances.largest,
            changes: sizing.changes,
            failed_launches: sizing.instances.failed,
        }
    }
}

impl World {
    pub(crate) fn count(&mut self, change: Change) {
        if let Some(sizing) = &mut self.sizing {
            sizing.count(self.now, change);
        }
    }

    /// Lets the controller look, if a look is due.
    pub(crate) fn look(&mut self, controller: &mut dyn Controller) {
        let now = self.now;
        let Some(sizing) = &mut self.sizing else { return };
        let Some(next) = sizing.looks(now) else { return };
        let seen = sizing.seen(now);
        let desired = controller.decide(Mono(now), &seen);
        let changed = sizing.want(now, desired);
        self.at(next, Next::Look);
        if changed {
            self.settle_fleet();
        }
        self.expect();
    }

    /// Reports ordered instances to the gate, as the server does whoever ordered them.
    fn expect(&mut self) {
        let Some(sizing) = &self.sizing else { return };
        let instances = &sizing.instances;
        let pending = instances.pending(self.now);
        let coming = instances
            .start_up()
            .filter(|_| !pending.is_empty())
            .map(|start_up| {
                let ages: Duration = pending.iter().map(|age| (*age).min(start_up)).sum();
                Coming {
                    at: Mono(self.now) + (start_up - ages / pending.len() as u32),
                    slots: pending.len() as f64 * f64::from(instances.fleet.instance.threads),
                }
            });
        self.node.expect("group", coming);
    }

    /// Schedules an earlier look, if a request has to wait or was refused.
    pub(crate) fn press(&mut self) {
        let now = self.now;
        let due = self.sizing.as_mut().and_then(|sizing| sizing.pressed(now));
        if let Some(due) = due {
            self.at(due, Next::Look);
        }
    }

    /// Brings the group to the desired number of instances.
    pub(crate) fn settle_fleet(&mut self) {
        let Some(sizing) = &mut self.sizing else { return };
        let behaviour = sizing.instances.fleet.instance;
        let steps = sizing.instances.settle(self.now, &self.loads);
        for &target in &steps.join {
            self.join(target, behaviour);
        }
        for target in &steps.leave {
            self.registered.insert(*target, true);
        }
        for &(id, at) in &steps.start {
            self.at(at, Next::Started(id));
        }
        if let Some(again) = steps.again {
            self.at(again, Next::Settle);
        }
        if !steps.join.is_empty() || !steps.leave.is_empty() {
            self.apply();
        }
    }

    /// Ends an instance's start-up.
    pub(crate) fn instance_started(&mut self, id: u64) {
        let Some(sizing) = &mut self.sizing else { return };
        let behaviour = sizing.instances.fleet.instance;
        match sizing.instances.started(self.now, id) {
            Some(target) => {
                self.join(target, behaviour);
                self.apply();
            }
            None => self.settle_fleet(),
        }
    }

    /// Records a second, until the end of the run.
    pub(crate) fn second(&mut self) {
        if let Some(sizing) = &mut self.sizing {
            sizing.write(self.now);
            let (next, end) = (self.now + SECOND, sizing.instances.fleet.until);
            if u128::from(next) <= end.as_nanos() {
                self.at(next, Next::Second);
            }
        }
    }
}
