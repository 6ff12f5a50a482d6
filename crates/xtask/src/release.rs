//! `cargo xtask release`: the programs as they are released, optimised by the profile of a run (PGO). Built twice: once to see
//! which way requests take, under the loads of the benches, and once with what was seen.

use crate::bench::train;
use crate::run::{cargo, output, run as run_command};
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 2] = ["forebay", "forebay-agent"];

/// Builds the programs into `target/dist`.
pub(crate) fn release() -> anyhow::Result<()> {
    let target = crate::root()?.join("target");
    let (training, raw) = (target.join("training"), target.join("training/raw"));
    let merged = training.join("forebay.profdata");
    let _ = std::fs::remove_dir_all(&raw);
    let merge = profdata()?;
    let built = build(&training, &format!("-Cprofile-generate={}", raw.display()))?;
    train(&built.join("forebay"))?;
    run_command(Command::new(merge).arg("merge").arg("-o").arg(&merged).arg(&raw))?;
    let built = build(
        &target.join("trained"),
        &format!("-Cprofile-use={}", merged.display()),
    )?;
    let dist = target.join("dist");
    std::fs::create_dir_all(&dist)?;
    for program in PROGRAMS {
        std::fs::copy(built.join(program), dist.join(program))
            .with_context(|| format!("cannot copy {program}"))?;
    }
    println!("release: {} in target/dist", PROGRAMS.join(" and "));
    Ok(())
}

/// Builds with these flags; returns where the programs are.
fn build(target: &Path, flags: &str) -> anyhow::Result<PathBuf> {
    let host = rustc(&["--print", "host-tuple"])?;
    // Naming the target keeps the flags from build scripts and macros, which would leave profiles of their own.
    let mut command = cargo(&["build", "--release", "--package", "forebay", "--target", &host])?;
    run_command(
        command
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags),
    )?;
    Ok(target.join(host).join("release"))
}

fn rustc(args: &[&str]) -> anyhow::Result<String> {
    let told = output(Command::new("rustc").args(args).current_dir(crate::root()?))?;
    ensure!(told.status.success(), "rustc {} failed", args.join(" "));
    Ok(String::from_utf8(told.stdout)?.trim().to_owned())
}

/// The compiler's own tool that merges profiles: those of other versions do not read them.
fn profdata() -> anyhow::Result<PathBuf> {
    let libraries = PathBuf::from(rustc(&["--print", "target-libdir"])?);
    let tool = libraries.with_file_name("bin").join("llvm-profdata");
    ensure!(
        tool.is_file(),
        "llvm-profdata is missing: rustup component add llvm-tools"
    );
    Ok(tool)
}
