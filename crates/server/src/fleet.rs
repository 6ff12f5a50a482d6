//! Instances: passes what the state wants to the launcher, and what the launcher observes to `control`.

use crate::flags::{LauncherKind, UpArgs};
use crate::service_manager;
use anyhow::{Context as _, anyhow};
use forebay_control::State;
use forebay_control::fleet::{Image, SeenInstance, SeenPhase, Shape, Usage, WantedInstance, WantedPhase};
use forebay_gateway::credentials;
use forebay_launch::{
    AccessKeys, CommandLauncher, Facts, Fleet, Images, Launcher, NetworkMode, Poke, ProcessLauncher,
    ProcessOptions, ShapeFile, SimulatedLauncher,
};
use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Prefix of profiles in the credentials file that hold keys of instance profiles.
const PROFILE_PREFIX: &str = "instance-profile.";
/// Prefix of profiles that hold keys of functions' roles.
const ROLE_PREFIX: &str = "function-role.";
/// The longest name of a profile.
const PROFILE_LENGTH: usize = 64;

/// Most time that another process waits until instances are released to it.
const LAYING_DOWN: Duration = Duration::from_secs(2);

/// The instances of a running Forebay.
pub(crate) struct Instances {
    kind: LauncherKind,
    /// Instances must have network namespaces.
    always: bool,
    options: ProcessOptions,
    no_auth: bool,
    changed: Arc<Notify>,
    state: Mutex<Running>,
}

/// The launcher, started when it is first needed: probing the machine takes a while, and few installations have instances.
#[derive(Default)]
struct Running {
    fleet: Option<Fleet>,
    is_starting: bool,
    /// Why there is no launcher.
    failed: Option<String>,
    /// The newest list of wanted instances; none before the first.
    wanted: Option<Vec<WantedInstance>>,
    has_left: bool,
    /// Another process has them for now.
    is_laid_down: bool,
}

impl Instances {
    /// Prepares them; [`Instances::take_up`] adopts the existing ones.
    pub(crate) fn prepare(
        args: &UpArgs,
        api: SocketAddr,
        state: &State,
        credentials: &Path,
    ) -> anyhow::Result<Arc<Instances>> {
        let data_dir = &args.data.data_dir;
        let shapes = match &args.shapes {
            Some(path) => ShapeFile::open(path).map_err(|error| anyhow!(error).context("--shapes"))?,
            None => ShapeFile::none(),
        };
        let file = credentials.to_owned();
        let options = ProcessOptions {
            data_dir: data_dir.clone(),
            run_as: args.instance_user.clone(),
            network: args.instance_network,
            scopes: match args.instance_scope {
                NetworkMode::Auto => service_manager::is_system_service(),
                NetworkMode::Always => true,
                NetworkMode::Never => false,
            },
            stop: Duration::from_secs(args.instance_stop_seconds),
            facts: Facts {
                api,
                account: args.account_id.clone(),
                pool: state.settings().pool.to_string(),
                keys: Arc::new(move |profile| keys(&file, profile)),
            },
            images: Arc::new(Images::new(data_dir)),
            shapes: Arc::new(shapes),
        };
        Ok(Arc::new(Instances {
            kind: args.launcher.clone(),
            always: args.instance_network == NetworkMode::Always,
            options,
            no_auth: args.no_auth,
            changed: Arc::default(),
            state: Mutex::new(Running {
                is_laid_down: true,
                ..Running::default()
            }),
        }))
    }

    /// Adopts the instances that exist.
    pub(crate) fn take_up(self: &Arc<Instances>) -> anyhow::Result<()> {
        let is_needed = match &self.kind {
            // Started at once, because an instance that nobody has searched for yet looks like one that is gone for good.
            LauncherKind::Process => self.always || self.options.data_dir.join("instances").exists(),
            LauncherKind::Command(_) | LauncherKind::Simulated(_) => true,
        };
        let fleet = if is_needed {
            let fleet = self.fleet().map_err(|error| anyhow!(error));
            Some(fleet.context("instances cannot be started")?)
        } else {
            None
        };
        let mut state = self.lock();
        state.is_laid_down = false;
        match fleet {
            Some(fleet) => {
                if let Some(wanted) = &state.wanted {
                    fleet.want(wanted.clone());
                }
                state.fleet = Some(fleet);
            }
            None => self.start_if_wanted(&mut state),
        }
        Ok(())
    }

