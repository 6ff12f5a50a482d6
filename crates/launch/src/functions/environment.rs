//! An environment's directory, variables and processes: how it is started, and what remains to be done when it has ended.
//! All of this blocks.

use super::code::{CodeStore, Held, make};
use super::options::RuntimeOptions;
use super::shim::{SHIM, ShimSpec, TMP, View};
use super::{archive, node};
use crate::cgroup::{self, Cgroups, Limits};
use crate::errors::Tried as _;
use crate::processes::{self, ProcessId};
use crate::shim::ARG0;
use forebay_functions::{FunctionSpec, Runtime};
use rustix::process::Signal;
use std::fs;
use std::io::{PipeReader, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Most processes and threads of one environment, as in Lambda.
const TASKS: u32 = 1024;
/// Name of the file that identifies an environment's shim.
const RECORD: &str = "shim.json";
/// Name of the file that identifies the Forebay process it belongs to.
const OWNER: &str = "owner.json";
/// Time that a shim has to end after it lost its Forebay.
const ENDING: Duration = Duration::from_secs(12);

/// What all environments have in common.
pub(super) struct Ground {
    options: RuntimeOptions,
    user: Option<(u32, u32)>,
    directory: PathBuf,
    node: PathBuf,
    hidden: Option<PathBuf>,
    cgroups: Cgroups,
    code: CodeStore,
    told: Once,
}

/// An environment that was started.
pub(super) struct Started {
    pub(super) shim: Child,
    pub(super) control: UnixStream,
    /// Its output; taken by its reader.
    pub(super) output: Option<PipeReader>,
    number: u64,
    _code: Held,
}

/// The parts of a start that are specific to one environment.
pub(super) struct Start<'a> {
    pub(super) number: u64,
    pub(super) spec: &'a FunctionSpec,
    /// Port of its Runtime API.
    pub(super) port: u16,
    /// Name of its log stream.
    pub(super) stream: &'a str,
}

impl Ground {
    /// Prepares the directory, and ends what an earlier process left.
    pub(super) fn prepare(options: RuntimeOptions, code: CodeStore) -> Result<Ground, String> {
        let user = options.run_as.resolve(crate::user::Whose::FUNCTIONS)?;
        make(&options.directory, 0o711)?;
        let directory =
            fs::canonicalize(&options.directory).tried(|| format!("find {}", options.directory.display()))?;
        let owner = crate::image::digest(directory.as_os_str().as_encoded_bytes());
        let cgroups = Cgroups::find(&format!("forebay-functions-{}", &owner[..8]));
        let ground = Ground {
            node: directory.join("runtime"),
            hidden: user.and_then(|user| closed(&directory, user)),
            options,
            user,
            directory,
            cgroups,
            code,
            told: Once::new(),
        };
        make(&ground.node, 0o755)?;
        node::write(&ground.node)?;
        make(&ground.environments(), 0o711)?;
        ground.clear();
        Ok(ground)
    }

    fn environments(&self) -> PathBuf {
        self.directory.join("environments")
    }

    fn clear(&self) {
        let mut theirs = Vec::new();
        for entry in fs::read_dir(self.environments()).into_iter().flatten().flatten() {
            let process = |record: &str| {
                let record = fs::read(entry.path().join(record)).unwrap_or_default();
                serde_json::from_slice::<ProcessId>(&record).ok()
            };
            // A process that is about to be replaced by a take-over still has its own.
            if process(OWNER).is_some_and(|owner| owner.is_alive()) {
                theirs.push(entry.file_name().to_string_lossy().into_owned());
                continue;
            }
            if let Some(shim) = process(RECORD) {
                outlive(&shim);
            }
            self.cgroups.remove(&entry.file_name().to_string_lossy());
            discard(&entry.path());
        }
        let left = self.cgroups.list();
        let left = left.iter().filter(|id| !theirs.contains(id));
        left.for_each(|id| self.cgroups.remove(id));
        self.code.clear();
    }

    /// Starts an environment.
    pub(super) fn start(&self, start: &Start<'_>) -> Result<Started, String> {
        let code = self.code.hold(&start.spec.code_sha256)?;
        let dir = self.environments().join(name(start.number));
        let started = self.start_in(&dir, start, code);
        if started.is_err() {
            self.cgroups.remove(&name(start.number));
            discard(&dir);
        }
        started
    }

