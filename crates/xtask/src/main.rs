//! The project's chores: check, test, bench, codegen, docs. Runs the same everywhere; `.ci/run` calls it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod check;
mod circles;
mod codegen;
mod deny;
mod docs;
mod interop;
mod layers;
mod release;
mod retired;
mod root;
mod run;
mod tidy;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Forebay's chores.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo xtask check              what a reviewer would say first
  cargo xtask test               everything that must pass, strangers included
  cargo xtask interop cli        only the AWS CLI's script
  cargo xtask bench peers        cost per request beside the relay, nginx and HAProxy
  cargo xtask release            the programs as they are released, into target/released
  FOREBAY_BIN=$PWD/target/released/forebay cargo xtask bench peers
                                 the same of the program as it is released
  cargo xtask bench agent        cost of the agent per request beside the relay, and its memory
  cargo xtask codegen --botocore PATH/botocore/data")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Format, lints, layers and arrows, tidy rules, generated files, licences
    Check,
    /// Unit, property and scenario tests, then real clients against the real program
    Test,
    /// Real clients against the real program: one suite, or all
    Interop {
        /// cli, boto3, terraform, moto, crash, drain, stale, malformed or demo; all without a name
        suites: Vec<String>,
    },
    /// Measurements beside peers
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// The programs as they are released, optimised by the profile of a run, into target/released
    Release,
    /// Strip botocore's models to what awswire needs
    Codegen {
        /// botocore's `data` directory
        #[arg(long)]
        botocore: PathBuf,
    },
    /// Write the generated pages in docs/
    Docs,
    /// Files of a crate that lead to each other, and by what
    Circles,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Check => check::run(),
        Chore::Test => interop::test(),
        Chore::Interop { suites } => interop::run(&suites),
        Chore::Bench { bench } => bench::run(&bench),
        Chore::Release => release::release(),
        Chore::Codegen { botocore } => codegen::run(&botocore),
        Chore::Docs => docs::write(),
        Chore::Circles => circles::check(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
