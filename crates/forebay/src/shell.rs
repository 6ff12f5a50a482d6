//! `forebay completions` and `forebay man`, both made from the command line's own description.

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use std::io::Write as _;
use std::path::PathBuf;

/// Flags of `forebay completions`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  forebay completions bash > /etc/bash_completion.d/forebay
  forebay completions zsh > \"${fpath[1]}/_forebay\"
  forebay completions fish > ~/.config/fish/completions/forebay.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    pub(crate) shell: Shell,
}

/// Flags of `forebay man`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  forebay man | man -l -                            read it
  forebay man --dir /usr/local/share/man/man1       forebay.1, forebay-up.1 and so on")]
pub(crate) struct ManArgs {
    /// Write a page for each command into this directory, instead of the page of `forebay` to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Prints the completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "forebay", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}

/// Prints the main page of the manual, or writes all pages.
pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        return clap_mangen::generate_to(command, dir)
            .with_context(|| format!("cannot write pages into {}", dir.display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    std::io::stdout().write_all(&page)?;
    Ok(())
}