    fn start_in(&self, dir: &Path, start: &Start<'_>, code: Held) -> Result<Started, String> {
        make(dir, 0o711)?;
        if let Some(owner) = ProcessId::own() {
            write_record(&dir.join(OWNER), &owner)?;
        }
        let own = dir.join("tmp");
        make(&own, 0o700)?;
        if let Some((user, group)) = self.user {
            chown(&own, Some(user), Some(group)).tried(|| format!("give {} away", own.display()))?;
        }
        // As in Lambda, `/tmp` belongs to the environment alone, unless the data directory is inside /tmp itself.
        let tmp = (!self.directory.starts_with(TMP)).then(|| own.clone());
        let view = self.user.map(|_| View {
            hidden: self.hidden.clone(),
            shown: vec![code.root.clone(), own.clone(), self.node.clone()],
            tmp,
        });
        let spec = ShimSpec {
            argv: self.argv(start.spec, &code.root)?,
            env: self.variables(start, &code.root, &own)?,
            work: code.root.clone(),
            user: self.user,
            cgroups: self.groups(start),
            view,
        };
        let mut line = serde_json::to_vec(&spec).tried(|| "describe the environment".to_owned())?;
        line.push(b'\n');
        let (control, other) = UnixStream::pair().tried(|| "make a socket".to_owned())?;
        let (output, writer) = std::io::pipe().tried(|| "make a pipe".to_owned())?;
        let twice = writer.try_clone().tried(|| "make a pipe".to_owned())?;
        let mut command = Command::new("/proc/self/exe");
        let shim = command
            .arg0(ARG0)
            .arg(SHIM)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(writer)
            .stderr(twice)
            .spawn()
            .tried(|| "start a shim".to_owned())?;
        // Otherwise this process would keep the ends of the pipe and the socket whose closing reports the shim's end.
        drop(command);
        let mut started = Started {
            shim,
            control,
            output: Some(output),
            number: start.number,
            _code: code,
        };
        let told = self.record(dir, &started).and_then(|()| {
            started
                .control
                .write_all(&line)
                .tried(|| "tell the shim".to_owned())
        });
        if let Err(why) = told {
            // The shim has started nothing yet, or it ends by itself when the socket is closed.
            let _ = started.control.shutdown(Shutdown::Write);
            let _ = started.shim.wait();
            return Err(why);
        }
        Ok(started)
    }

    /// Records the shim, for a Forebay that comes after one that was killed.
    fn record(&self, dir: &Path, started: &Started) -> Result<(), String> {
        let pid = i32::try_from(started.shim.id()).unwrap_or(0);
        let shim = ProcessId::of(pid).ok_or("the shim has ended at once")?;
        write_record(&dir.join(RECORD), &shim)
    }

    fn groups(&self, start: &Start<'_>) -> Vec<PathBuf> {
        let limits = Limits {
            vcpus: None,
            memory_mib: start.spec.memory_mib,
        };
        let (groups, why_not) = self.cgroups.make(&name(start.number), Some(limits));
        cgroup::limit_tasks(&groups, TASKS);
        if groups.is_empty() || why_not.is_some() {
            self.told.call_once(|| {
                tracing::warn!(
                    "control groups cannot be used to limit the memory of functions: it is checked ten times a second instead"
                );
            });
        }
        groups
    }

    fn argv(&self, spec: &FunctionSpec, root: &Path) -> Result<Vec<String>, String> {
        Ok(match spec.runtime {
            Runtime::Python => vec![
                self.options.python.clone(),
                "-m".to_owned(),
                "awslambdaric".to_owned(),
                spec.handler.clone(),
            ],
            Runtime::Node => vec![self.options.node.clone(), node::path(&self.node)],
            Runtime::Provided => {
                let bootstrap = root.join(archive::BOOTSTRAP);
                if !bootstrap.exists() {
                    return Err(format!(
                        "Couldn't find valid bootstrap(s): [{}]",
                        bootstrap.display()
                    ));
                }
                vec![bootstrap.display().to_string()]
            }
        })
    }

