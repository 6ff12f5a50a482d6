//! `forebay credentials`.

use crate::data_dir::make_data_dir;
use crate::flags::{CredentialsArgs, CredentialsVerb};
use crate::out;
use forebay_gateway::credentials;

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
