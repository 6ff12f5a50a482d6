//! A launcher that starts nothing: instances appear as wanted after a while. For test suites.

use crate::launcher::{Launcher, StartError};
use forebay_control::fleet::{SeenInstance, SeenPhase, WantedInstance};
use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Simulates instances.
#[derive(Debug)]
pub struct SimulatedLauncher {
    delay: Duration,
    instances: Mutex<BTreeMap<String, Simulated>>,
}

#[derive(Debug)]
struct Simulated {
    run: u32,
    phase: SeenPhase,
    /// When it changes, and to which phase.
    becomes: Option<(Instant, SeenPhase)>,
}

impl SimulatedLauncher {
    /// With this duration of starts and ends.
    pub fn new(delay: Duration) -> SimulatedLauncher {
        SimulatedLauncher {
            delay,
            instances: Mutex::default(),
        }
    }

    fn instances(&self) -> MutexGuard<'_, BTreeMap<String, Simulated>> {
        lock(&self.instances)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Simulated)) -> Result<(), String> {
        self.instances().get_mut(id).map(change);
        Ok(())
    }
}

impl Launcher for SimulatedLauncher {
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.instances().keys().cloned().collect())
    }

    fn look(&self, id: &str) -> Option<SeenInstance> {
        let mut instances = self.instances();
        let instance = instances.get_mut(id)?;
        if let Some((_, phase)) = instance.becomes.take_if(|(at, _)| *at <= Instant::now()) {
            instance.phase = phase;
        }
        Some(SeenInstance {
            run: instance.run,
            phase: instance.phase.clone(),
        })
    }

    fn start(&self, wanted: &WantedInstance) -> Result<(), StartError> {
        let instance = Simulated {
            run: wanted.run,
            phase: SeenPhase::Starting,
            becomes: Some((Instant::now() + self.delay, SeenPhase::Running)),
        };
        self.instances().insert(wanted.id.clone(), instance);
        Ok(())
    }

    fn pause(&self, id: &str) -> Result<(), String> {
        self.change(id, |instance| instance.phase = SeenPhase::Paused)
    }

    fn resume(&self, id: &str) -> Result<(), String> {
        self.change(id, |instance| instance.phase = SeenPhase::Running)
    }

    fn stop(&self, id: &str) -> Result<(), String> {
        let why = "it was told to stop".to_owned();
        let ended = Some((Instant::now() + self.delay, SeenPhase::Stopped { why }));
        self.change(id, |instance| {
            instance.phase = SeenPhase::Stopping;
            instance.becomes = ended;
        })
    }

    fn remove(&self, id: &str) -> Result<(), String> {
        self.instances().remove(id);
        Ok(())
    }
}