    /// Releases them to another process for now. Blocks, within bounds.
    pub(crate) fn lay_down(&self) {
        let fleet = {
            let mut state = self.lock();
            state.is_laid_down = true;
            state.fleet.take()
        };
        let Some(fleet) = fleet else { return };
        // Dropping may wait for a program that is being called, so the wait is bounded. Two launchers at a time do no harm,
        // because each run has a lock.
        let (done, ended) = std::sync::mpsc::channel();
        let dropping = std::thread::Builder::new().spawn(move || {
            drop(fleet);
            let _: Result<_, std::sync::mpsc::SendError<()>> = done.send(());
        });
        if dropping.is_ok() {
            let _ = ended.recv_timeout(LAYING_DOWN);
        }
    }

    /// Adopts them again, when the other process did not.
    pub(crate) fn take_up_again(self: &Arc<Instances>) {
        if let Err(error) = self.take_up() {
            tracing::error!("instances cannot be taken up again: {error:#}");
        }
    }

    /// Passes on the wanted instances, if they may have changed. Does not block.
    pub(crate) fn publish(self: &Arc<Instances>, old: Option<&State>, new: &State) {
        if old.is_some_and(|old| is_same(old, new)) {
            return;
        }
        let wanted = new.fleet();
        let mut state = self.lock();
        if let Some(fleet) = &state.fleet {
            fleet.want(wanted.clone());
        }
        state.wanted = Some(wanted);
        self.start_if_wanted(&mut state);
    }

    fn start_if_wanted(self: &Arc<Instances>, state: &mut Running) {
        let is_needed = state.wanted.as_ref().is_some_and(|wanted| !wanted.is_empty());
        if is_needed
            && !state.is_laid_down
            && state.fleet.is_none()
            && !state.is_starting
            && state.failed.is_none()
        {
            state.is_starting = true;
            let instances = Arc::clone(self);
            let thread = std::thread::Builder::new().name("launcher".to_owned());
            if let Err(error) = thread.spawn(move || instances.start_late()) {
                state.is_starting = false;
                tracing::error!(%error, "the launcher could not start");
            }
        }
    }

    /// The last observation of an instance.
    pub(crate) fn seen(&self, id: &str) -> Option<SeenInstance> {
        let state = self.lock();
        match (&state.fleet, &state.failed) {
            (Some(fleet), _) => fleet.seen(id),
            (None, Some(why)) => {
                let wanted = state.wanted.iter().flatten().find(|wanted| wanted.id == id)?;
                let phase = SeenPhase::Failed { why: why.clone() };
                let run = wanted.run;
                (wanted.phase != WantedPhase::Gone).then_some(SeenInstance { run, phase })
            }
            (None, None) => None,
        }
    }

    /// What running instances have used since they began, by id.
    pub(crate) fn usage(&self) -> BTreeMap<String, Usage> {
        let state = self.lock();
        state.fleet.as_ref().map(Fleet::usage).unwrap_or_default()
    }

    /// The current images.
    pub(crate) fn images(&self) -> Vec<Image> {
        self.options.images.observed()
    }

    /// The currently declared shapes.
    pub(crate) fn shapes(&self) -> Vec<Shape> {
        (*self.options.shapes.shapes()).clone()
    }

    /// Why user data may not be run.
    pub(crate) fn refuses_user_data(&self) -> Option<String> {
        self.no_auth.then(|| {
            "user data is run on this machine, and with --no-auth anyone could send some: run Forebay without that flag"
                .to_owned()
        })
    }

    /// Wakes the waiter of [`Instances::changed`]: targets may have become healthy.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// Returns once an instance was seen in another phase.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Reads the shapes again.
    pub(crate) fn look_again(&self) {
        self.options.shapes.look_again();
    }

    /// Leaves the instances running on their own; the next Forebay adopts them.
    pub(crate) fn leave(&self) {
        let fleet = {
            let mut state = self.lock();
            state.has_left = true;
            state.fleet.take()
        };
        let Some(fleet) = fleet else { return };
        let living = fleet.living();
        if living > 0 && !matches!(self.kind, LauncherKind::Simulated(_)) {
            tracing::warn!(
                instances = living,
                "instances go on without Forebay; it takes them up when it starts again"
            );
        }
        // Dropping may wait for a program that is being called, and the stop should not.
        let _ = std::thread::Builder::new().spawn(move || drop(fleet));
    }

    /// Starts the launcher, when it is first needed.
    fn start_late(&self) {
        let fleet = self.fleet();
        let mut state = self.lock();
        state.is_starting = false;
        match fleet {
            Ok(_) if state.has_left || state.is_laid_down => {}
            Ok(fleet) => {
                fleet.want(state.wanted.clone().unwrap_or_default());
                state.fleet = Some(fleet);
            }
            Err(error) => {
                tracing::error!(error, "instances cannot be started");
                state.failed = Some(error);
                drop(state);
                self.changed.notify_one();
            }
        }
    }

