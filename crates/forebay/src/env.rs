//! `forebay env`: prints shell variables that point AWS's tools at this Forebay and at nothing else.

use crate::ask::admin;
use anyhow::Context as _;
use clap::Args;
use forebay_gateway::credentials;
use forebay_process::out;
use forebay_server::{DataDir, region};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Variables of the caller's own account that would point elsewhere.
const FOREIGN: [&str; 8] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CREDENTIAL_EXPIRATION",
];

/// Flags of `forebay env`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Prints lines for a shell that set the endpoint, the region under both its names and a profile's keys, unset variables of other accounts,
and turn the AWS CLI's pager off.

Examples:
  eval \"$(forebay env)\"
  eval \"$(forebay env --data-dir /var/lib/forebay --profile ci)\"")]
pub(crate) struct EnvArgs {
    #[command(flatten)]
    data: DataDir,
    /// Address of the API, as `forebay up` prints it
    #[arg(
        long,
        env = "FOREBAY_API",
        default_value = "127.0.0.1:4566",
        value_name = "ADDR:PORT",
        value_parser = admin
    )]
    api: SocketAddr,
    /// Region of calls
    #[arg(long, env = "FOREBAY_REGION", default_value = "local-1", value_parser = region)]
    region: String,
    /// Profile whose keys are printed
    #[arg(long, default_value = "default", value_name = "NAME")]
    profile: String,
}

/// A profile's key.
pub(crate) fn key(data_dir: &Path, profile: &str) -> anyhow::Result<credentials::Key> {
    let file = data_dir.join("credentials");
    credentials::find(&file, profile)?.with_context(|| {
        let file = file.display();
        format!("there is no profile '{profile}' in {file}: start `forebay up` first, or name its --data-dir")
    })
}

pub(crate) fn run(args: &EnvArgs) -> anyhow::Result<()> {
    let key = key(&args.data.data_dir, &args.profile)?;
    out::line(format_args!("{}", lines(args.api, &args.region, &key)))
}

/// The lines, without a line break after the last one.
fn lines(api: SocketAddr, region: &str, key: &credentials::Key) -> String {
    let mut api = api;
    if api.ip().is_unspecified() {
        // The API listens on every address of the machine, so the loopback address works.
        api.set_ip(match api {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let mut text = format!("unset {}\n", FOREIGN.join(" "));
    for (name, value) in [
        ("AWS_ENDPOINT_URL", format!("http://{api}").as_str()),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", &key.access_key),
        ("AWS_SECRET_ACCESS_KEY", &key.secret),
        ("AWS_PAGER", ""),
    ] {
        // A shell interprets nothing between single quotes. A quote itself is written outside of them.
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', "'\\''"));
    }
    text.push_str("# For a shell: eval \"$(forebay env)\"");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A regression: the README set one of the region's two names and left a profile and keys of another account in place.
    #[test]
    fn a_shell_that_evaluates_it_talks_to_this_forebay_alone() {
        let key = credentials::Key {
            profile: "default".to_owned(),
            access_key: "AKIAX".to_owned(),
            secret: "a+/'$(b)".to_owned(),
        };
        let text = lines("0.0.0.0:4566".parse().unwrap(), "local-1", &key);
        let show = "eval \"$1\"; echo $AWS_ENDPOINT_URL $AWS_REGION $AWS_DEFAULT_REGION $AWS_ACCESS_KEY_ID \
                    \"$AWS_SECRET_ACCESS_KEY\" \"${AWS_PROFILE-none} ${AWS_SESSION_TOKEN-none} [$AWS_PAGER]\"";
        let shell = Command::new("sh")
            .args(["-c", show, "sh", &text])
            .env("AWS_PROFILE", "work")
            .env("AWS_ACCESS_KEY_ID", "AKIAOTHER")
            .env("AWS_SESSION_TOKEN", "other")
            .env("AWS_PAGER", "less")
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(shell.stdout).unwrap(),
            "http://127.0.0.1:4566 local-1 local-1 AKIAX a+/'$(b) none none []\n"
        );
    }
}
