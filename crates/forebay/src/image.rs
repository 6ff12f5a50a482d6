//! `forebay image`: manages the images in the data directory.

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use forebay_launch::{Images, NewImage, PORT, Source};
use forebay_process::out;
use forebay_server::{DataDir, make_data_dir};
use jiff::Timestamp;
use std::path::PathBuf;

/// Flags of `forebay image`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
An image is what instances are started from: files, a command, or both. A running `forebay up` sees each change at once.

Examples:
  forebay image add web ./app                              a directory with an executable file `start` at its top
  forebay image add web app.tar.gz --command 'bin/server --port $PORT'
  forebay image add hello --command 'exec python3 -m http.server $PORT --bind $FOREBAY_ADDRESS'
  forebay image list
  forebay image remove web")]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    #[command(subcommand)]
    pub(crate) verb: ImageVerb,
}

#[derive(Subcommand, Debug, Clone)]
pub(crate) enum ImageVerb {
    /// Store a new image, and print its id
    Add {
        /// Unique name of the image
        name: String,
        /// Files of the image: a directory, or an archive (tar, or tar with gzip). They are copied
        #[arg(value_name = "DIRECTORY|TARBALL", required_unless_present = "command")]
        files: Option<PathBuf>,
        /// Command that starts an instance, run by /bin/sh in a directory with the files [default: ./start]
        #[arg(long, value_name = "COMMAND")]
        command: Option<String>,
        /// Port to listen on, which instances find in PORT
        #[arg(long, default_value_t = PORT, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// Description for people
        #[arg(long, default_value = "", value_name = "TEXT")]
        description: String,
    },
    /// List all images
    List,
    /// Remove an image. Instances that were started from it keep running
    Remove {
        /// Id or name of the image
        image: String,
    },
}

pub(crate) fn run(args: ImageArgs) -> anyhow::Result<()> {
    let images = Images::new(&args.data.data_dir);
    match args.verb {
        ImageVerb::Add {
            name,
            files,
            command,
            port,
            description,
        } => {
            make_data_dir(&args.data.data_dir)?;
            let new = NewImage {
                name,
                description,
                source: files.map_or(Source::Nothing, Source::Path),
                command,
                port,
            };
            let added = images.add(&new).map_err(|error| anyhow!(error));
            let image = added.context("no image was added")?;
            out::line(format_args!("{}", image.id))?;
        }
        ImageVerb::List => {
            let images = images.list();
            let width = images
                .iter()
                .map(|image| image.name.len())
                .max()
                .unwrap_or(0)
                .max(4);
            out::line(format_args!(
                "{:<21}  {:<width$}  {:>5}  {:<16}  COMMAND",
                "ID", "NAME", "PORT", "CREATED"
            ))?;
            for image in images {
                let millis = i64::try_from(image.created_ms).unwrap_or_default();
                let created = Timestamp::from_millisecond(millis).unwrap_or_default();
                let created = created.strftime("%Y-%m-%d %H:%M");
                let command = image.command.as_deref().unwrap_or("./start");
                out::line(format_args!(
                    "{:<21}  {:<width$}  {:>5}  {created:<16}  {command}",
                    image.id, image.name, image.port
                ))?;
            }
        }
        ImageVerb::Remove { image } => {
            let removed = images.remove(&image).map_err(|error| anyhow!(error))?;
            eprintln!(
                "Removed {} ({}). Instances that were started from it keep running.",
                removed.name, removed.id
            );
        }
    }
    Ok(())
}