    fn fleet(&self) -> Result<Fleet, String> {
        let images = Arc::clone(&self.options.images);
        let launcher: Arc<dyn Launcher> = match &self.kind {
            LauncherKind::Process => Arc::new(ProcessLauncher::start(self.options.clone())?),
            LauncherKind::Command(program) => {
                let port = move |id: &str| images.find(id).map_or(forebay_launch::PORT, |image| image.port);
                Arc::new(CommandLauncher::new(
                    program.clone(),
                    self.options.facts.clone(),
                    port,
                ))
            }
            LauncherKind::Simulated(delay) => Arc::new(SimulatedLauncher::new(*delay)),
        };
        let changed = Arc::clone(&self.changed);
        let poke: Poke = Arc::new(move || changed.notify_one());
        Fleet::start(launcher, poke).map_err(|error| format!("cannot start a thread: {error}"))
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        lock(&self.state)
    }
}

/// Whether two states want the same instances, compared by pointers: the cost must not depend on the number of load
/// balancers.
fn is_same(old: &State, new: &State) -> bool {
    let mut before = old.regions();
    let mut after = new.regions();
    loop {
        match (before.next(), after.next()) {
            (None, None) => return true,
            (Some((name, old)), Some((of, new))) => {
                let is_same = name == of
                    && old.instances.ptr_eq(&new.instances)
                    && old.tags.ptr_eq(&new.tags)
                    && old.members.ptr_eq(&new.members);
                if !is_same {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// The keys of a function's role, made at first use: an id and a secret.
pub(crate) fn role_keys(file: &Path, role: &str) -> Result<(String, String), String> {
    let found = keys_named(file, &role_profile(role));
    let key = found.map_err(|error| format!("there are no keys for the role {role}: {error}"))?;
    Ok((key.access_key, key.secret))
}

/// The profile of a role's keys: the role's name, or its digest if that is too long or has other characters.
fn role_profile(role: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if ROLE_PREFIX.len() + role.len() <= PROFILE_LENGTH && role.bytes().all(fits) {
        return format!("{ROLE_PREFIX}{role}");
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, role.as_bytes());
    let hex: String = digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{ROLE_PREFIX}sha256-{hex}")
}

fn keys_named(file: &Path, name: &str) -> Result<credentials::Key, credentials::CredentialsError> {
    if let Some(key) = credentials::find(file, name)? {
        return Ok(key);
    }
    match credentials::create(file, name) {
        // Another caller made the keys at the same time.
        Err(credentials::CredentialsError::Exists(name)) => {
            credentials::find(file, &name)?.ok_or(credentials::CredentialsError::Absent(name))
        }
        made => made,
    }
}

/// The keys of an instance profile, made at first use.
fn keys(file: &Path, profile: &str) -> Result<AccessKeys, String> {
    let found = keys_named(file, &format!("{PROFILE_PREFIX}{profile}"));
    let key =
        found.map_err(|error| format!("there are no keys for the instance profile {profile}: {error}"))?;
    Ok(AccessKeys {
        id: key.access_key,
        secret: key.secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_profile_are_made_once() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("credentials");
        let made = keys(&file, "web").unwrap();
        assert_eq!(keys(&file, "web").unwrap(), made);
        assert!(keys(&file, "a/b").unwrap_err().contains("instance profile a/b"));
    }

    #[test]
    fn every_role_has_keys() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("credentials");
        let long = "r".repeat(64);
        let made = ["web", &long, "a+b=c,d@e"].map(|role| role_keys(&file, role).unwrap());
        assert!(made[0] != made[1] && made[1] != made[2], "{made:?}");
        assert_eq!(role_keys(&file, &long).unwrap(), made[1]);
        assert_eq!(role_profile("web"), "function-role.web");
    }

    #[test]
    fn all_who_need_keys_first_get_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("credentials");
        let all: Vec<_> = std::thread::scope(|scope| {
            let ask: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| role_keys(&file, "web").unwrap()))
                .collect();
            ask.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(all.iter().all(|keys| *keys == all[0]), "{all:?}");
    }

    #[test]
    fn what_did_not_change_is_seen_by_its_pointers() {
        let state = State::new("local-1", "127.64.0.0/10".parse().unwrap());
        let mut other = state.clone();
        assert!(is_same(&state, &other));
        other.region_mut("local-1");
        assert!(is_same(&state, &other), "another table may change");
        other.region_mut("local-2");
        assert!(!is_same(&state, &other));
    }
}
