//! `cargo xtask release`: the programs for release, with profile-guided optimization (PGO). They are built twice: once to
//! record the paths of requests under the benches' loads, and once with that profile.

use crate::bench::{AGENT_IMAGE, TOGETHER, train};
use crate::run::{cargo, output, run as run_command};
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the programs into `target/released`: `forebay`, and `forebay-agent` as its images need it.
pub(crate) fn release() -> anyhow::Result<()> {
    let target = crate::root::root()?.join("target");
    let (training, raw) = (target.join("training"), target.join("training/raw"));
    let merged = training.join("forebay.profdata");
    let _ = std::fs::remove_dir_all(&raw);
    let merge = profdata()?;
    let generate = format!("-Cprofile-generate={}", raw.display());
    let forebay = build(&PROGRAM, &training, &generate)?.join(FOREBAY);
    // A profile names functions in a way that depends on the build, so each program has its own training.
    let agent = build(&AGENT_IMAGE, &training, &generate)?.join(AGENT);
    train(&forebay, &agent)?;
    run_command(Command::new(merge).arg("merge").arg("-o").arg(&merged).arg(&raw))?;
    let (trained, by_profile) = (
        target.join("trained"),
        format!("-Cprofile-use={}", merged.display()),
    );
    // A build with another profile of the same name would be taken as up to date.
    let _ = std::fs::remove_dir_all(&trained);
    let released = target.join("released");
    std::fs::create_dir_all(&released)?;
    for (args, program) in [(&PROGRAM[..], FOREBAY), (&AGENT_IMAGE, AGENT)] {
        let built = build(args, &trained, &by_profile)?.join(program);
        let name = built.file_name().context("a program has a name")?;
        std::fs::copy(&built, released.join(name)).with_context(|| format!("cannot copy {program}"))?;
    }
    println!("release: forebay and forebay-agent in target/released");
    Ok(())
}

/// Where builds put the programs.
const FOREBAY: &str = "dist/forebay";
const AGENT: &str = "agent/forebay-agent";
const PROGRAM: [&str; 9] = [
    "rustc",
    "--profile",
    "dist",
    "--package",
    "forebay",
    "--bin",
    "forebay",
    "--",
    TOGETHER,
];

/// Builds with these flags; returns the directory of the programs' profiles.
fn build(args: &[&str], target: &Path, flags: &str) -> anyhow::Result<PathBuf> {
    let host = rustc(&["--print", "host-tuple"])?;
    // Naming the target keeps the flags from build scripts and macros, which would leave profiles of their own.
    let (command, rest) = args.split_first().context("a command has a name")?;
    let args: Vec<&str> = [*command, "--target", &host]
        .iter()
        .chain(rest)
        .copied()
        .collect();
    run_command(
        cargo(&args)?
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags),
    )?;
    Ok(target.join(host))
}

fn rustc(args: &[&str]) -> anyhow::Result<String> {
    let told = output(Command::new("rustc").args(args).current_dir(crate::root::root()?))?;
    ensure!(told.status.success(), "rustc {} failed", args.join(" "));
    Ok(String::from_utf8(told.stdout)?.trim().to_owned())
}

/// The compiler's own tool that merges profiles: other versions cannot read them.
fn profdata() -> anyhow::Result<PathBuf> {
    let libraries = PathBuf::from(rustc(&["--print", "target-libdir"])?);
    let tool = libraries.with_file_name("bin").join("llvm-profdata");
    ensure!(
        tool.is_file(),
        "llvm-profdata is missing: rustup component add llvm-tools"
    );
    Ok(tool)
}
