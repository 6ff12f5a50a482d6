//! `forebay restore`: restores a backup, or lists its contents.

use clap::Args;
use forebay_process::out;
use forebay_server::DataDir;
use forebay_server::backup::{Manifest, examine, restore};
use std::path::PathBuf;

/// Flags of `forebay restore`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The whole file is read and checked against its digests, and its state is parsed, before anything is written. Afterwards start `forebay up`
with the flags it had: addresses, names and keys are those of the backup. No Forebay may run with the data directory.

Examples:
  forebay restore --list forebay.backup             its contents, and whether it is intact
  forebay restore forebay.backup --data-dir /var/lib/forebay
  forebay restore forebay.backup --force            keep existing files as state.redb.before-restore-TIME and so on")]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Backup that `forebay backup` made
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// List its contents, and restore nothing
    #[arg(long, conflicts_with = "force")]
    pub(crate) list: bool,
    /// Move existing files aside
    #[arg(long)]
    pub(crate) force: bool,
}

pub(crate) fn run(args: &RestoreArgs) -> anyhow::Result<()> {
    if args.list {
        return list(&examine(&args.file)?);
    }
    let restored = restore(&args.file, &args.data.data_dir, args.force)?;
    for path in &restored.aside {
        eprintln!("The previous file is now {}.", path.display());
    }
    let (manifest, data_dir) = (&restored.manifest, args.data.data_dir.display());
    eprintln!("Restored to {data_dir}: {manifest}.");
    eprintln!(
        "Made {} by Forebay {}. Its address pool is {}, its domain {}: start forebay up with --data-dir {data_dir} and the flags it had.",
        manifest.made, manifest.program, manifest.pool, manifest.domain
    );
    Ok(())
}

fn list(manifest: &Manifest) -> anyhow::Result<()> {
    let by = match manifest.process {
        Some(process) => format!("of process {process}, which ran"),
        None => "of a store; no Forebay ran".to_owned(),
    };
    out::line(format_args!(
        "made          {} by Forebay {}, {by}",
        manifest.made, manifest.program
    ))?;
    out::line(format_args!(
        "formats       {} of the archive, {} of the store",
        manifest.format, manifest.store_format
    ))?;
    out::line(format_args!("address pool  {}", manifest.pool))?;
    out::line(format_args!("domain        {}", manifest.domain))?;
    out::line(format_args!("holds         {manifest}"))?;
    out::line(format_args!(
        "whole         {} members, {} bytes unpacked, as their digests say",
        manifest.count(),
        manifest.bytes()
    ))?;
    for (table, count) in &manifest.rows {
        out::line(format_args!("  {table:<34} {count:>8}"))?;
    }
    Ok(())
}