    /// The environment variables that Lambda documents; the function's own take precedence.
    fn variables(&self, start: &Start<'_>, root: &Path, own: &Path) -> Result<Vec<(String, String)>, String> {
        let spec = start.spec;
        let (key, secret) = (self.options.keys)(&spec.role)?;
        let (root, own) = (root.display().to_string(), own.display().to_string());
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let mut env = vec![
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_DEFAULT_REGION", spec.region.clone()),
            ("AWS_ENDPOINT_URL", self.options.endpoint.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mib.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", spec.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", start.stream.to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", start.port)),
            ("AWS_REGION", spec.region.clone()),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("HOME", own.clone()),
            ("LAMBDA_RUNTIME_DIR", self.node.display().to_string()),
            ("LAMBDA_TASK_ROOT", root.clone()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("LD_LIBRARY_PATH", format!("{root}:{root}/lib")),
            ("PATH", path),
            ("TMPDIR", own),
            ("TZ", ":UTC".to_owned()),
            ("_HANDLER", spec.handler.clone()),
        ];
        match spec.runtime {
            Runtime::Python => env.push(("PYTHONPATH", root)),
            Runtime::Node => env.push(("NODE_PATH", format!("{root}/node_modules"))),
            Runtime::Provided => {}
        }
        if spec.runtime != Runtime::Provided {
            env.push(("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", spec.runtime_name)));
        }
        let mut env: std::collections::BTreeMap<String, String> = env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        env.extend(spec.environment.clone());
        Ok(env.into_iter().collect())
    }

    /// Waits for the shim, and removes everything of the environment. Returns whether the kernel killed a process of it for
    /// lack of memory.
    pub(super) fn end(&self, mut started: Started) -> bool {
        let shim = i32::try_from(started.shim.id()).ok().and_then(ProcessId::of);
        let began = Instant::now();
        while matches!(started.shim.try_wait(), Ok(None)) {
            if began.elapsed() > ENDING {
                let _ = started.shim.kill();
                let _ = started.shim.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(shim) = shim {
            // If the shim was killed; otherwise nobody is left.
            shim.kill_session();
        }
        let was_full = self.cgroups.was_full(&name(started.number));
        self.cgroups.remove(&name(started.number));
        discard(&self.environments().join(name(started.number)));
        was_full
    }
}

/// Writes down the identity of a process.
fn write_record(path: &Path, process: &ProcessId) -> Result<(), String> {
    let text = serde_json::to_vec(process).tried(|| "describe a process".to_owned())?;
    fs::write(path, text).tried(|| format!("write {}", path.display()))
}

/// The name of an environment, unique among all processes.
fn name(number: u64) -> String {
    format!("{}-{number}", std::process::id())
}

/// Ends what the shim of an earlier process left. The shim ends by itself, because its Forebay is gone.
fn outlive(shim: &ProcessId) {
    let began = Instant::now();
    while shim.is_alive() {
        if began.elapsed() > ENDING {
            processes::kill_descendants(shim.pid);
            shim.signal(Signal::KILL);
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    shim.kill_session();
}

/// The first directory on the way to `directory` that this user may not traverse.
fn closed(directory: &Path, (user, group): (u32, u32)) -> Option<PathBuf> {
    let mut all: Vec<&Path> = directory.ancestors().collect();
    all.reverse();
    let is_closed = |path: &&&Path| {
        let Ok(found) = fs::metadata(path) else {
            return true;
        };
        let bit = match (found.uid() == user, found.gid() == group) {
            (true, _) => 0o100,
            (_, true) => 0o010,
            _ => 0o001,
        };
        found.mode() & bit == 0
    };
    all.iter().find(is_closed).map(|path| (*path).to_owned())
}

/// Removes an environment's directory.
fn discard(dir: &Path) {
    let is_empty = fs::remove_dir(dir.join("tmp")).is_ok();
    for record in [RECORD, OWNER] {
        let _ = fs::remove_file(dir.join(record));
    }
    if is_empty && fs::remove_dir(dir).is_ok() || !dir.exists() {
        return;
    }
    // Removes whatever depth a function has made, which a recursion of our own might not.
    let removed = Command::new("rm")
        .args(["-rf", "--"])
        .arg(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // `rm` does not change modes, which matters for users other than root.
    if dir.exists() && archive::remove(dir).is_err() {
        tracing::warn!(?removed, "a directory of a function could not be removed");
    }
}
