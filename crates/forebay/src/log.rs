//! What happens is told on standard error: standard output is for what programs read.

/// Tells what this filter lets through.
pub(crate) fn start(filter: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // A log that can't be written (a closed pipe, a full disk) must not panic the thread that logs.
        .log_internal_errors(false)
        .init();
}

/// The same, without what reads filters if there is none to read but a level.
pub(crate) fn start_small(filter: &str) {
    use tracing_subscriber::filter::LevelFilter;
    let Ok(level) = filter.parse::<LevelFilter>() else {
        return start(filter);
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false)
        .init();
}
