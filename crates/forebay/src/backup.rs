//! `forebay backup`: writes a backup beside its final place, or to standard output.

use anyhow::{Context as _, bail};
use clap::Args;
use forebay_server::DataDir;
use forebay_server::backup::{BackupOptions, Manifest, save};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Flags of `forebay backup`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
A backup may be taken while Forebay runs, without effect on traffic and calls, and while it does not. Every change that was acknowledged
before the backup began is in it. It holds the state with private keys of certificates, access keys, the secret of notifications, messages
of queues and images, but no logs and no files that instances wrote. The file has mode 0600 and replaces one of the same name once it is
complete. Run it as the user that Forebay runs as, or as root.

Examples:
  forebay backup forebay.backup
  forebay backup --data-dir /var/lib/forebay \"/var/backups/forebay-$(date +%F).backup\"
  forebay backup - | ssh elsewhere 'umask 077; cat > forebay.backup'
  forebay restore --list forebay.backup             its contents, and whether it is intact")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// File to write; - is standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Include values of metrics: the history that CloudWatch's API and `forebay metrics` show
    #[arg(long)]
    pub(crate) with_datapoints: bool,
    /// Leave out the images that instances are started from, which may be large
    #[arg(long)]
    pub(crate) without_images: bool,
    /// Leave out the messages of queues: queues are restored empty
    #[arg(long)]
    pub(crate) without_messages: bool,
}

pub(crate) fn run(args: &BackupArgs) -> anyhow::Result<()> {
    let options = BackupOptions {
        images: !args.without_images,
        messages: !args.without_messages,
        datapoints: args.with_datapoints,
    };
    let data_dir = &args.data.data_dir;
    let mut told = |what: &str| eprintln!("Backing up {what}.");
    if args.file == Path::new("-") {
        let out = io::stdout();
        if out.is_terminal() {
            bail!(
                "a backup is binary and must not go to a terminal: send it to a file or a program, such as forebay backup - > forebay.backup"
            );
        }
        let (mut out, manifest) = save(data_dir, options, out.lock(), &mut told)?;
        out.flush().context("cannot write to standard output")?;
        tell(&manifest, "standard output");
        return Ok(());
    }
    let beside = Beside::new(&args.file)?;
    let (out, manifest) = save(data_dir, options, BufWriter::new(&beside.out), &mut told)?;
    let written = out.into_inner().map_err(io::IntoInnerError::into_error);
    written
        .and_then(|_| beside.place())
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    tell(&manifest, &args.file.display().to_string());
    Ok(())
}

fn tell(manifest: &Manifest, place: &str) {
    eprintln!("Backed up to {place}: {manifest} ({} members).", manifest.count());
}

/// A temporary file that is renamed once it is complete. Until then it is deleted when this is dropped.
struct Beside<'a> {
    path: &'a Path,
    own: PathBuf,
    out: File,
}

impl Beside<'_> {
    fn new(path: &Path) -> anyhow::Result<Beside<'_>> {
        let name = path
            .file_name()
            .with_context(|| format!("{} is not a file name", path.display()))?;
        let own = path.with_file_name(format!(".{}.{}.new", name.display(), std::process::id()));
        // Only its owner may read it, because it holds private keys.
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&own);
        let out =
            out.with_context(|| format!("cannot write beside {}: choose another place", path.display()))?;
        Ok(Beside { path, own, out })
    }

    fn place(&self) -> io::Result<()> {
        self.out.sync_all()?;
        std::fs::rename(&self.own, self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // After the rename there is nothing left to delete.
        let _ = std::fs::remove_file(&self.own);
    }
}
