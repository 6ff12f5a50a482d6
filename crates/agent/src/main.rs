//! The agent as a program of its own: the same agent at a third of the size, so that less of it is resident. `forebay
//! agent`
//! executes this program if it is beside it.

use clap::Parser;
use forebay_agent::AgentArgs;
use forebay_process::{log, values};
use std::process::ExitCode;

/// Run beside an application and hold it to a number of concurrent requests.
#[derive(Parser, Debug)]
#[command(name = "forebay-agent", version = forebay_process::VERSION)]
struct Cli {
    /// Log filter, `level` or `crate=level,...` [default: RUST_LOG, or info].
    /// A level alone applies to the agent's own lines; libraries log only where they are named, as in `info,h2=warn`
    #[arg(long, env = "FOREBAY_LOG", value_name = "FILTER", value_parser = values::filter)]
    log: Option<String>,
    /// Format of log lines
    #[arg(long, env = "FOREBAY_LOG_FORMAT", value_enum, default_value_t = log::LogFormat::Text)]
    log_format: log::LogFormat,
    #[command(flatten)]
    args: AgentArgs,
}

fn main() -> ExitCode {
    let done = forebay_agent::resumed(log::start).unwrap_or_else(|| {
        let Cli {
            log,
            log_format,
            args,
        } = values::parse();
        let filter = log.unwrap_or_else(forebay_agent::default_filter);
        log::start(&filter, log_format);
        forebay_agent::run(&args, filter, log_format)
    });
    let code = done.unwrap_or_else(|error| {
        log::say(tracing::Level::ERROR, format_args!("forebay-agent: {error:#}"));
        ExitCode::FAILURE
    });
    log::finish();
    code
}
