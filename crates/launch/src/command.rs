//! A launcher that calls a user's program to start and end instances. The calls are described in docs/instances.md.

use crate::errors::Tried as _;
use crate::launcher::{Facts, Launcher, StartError};
use forebay_control::fleet::{SeenInstance, SeenPhase, WantedInstance};
use forebay_model::INSTANCE_TOKEN;
use forebay_units::lock::lock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Most time for one call.
const CALL: Duration = Duration::from_secs(60);
/// Interval between two calls of `list`.
const LIST: Duration = Duration::from_secs(2);
/// Largest answer in bytes.
const ANSWER: u64 = 16 << 20;
/// Most bytes of a failed call's output that are used as a reason.
const REASON: usize = 1000;

/// Starts instances by calling a program.
pub struct CommandLauncher {
    program: PathBuf,
    facts: Facts,
    limit: Duration,
    port: Box<dyn Fn(&str) -> u16 + Send + Sync>,
    seen: Mutex<BTreeMap<String, Noted>>,
}

#[derive(Clone)]
struct Noted {
    seen: SeenInstance,
    /// When it was last told something; a list that was begun earlier does not contain that.
    at: Instant,
}

/// An instance in the output of `list`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    run: u32,
    state: ListedState,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ListedState {
    Starting,
    Running,
    Paused,
    Stopping,
    Stopped,
    Failed,
}

impl CommandLauncher {
    /// Calls the program at this path. `port` returns an image's port.
    pub fn new(
        program: PathBuf,
        facts: Facts,
        port: impl Fn(&str) -> u16 + Send + Sync + 'static,
    ) -> CommandLauncher {
        CommandLauncher {
            program,
            facts,
            limit: CALL,
            port: Box::new(port),
            seen: Mutex::default(),
        }
    }

    /// Sets another time limit for calls.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> CommandLauncher {
        self.limit = limit;
        self
    }

    fn noted(&self) -> MutexGuard<'_, BTreeMap<String, Noted>> {
        lock(&self.seen)
    }

    fn note(&self, id: &str, run: u32, phase: SeenPhase) {
        let noted = Noted {
            seen: SeenInstance { run, phase },
            at: Instant::now(),
        };
        self.noted().insert(id.to_owned(), noted);
    }

    fn run_of(&self, id: &str) -> u32 {
        self.noted().get(id).map_or(0, |noted| noted.seen.run)
    }

    /// Calls the program with a verb; returns its output.
    ///
    /// It reads and writes files in memory, not pipes: a process that it leaves in the background may keep a pipe open.
    fn call(&self, verb: &str, input: &Value) -> Result<Vec<u8>, String> {
        let memory = |name: &str| {
            let made = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC);
            made.map(File::from).tried(|| "make a file in memory".to_owned())
        };
        let (mut stdin, answer, said) = (memory("input")?, memory("answer")?, memory("said")?);
        let written = stdin
            .write_all(input.to_string().as_bytes())
            .and_then(|()| stdin.rewind());
        written.tried(|| "write to memory".to_owned())?;
        let copy = |file: &File| file.try_clone().tried(|| "copy a descriptor".to_owned());
        let mut child = Command::new(&self.program)
            .arg(verb)
            .stdin(stdin)
            .stdout(copy(&answer)?)
            .stderr(copy(&said)?)
            .process_group(0)
            .spawn()
            .tried(|| format!("run {} {verb}", self.program.display()))?;
        let ended = self.wait(&mut child, [&answer, &said])?;
        let read = |mut file: File| {
            let mut bytes = Vec::new();
            let read = file
                .rewind()
                .and_then(|()| file.take(ANSWER).read_to_end(&mut bytes));
            read.tried(|| "read from memory".to_owned()).map(|_| bytes)
        };
        if ended.is_some_and(|status| status.success()) {
            return read(answer);
        }
        let said = read(said)?;
        let said: String = String::from_utf8_lossy(&said)
            .trim()
            .chars()
            .take(REASON)
            .collect();
        let how = ended.map_or_else(
            || {
                format!(
                    "did not end within {} s, or wrote too much",
                    self.limit.as_secs_f32()
                )
            },
            |status| format!("failed ({status})"),
        );
        Err(format!("{} {verb} {how}: {said}", self.program.display()))
    }

    /// Waits for a call to end. One that exceeds its time, or writes without end, is killed with all that it started.
    fn wait(&self, child: &mut Child, written: [&File; 2]) -> Result<Option<ExitStatus>, String> {
        let began = Instant::now();
        let mut nap = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait().tried(|| "wait for a launcher".to_owned())? {
                return Ok(Some(status));
            }
            let is_large = |file: &&File| file.metadata().is_ok_and(|file| file.len() > ANSWER);
            if began.elapsed() >= self.limit || written.iter().any(is_large) {
                let group = rustix::process::Pid::from_child(child);
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                let _ = child.wait();
                return Ok(None);
            }
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(50));
        }
    }

    fn description(&self, wanted: &WantedInstance) -> Result<Value, String> {
        let mut env = BTreeMap::from([
            ("FOREBAY_ADDRESS", wanted.address.to_string()),
            ("PORT", (self.port)(&wanted.image_id).to_string()),
            ("INSTANCE_ID", wanted.id.clone()),
            ("AWS_REGION", wanted.region.clone()),
            ("AWS_DEFAULT_REGION", wanted.region.clone()),
            ("AWS_ENDPOINT_URL", format!("http://{}", self.facts.local_api())),
        ]);
        if let Some(profile) = &wanted.profile {
            let keys = (self.facts.keys)(profile)?;
            env.insert("AWS_ACCESS_KEY_ID", keys.id);
            env.insert("AWS_SECRET_ACCESS_KEY", keys.secret);
            env.insert("AWS_SESSION_TOKEN", format!("{INSTANCE_TOKEN}{}", wanted.id));
        }
        Ok(json!({
            "id": wanted.id,
            "run": wanted.run,
            "region": wanted.region,
            "zone": wanted.zone,
            "address": wanted.address,
            "imageId": wanted.image_id,
            "instanceType": wanted.instance_type,
            "userData": wanted.user_data,
            "isSpot": wanted.is_spot,
            "tags": wanted.tags,
            "environment": env,
        }))
    }

    fn simple(&self, verb: &str, id: &str) -> Result<(), String> {
        let input = json!({ "id": id, "run": self.run_of(id) });
        self.call(verb, &input).map(drop)
    }
}

