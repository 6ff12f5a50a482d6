//! Layers: crates import only crates of lower layers.

use anyhow::{Context as _, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::BTreeMap;

/// Each package and its layer.
const LAYERS: &[(&str, u8)] = &[
    ("forebay-units", 0),
    ("forebay-model", 0),
    ("forebay-routing", 1),
    ("forebay-health", 1),
    ("forebay-balance", 1),
    ("forebay-admission", 1),
    ("forebay-awswire", 1),
    ("forebay-signals", 1),
    ("forebay-scaling", 1),
    ("forebay-queues", 1),
    ("forebay-schedules", 1),
    ("forebay-functions", 1),
    ("forebay-node", 2),
    ("forebay-control", 2),
    ("forebay-proxy", 3),
    ("forebay-gateway", 3),
    ("forebay-store", 3),
    ("forebay-launch", 3),
    ("forebay-telemetry", 3),
    ("forebay-sim", 3),
    ("forebay-control-channel", 3),
    ("forebay-process", 3),
    ("forebay-agent", 4),
    ("forebay-server", 4),
    ("forebay-lab", 5),
    ("forebay", 6),
    ("xtask", 6),
];

/// Dependencies that pure layers may not have: clocks, sockets, threads, ambient randomness.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "hyper-util",
    "socket2",
    "rustix",
    "nix",
    "libc",
    "rand",
    "getrandom",
    "redb",
];

/// Packages outside the layers, which test or measure the others. Nothing imports them.
const OUTSIDE: &[&str] = &["forebay-bench"];

pub(crate) fn check() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(crate::root::root()?.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut arrows = 0;
    for package in &metadata.packages {
        let name = package.name.as_str();
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some(&layer) = layers.get(name) else {
            bail!("{name} has no layer: add it to LAYERS in crates/xtask/src/layers.rs");
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|dep| dep.kind != DependencyKind::Development)
        {
            let on = dependency.name.as_str();
            if layer <= 2 && IMPURE.contains(&on) {
                bail!("{name} (layer {layer}) depends on {on}: layers 0 to 2 do no I/O");
            }
            if OUTSIDE.contains(&on) {
                bail!("{name} depends on {on}, which stands outside the house");
            }
            let Some(&below) = layers.get(on) else { continue };
            arrows += 1;
            if below >= layer {
                bail!("{name} (layer {layer}) imports {on} (floor {below}): imports go strictly down");
            }
        }
        let toml = package.manifest_path.with_file_name("clippy.toml");
        if layer <= 2 && !toml.exists() {
            bail!(
                "{name} stands on layer {layer} and needs the bans: link its clippy.toml to layers/clippy.toml"
            );
        }
    }
    eprintln!(
        "layers: {} crates, {arrows} arrows, all down",
        metadata.packages.len()
    );
    Ok(())
}
