//! Real clients against the real program. `cargo xtask test` runs all suites after the workspace's own tests.

use crate::run::{cargo, is_installed, output, run as run_command};
use anyhow::{Context as _, anyhow, bail};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A suite: its name, and its script.
const SUITES: &[(&str, &str)] = &[
    ("demo", "demo.sh"),
    ("cli", "cli.sh"),
    ("readme", "readme.py"),
    ("boto3", "boto3_suite.py"),
    ("crash", "crash.py"),
    ("drain", "drain.py"),
    ("signals", "signals.py"),
    ("prometheus", "prometheus.py"),
    ("stale", "stale.py"),
    ("malformed", "malformed.py"),
    ("desync", "desync.py"),
    ("origins", "origins.py"),
    ("logs", "logs.py"),
    ("otel", "otel.py"),
    ("sticky", "sticky.py"),
    ("choosing", "choosing.py"),
    ("replay", "replay.py"),
    ("queueing", "queueing.py"),
    ("permits", "permits.py"),
    ("crowd", "crowd.py"),
    ("top", "top.py"),
    ("metrics", "metrics.py"),
    ("experiments", "experiments.py"),
    ("elastic", "elastic.py"),
    ("tls", "tls.py"),
    ("exposed", "exposed.py"),
    ("node-addresses", "node_addresses.py"),
    ("takeover", "takeover.py"),
    ("service", "service.py"),
    ("http2", "http2.py"),
    ("grpc", "grpc_suite.py"),
    ("grpc-retries", "grpc_retries.py"),
    ("agent", "agent.py"),
    ("agent-kills", "agent_kills.py"),
    ("hostile", "hostile.py"),
    ("strangers", "strangers.py"),
    ("slow", "slow.py"),
    ("bounds", "bounds.py"),
    ("chaos", "chaos.py"),
    ("upgrade", "upgrade.py"),
    ("operating", "operating.py"),
    ("cloudwatch", "cloudwatch.py"),
    ("alarm-actions", "alarm_actions.py"),
    ("datapoints", "datapoints.py"),
    ("trouble", "trouble.py"),
    ("sqs", "sqs.py"),
    ("sqs-kills", "sqs_kills.py"),
    ("backlog", "backlog.py"),
    ("backlog-live", "backlog_live.py"),
    ("backlog-spot", "backlog_spot.py"),
    ("article", "article.py"),
    ("schedules", "schedules.py"),
    ("schedule-kills", "schedule_kills.py"),
    ("functions", "functions.py"),
    ("terraform", "terraform/run.py"),
    ("terraform-groups", "terraform/groups.py"),
    ("ansible", "ansible/run.py"),
    ("moto", "moto/run.py"),
    // Their requests keep most slots busy, so a crowded processor refuses some: scaling begins when the first rush is over.
    ("scaling", "scaling.py"),
    ("planner", "planner.py"),
];

/// Suites that wait most of the time, with address pools of their own. Those of a lane run one after another, lanes run
/// beside all other suites, and their output is printed at the end.
const BESIDE: [&[&str]; 5] = [
    &["terraform-groups", "trouble", "scaling"],
    &["sqs", "sqs-kills", "backlog", "backlog-spot", "malformed"],
    &["article", "schedules", "schedule-kills", "boto3"],
    &[
        "terraform",
        "choosing",
        "logs",
        "prometheus",
        "takeover",
        "service",
    ],
    &[
        "crash",
        "operating",
        "cloudwatch",
        "alarm-actions",
        "moto",
        "ansible",
        "grpc",
        "grpc-retries",
        "tls",
        "drain",
        "signals",
        "stale",
        "origins",
    ],
];

/// Suites that judge times which a busy processor makes longer: they run when all others are over.
const ALONE: [&str; 2] = ["backlog-live", "planner"];

/// Runs everything that must pass.
pub(crate) fn test() -> anyhow::Result<()> {
    // The last step of the program's build keeps one processor busy for minutes; meanwhile the tests are built.
    let build = std::thread::spawn(build);
    let own = run_command(&mut cargo(&["test", "--workspace", "--no-run", "--quiet"])?);
    build.join().map_err(|_| anyhow!("the build did not end"))??;
    own?;
    own_tests()?;
    run(&[])
}

/// Builds the program that the clients call.
fn build() -> anyhow::Result<()> {
    run_command(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "forebay",
        "--package",
        "forebay-agent",
    ])?)
}

fn own_tests() -> anyhow::Result<()> {
    let nextest = output(&mut cargo(&["nextest", "--version"])?).is_ok_and(|output| output.status.success());
    if nextest {
        run_command(&mut cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])?)?;
    } else {
        run_command(&mut cargo(&[
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
        ])?)?;
    }
    // A build of its own: with this feature, atomics and locks work only in such tests.
    run_command(&mut cargo(&[
        "test",
        "--package",
        "forebay-node",
        "--features",
        "shuttle",
        "--lib",
        "schedules",
    ])?)
}