impl Launcher for CommandLauncher {
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.noted().keys().cloned().collect())
    }

    fn look(&self, id: &str) -> Option<SeenInstance> {
        self.noted().get(id).map(|noted| noted.seen.clone())
    }

    fn start(&self, wanted: &WantedInstance) -> Result<(), StartError> {
        self.call("start", &self.description(wanted)?)?;
        self.note(&wanted.id, wanted.run, SeenPhase::Starting);
        Ok(())
    }

    fn pause(&self, id: &str) -> Result<(), String> {
        self.simple("pause", id)?;
        self.note(id, self.run_of(id), SeenPhase::Paused);
        Ok(())
    }

    fn resume(&self, id: &str) -> Result<(), String> {
        self.simple("resume", id)?;
        self.note(id, self.run_of(id), SeenPhase::Running);
        Ok(())
    }

    fn stop(&self, id: &str) -> Result<(), String> {
        self.simple("stop", id)?;
        self.note(id, self.run_of(id), SeenPhase::Stopping);
        Ok(())
    }

    fn remove(&self, id: &str) -> Result<(), String> {
        self.simple("remove", id)?;
        self.noted().remove(id);
        Ok(())
    }

    fn refresh_interval(&self) -> Option<Duration> {
        Some(LIST)
    }

    fn refresh(&self) {
        let began = Instant::now();
        let listed = self.call("list", &json!({})).and_then(|answer| {
            let listed: Result<Vec<Listed>, _> = serde_json::from_slice(&answer);
            listed.tried(|| format!("read what {} list answered", self.program.display()))
        });
        let listed = match listed {
            Ok(listed) => listed,
            // Nothing is known, so all stays as it was last seen.
            Err(error) => {
                return tracing::warn!(error, "the launcher could not list its instances");
            }
        };
        let mut seen = self.noted();
        let mut new: BTreeMap<String, Noted> = listed
            .into_iter()
            .map(|listed| {
                let id = listed.id.clone();
                let seen = SeenInstance {
                    run: listed.run,
                    phase: listed.phase(),
                };
                (id, Noted { seen, at: began })
            })
            .collect();
        let later = seen.iter().filter(|(_, noted)| noted.at >= began);
        new.extend(later.map(|(id, noted)| (id.clone(), noted.clone())));
        *seen = new;
    }
}

impl Listed {
    fn phase(self) -> SeenPhase {
        let why = self.reason;
        match self.state {
            ListedState::Starting => SeenPhase::Starting,
            ListedState::Running => SeenPhase::Running,
            ListedState::Paused => SeenPhase::Paused,
            ListedState::Stopping => SeenPhase::Stopping,
            ListedState::Stopped => SeenPhase::Stopped { why },
            ListedState::Failed => SeenPhase::Failed { why },
        }
    }
}
