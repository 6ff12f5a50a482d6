//! Licences, bans and sources of dependencies, checked by cargo-deny; and advisories, if their database can be reached.

use crate::run::{cargo, output, run};
use anyhow::bail;
use std::process::Command;

/// The version that is installed if there is none.
const VERSION: &str = "0.20.2";

pub(crate) fn check() -> anyhow::Result<()> {
    let root = crate::root::root()?;
    let tool = root.join("target/tools/bin/cargo-deny");
    if !tool.exists() {
        eprintln!("cargo-deny {VERSION} is built once, into target/tools");
        // Unoptimized: it runs only for a second, and is built in a fraction of the time.
        let mut install = cargo(&[
            "install",
            "cargo-deny",
            "--locked",
            "--debug",
            "--no-default-features",
            "--version",
            VERSION,
        ])?;
        install
            .arg("--root")
            .arg(root.join("target/tools"))
            .env("CARGO_TARGET_DIR", root.join("target/tools/build"));
        install.env("CARGO_PROFILE_DEV_DEBUG", "0");
        run(&mut install)?;
    }
    // cargo-deny reads the manifests of all platforms' crates, and must not fetch them itself.
    run(&mut cargo(&["fetch", "--locked", "--quiet"])?)?;
    let mut deny = Command::new(&tool);
    run(deny.current_dir(&root).args([
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))?;
    let mut deny = Command::new(&tool);
    let advisories = output(
        deny.current_dir(&root)
            .args(["check", "--hide-inclusion-graph", "advisories"]),
    )?;
    let said = String::from_utf8_lossy(&advisories.stderr).into_owned();
    if advisories.status.success() {
        eprintln!("deny: no advisory");
    } else if said.contains("failed to fetch advisory database")
        || said.contains("failed to load advisory database")
        || said.contains("Could not resolve host")
    {
        eprintln!("deny: ADVISORIES WERE NOT CHECKED: the advisory database cannot be reached from here");
    } else {
        bail!("cargo deny check advisories:\n{said}");
    }
    Ok(())
}