/// Runs these suites, or all.
pub(crate) fn run(wanted: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !SUITES.iter().any(|suite| suite.0 == name.as_str()))
    {
        let names: Vec<&str> = SUITES.iter().map(|suite| suite.0).collect();
        bail!("there is no suite {unknown}; there are {}", names.join(", "));
    }
    build()?;
    let root = crate::root::root()?;
    let venv = venv(&root)?;
    let files = files(&root);
    std::fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
    let wanted = SUITES
        .iter()
        .filter(|suite| wanted.is_empty() || wanted.iter().any(|name| name == suite.0));
    let lane = |name: &str| BESIDE.iter().position(|lane| lane.contains(&name));
    let (alone, others): (Vec<_>, Vec<_>) = wanted.partition(|suite| ALONE.contains(&suite.0));
    let (beside, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|suite: &&(_, _)| lane(suite.0).is_some());
    let mut verdicts = Verdicts::default();
    std::thread::scope(|scope| {
        let mut lanes: [Vec<(&'static str, Command)>; BESIDE.len()] = Default::default();
        for &&(name, script) in &beside {
            lanes[lane(name).unwrap_or_default()].push((name, suite(&root, &venv, script)?));
        }
        let files = &files;
        let lanes = lanes.map(|suites| {
            scope.spawn(move || {
                let run = |(name, suite): (&'static str, Command)| {
                    let began = Instant::now();
                    (
                        name,
                        told(suite, &files.join(format!("{name}.log"))),
                        began.elapsed(),
                    )
                };
                suites.into_iter().map(run).collect::<Vec<_>>()
            })
        });
        let here = |&&(name, script): &&(&'static str, &'static str), verdicts: &mut Verdicts| {
            eprintln!("==> interop {name}");
            let began = Instant::now();
            let status = suite(&root, &venv, script)?.status();
            let status = status.with_context(|| format!("cannot run {script}"))?;
            verdicts.add(name, status.success(), began.elapsed());
            anyhow::Ok(())
        };
        others.iter().try_for_each(|suite| here(suite, &mut verdicts))?;
        for ran in lanes {
            let ran = ran.join().map_err(|_| anyhow!("the suites beside did not end"))?;
            for (name, output, took) in ran {
                let (status, output) = output.with_context(|| format!("cannot run {name}"))?;
                eprintln!("==> interop {name}");
                eprint!("{}", String::from_utf8_lossy(&output));
                verdicts.add(name, status.success(), took);
            }
        }
        alone.iter().try_for_each(|suite| here(suite, &mut verdicts))?;
        verdicts.tell()
    })
}

/// Runs a suite; how it ended, and what it printed. It prints into a file, because a pipe would stay open for as long as a process that the
/// suite left behind has it.
fn told(mut suite: Command, log: &Path) -> io::Result<(ExitStatus, Vec<u8>)> {
    let file = File::create(log)?;
    let status = suite
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()?;
    Ok((status, std::fs::read(log)?))
}

/// The results of suites.
#[derive(Default)]
struct Verdicts {
    passed: Vec<&'static str>,
    failed: Vec<&'static str>,
}

impl Verdicts {
    fn add(&mut self, name: &'static str, good: bool, took: Duration) {
        let verdict = if good { "passed" } else { "FAILED" };
        eprintln!("<== interop {name}: {verdict} in {took:.0?}");
        if good {
            self.passed.push(name);
        } else {
            self.failed.push(name);
        }
    }

    fn tell(&self) -> anyhow::Result<()> {
        println!(
            "interop: passed {}; failed {}",
            list(&self.passed),
            list(&self.failed)
        );
        println!("{} passed, {} failed", self.passed.len(), self.failed.len());
        if self.failed.is_empty() {
            Ok(())
        } else {
            bail!("interop failed: {}", self.failed.join(", "))
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

/// Where suites keep what they download and write.
fn files(root: &Path) -> PathBuf {
    target(root).join("interop")
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The command that runs a suite.
fn suite(root: &Path, venv: &Path, script: &str) -> anyhow::Result<Command> {
    let script = root.join("tests/interop").join(script);
    let interpreter = if script.extension().is_some_and(|extension| extension == "py") {
        venv.join("bin/python")
    } else {
        PathBuf::from("bash")
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(venv.join("bin")).chain(std::env::split_paths(&path)))?;
    let mut command = Command::new(interpreter);
    command
        .arg(&script)
        .current_dir(root)
        .env("PATH", path)
        .env("VIRTUAL_ENV", venv)
        .env("PYTHONPATH", root.join("tests/interop"))
        .env("FOREBAY_BIN", target(root).join("release/forebay"))
        .env("FOREBAY_INTEROP_DIR", files(root))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    Ok(command)
}

/// The clients' virtual environment under target/, made from the lock file, and made again when the lock file changes.
fn venv(root: &Path) -> anyhow::Result<PathBuf> {
    let lock = std::fs::read_to_string(root.join("tests/interop/requirements.txt"))?;
    let venv = target(root).join("venv");
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == lock) {
        return Ok(venv);
    }
    if !is_installed("python3") {
        bail!(
            "python3 is missing: the real clients need it (on Debian: apt-get install python3 python3-venv)"
        );
    }
    let _ = std::fs::remove_dir_all(&venv);
    run_command(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run_command(
        Command::new(venv.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(root.join("tests/interop/requirements.txt")),
    )?;
    std::fs::write(&stamp, lock)?;
    Ok(venv)
}
