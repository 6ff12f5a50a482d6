//! `cargo xtask check`: everything that a program can check before a review.

use crate::run::{self, cargo, output};
use crate::{circles, deny, docs, layers, retired, tidy};
use anyhow::bail;

fn run_all() -> anyhow::Result<()> {
    run::run(&mut cargo(&["fmt", "--all", "--check"])?)?;
    layers::check()?;
    circles::check()?;
    retired::check()?;
    tidy::check()?;
    trap()?;
    run::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ])?)?;
    run::run(cargo(&["doc", "--workspace", "--no-deps", "--quiet"])?.env("RUSTDOCFLAGS", "--deny warnings"))?;
    docs::check()?;
    deny::check()
}

/// Runs all checks, and prints a last line.
pub(crate) fn run() -> anyhow::Result<()> {
    run_all()?;
    eprintln!("check: all good");
    Ok(())
}

/// Checks that each ban of layers/clippy.toml works: the trap crate breaks all of them.
fn trap() -> anyhow::Result<()> {
    let root = crate::root::root()?;
    let bans = std::fs::read_to_string(root.join("layers/clippy.toml"))?;
    let mut clippy = cargo(&["clippy", "--quiet"])?;
    clippy
        .current_dir(root.join("layers/trap"))
        .env("CARGO_TARGET_DIR", root.join("target/trap"));
    let said = String::from_utf8_lossy(&output(&mut clippy)?.stderr).into_owned();
    let mut count = 0;
    for line in bans
        .lines()
        .filter(|line| line.trim_start().starts_with("{ path"))
    {
        let path = line.split('"').nth(1).unwrap_or_default();
        if !said.contains(&format!("`{path}`")) {
            bail!(
                "the ban on {path} in layers/clippy.toml does not bite: layers/trap was let through\n{said}"
            );
        }
        count += 1;
    }
    eprintln!("trap: all {count} bans bite");
    Ok(())
}
