//! Runs the project's chores: check, test, bench, codegen, docs. They run the same everywhere; `.ci/run` calls them.
//! Never part of a program that users run.
//!
//! `check` runs `layers`, `circles`, `retired`, `tidy`, `docs` and `deny`; `interop` runs tests with real clients; `bench`
//! measures, `release` builds; `codegen` makes the API models. `run` and `root` start commands and find the repository.
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

/// Chores of the Forebay repository.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo xtask check              everything that a program can check before a review
  cargo xtask test               everything that must pass, real clients included
  cargo xtask interop cli        only the AWS CLI's script
  cargo xtask bench peers        cost per request, compared with the relay, nginx and HAProxy
  cargo xtask release            the programs for release, into target/released
  FOREBAY_BIN=$PWD/target/released/forebay cargo xtask bench peers
                                 the same with the program for release
  cargo xtask bench agent        cost of the agent per request, compared with the relay, and its memory
  cargo xtask codegen --botocore PATH/botocore/data")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check format, lints, layers and imports, tidiness, generated files and licences
    Check,
    /// Run unit, property and scenario tests, then real clients against the real program
    Test,
    /// Run real clients against the real program: one suite, or all
    Interop {
        /// Names of suites, such as cli, boto3, terraform, moto, crash, drain, stale, malformed or demo [default: all]
        suites: Vec<String>,
    },
    /// Measure, in comparison with peers
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Build the programs for release, with profile-guided optimization, into target/released
    Release,
    /// Reduce botocore's models to what awswire needs
    Codegen {
        /// The `data` directory of botocore
        #[arg(long)]
        botocore: PathBuf,
    },
    /// Write the generated pages in docs/
    Docs,
    /// List files of a crate that import each other in a circle, and by which names
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
