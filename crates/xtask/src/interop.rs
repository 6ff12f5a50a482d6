//! Strangers judge: real clients against the real program. `cargo xtask test` runs all of them after our own tests.

use crate::run::{cargo, is_installed, output, run as run_command};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A suite: its name, and the script that is it.
const SUITES: &[(&str, &str)] = &[
    ("demo", "demo.sh"),
    ("cli", "cli.sh"),
    ("boto3", "boto3_suite.py"),
    ("crash", "crash.py"),
    ("drain", "drain.py"),
    ("stale", "stale.py"),
    ("malformed", "malformed.py"),
    ("desync", "desync.py"),
    ("origins", "origins.py"),
    ("logs", "logs.py"),
    ("otel", "otel.py"),
    ("sticky", "sticky.py"),
    ("choosing", "choosing.py"),
    ("queueing", "queueing.py"),
    ("permits", "permits.py"),
    ("crowd", "crowd.py"),
    ("top", "top.py"),
    ("experiments", "experiments.py"),
    ("tls", "tls.py"),
    ("http2", "http2.py"),
    ("grpc", "grpc_suite.py"),
    ("agent", "agent.py"),
    ("agent-kills", "agent_kills.py"),
    ("slow", "slow.py"),
    ("bounds", "bounds.py"),
    ("chaos", "chaos.py"),
    ("upgrade", "upgrade.py"),
    ("terraform", "terraform/run.py"),
    ("moto", "moto/run.py"),
];

/// Everything that must pass.
pub(crate) fn test() -> anyhow::Result<()> {
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
    run_command(&mut cargo(&["test", "--workspace", "--doc", "--quiet"])?)?;
    run(&[])
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
    run_command(&mut cargo(&["build", "--release", "--package", "forebay"])?)?;
    let root = crate::root()?;
    let venv = venv(&root)?;
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for &(name, script) in SUITES
        .iter()
        .filter(|suite| wanted.is_empty() || wanted.iter().any(|name| name == suite.0))
    {
        eprintln!("==> interop {name}");
        let began = Instant::now();
        let good = suite(&root, &venv, script)?;
        eprintln!(
            "<== interop {name}: {} in {:.0?}",
            if good { "passed" } else { "FAILED" },
            began.elapsed()
        );
        if good {
            passed.push(name)
        } else {
            failed.push(name)
        }
    }
    println!("interop: passed {}; failed {}", list(&passed), list(&failed));
    println!("{} passed, {} failed", passed.len(), failed.len());
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("interop failed: {}", failed.join(", "))
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

fn suite(root: &Path, venv: &Path, script: &str) -> anyhow::Result<bool> {
    let script = root.join("tests/interop").join(script);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
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
        .env("FOREBAY_BIN", target.join("release/forebay"))
        .env("FOREBAY_INTEROP_DIR", target.join("interop"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    Ok(command
        .status()
        .with_context(|| format!("cannot run {}", script.display()))?
        .success())
}

/// The clients' virtual environment under target/, made from the lock file; made anew when the lock changes.
fn venv(root: &Path) -> anyhow::Result<PathBuf> {
    let lock = std::fs::read_to_string(root.join("tests/interop/requirements.txt"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let venv = target.join("venv");
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
