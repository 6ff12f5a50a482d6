//! Values of flags and environment variables, parsed but not interpreted.

use anyhow::{Context as _, bail};
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use std::net::SocketAddr;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Reads the command line. A variable that is set to the empty string counts as not set, because files for systemd and
/// Compose have such lines.
pub fn parse<C: CommandFactory + FromArgMatches>() -> C {
    let matches = without_empty(C::command()).get_matches();
    C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        let name = arg.get_env();
        name.and_then(std::env::var_os)
            .is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None) } else { arg })
        .mut_subcommands(without_empty)
}

/// An environment variable, if it is set to a value that is not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An IP address with a port.
pub fn address(text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(port) = text.parse::<u16>() {
        bail!("that is only a port; put an IP address before it, such as 127.0.0.1:{port}");
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        bail!("the port is missing; write {}", SocketAddr::new(ip, 4566));
    }
    match text.strip_prefix(':').map(str::parse::<u16>) {
        Some(Ok(port)) => {
            bail!("the IP address is missing; 0.0.0.0:{port} means every address of this machine")
        }
        _ => bail!("an address is an IP address and a port, such as 127.0.0.1:4566"),
    }
}

/// A log filter. A word that is not a level would be taken for a library's name, and everything else would be silent.
pub fn filter(text: &str) -> anyhow::Result<String> {
    let levels = "a level is off, error, warn, info, debug or trace";
    for part in text.split(',') {
        let part = part.trim();
        let is_alone = !part.contains(['=', '[']);
        if part.is_empty() || is_alone && part.parse::<LevelFilter>().is_err() {
            bail!("'{part}' is not a level: {levels}; for a library, write h2=debug");
        }
    }
    EnvFilter::try_new(text).with_context(|| format!("this is not a log filter; {levels}"))?;
    Ok(text.to_owned())
}

/// A number from 0 to 1.
pub fn ratio(text: &str) -> anyhow::Result<f64> {
    let ratio: f64 = text.parse().context("a ratio is a number from 0 to 1")?;
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        bail!("a ratio is a number from 0 to 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression: `--api 4566` was answered with "invalid socket address syntax".
    #[test]
    fn addresses_are_explained() {
        let wrong = |text| address(text).unwrap_err().to_string();
        assert!(wrong("4566").ends_with("such as 127.0.0.1:4566"));
        assert!(wrong(":80").contains("0.0.0.0:80"));
        assert!(wrong("10.0.0.1").ends_with("write 10.0.0.1:4566"));
        assert!(wrong("::1").ends_with("write [::1]:4566"));
        assert!(wrong("localhost:80").contains("IP address and a port"));
        assert_eq!(address("[::1]:0").unwrap().port(), 0);
    }

    /// A regression: `--log bogus` was taken for a library's name, so nothing was logged and no error shown.
    #[test]
    fn filters_have_levels() {
        for good in ["warn", "INFO", "info,h2=warn", "off", "warn,forebay_proxy=debug"] {
            assert_eq!(filter(good).unwrap(), good);
        }
        for bad in ["bogus", "", "info,", "h2", "h2=loud", "info,bogus"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
