//! Runs other programs, and prints each command.

use anyhow::{Context as _, bail};
use std::process::{Command, Output};

/// A cargo command in the repository.
pub(crate) fn cargo(args: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(crate::root::root()?);
    Ok(command)
}

/// Runs a command; fails if the command fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    eprintln!("--> {line}");
    let status = command.status().with_context(|| format!("cannot run {line}"))?;
    if !status.success() {
        bail!("{line} ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns its output, whatever its status.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Output> {
    let line = line(command);
    command.output().with_context(|| format!("cannot run {line}"))
}

fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    command
        .get_args()
        .fold(name, |line, arg| format!("{line} {}", arg.to_string_lossy()))
}

/// Whether a program is on the PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
