//! `forebay credentials`: manages the keys in the data directory.

use clap::{Args, Subcommand};
use forebay_gateway::credentials;
use forebay_process::out;
use forebay_server::{DataDir, make_data_dir};

/// Flags of `forebay credentials`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
A running `forebay up` sees each change at once.

Examples:
  forebay credentials create ci          prints the new key; use it with AWS_PROFILE=ci
  forebay credentials list
  forebay credentials delete ci")]
pub(crate) struct CredentialsArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    #[command(subcommand)]
    pub(crate) verb: CredentialsVerb,
}

#[derive(Subcommand, Debug, Clone)]
pub(crate) enum CredentialsVerb {
    /// Create a key under a new profile
    Create {
        /// Name of the profile
        profile: String,
    },
    /// List profiles and their access key ids
    List,
    /// Delete a profile and its key
    Delete {
        /// Name of the profile
        profile: String,
    },
}

pub(crate) fn run(args: CredentialsArgs) -> anyhow::Result<()> {
    let path = args.data.data_dir.join("credentials");
    match args.verb {
        CredentialsVerb::Create { profile } => {
            make_data_dir(&args.data.data_dir)?;
            let key = credentials::create(&path, &profile)?;
            out::line(format_args!(
                "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}",
                key.profile, key.access_key, key.secret
            ))?;
            eprintln!(
                "Added to {}. Use it with AWS_PROFILE={}.",
                path.display(),
                key.profile
            );
        }
        CredentialsVerb::List => {
            for listed in credentials::list(&path)? {
                out::line(format_args!("{:<24} {}", listed.profile, listed.access_key))?;
            }
        }
        CredentialsVerb::Delete { profile } => {
            credentials::delete(&path, &profile)?;
            eprintln!("Deleted profile {profile}. Calls signed with its key are refused from now on.");
        }
    }
    Ok(())
}
