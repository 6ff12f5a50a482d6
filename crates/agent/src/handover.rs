//! Starts the agent a second time. The first run reads the command line and files and makes the certificate; then the
//! process
//! executes the program again and hands the result over. Pages that only starting needs, half of an idle agent's, are then
//! not resident, so that an agent can run beside each of many small applications.

use super::identity::{Files, Pair};
use super::settled::Settled;
use anyhow::{Context as _, bail};
use forebay_model::{KeyForm, ProtocolVersion};
use forebay_process::log::LogFormat;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// The environment variable that names the handover's file in the second run.
const HANDOVER: &str = "FOREBAY_AGENT_HANDOVER";

const FORMS: [(&str, KeyForm); 3] = [
    ("pkcs8", KeyForm::Pkcs8),
    ("pkcs1", KeyForm::Pkcs1),
    ("sec1", KeyForm::Sec1),
];
const VERSIONS: [(&str, ProtocolVersion); 3] = [
    ("HTTP1", ProtocolVersion::Http1),
    ("HTTP2", ProtocolVersion::Http2),
    ("GRPC", ProtocolVersion::Grpc),
];

/// Executes the program again. Returns only if that fails, with the reason.
pub(super) fn hand_over(settled: &Settled) -> anyhow::Error {
    let executed = || -> anyhow::Result<std::convert::Infallible> {
        // In memory, so that the key is never on disk, and without close-on-exec, so that the second run can open it.
        let memory = rustix::fs::memfd_create("agent", rustix::fs::MemfdFlags::empty())?;
        let mut file = std::fs::File::from(memory);
        file.write_all(write(settled).as_bytes())?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let arguments: Vec<_> = std::env::args_os().collect();
        let mut command = Command::new(program());
        if let Some(name) = arguments.first() {
            command.arg0(name);
        }
        Err(command
            .args(arguments.iter().skip(1))
            .env(HANDOVER, path)
            .exec()
            .into())
    };
    match executed() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// The agent's own program if it is beside this one; else this one.
fn program() -> PathBuf {
    let alone = std::env::current_exe().map(|own| own.with_file_name("forebay-agent"));
    alone
        .ok()
        .filter(|alone| alone.is_file())
        .unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// The result of the first run; none in a first run.
pub(super) fn taken() -> Option<anyhow::Result<Settled>> {
    let path = std::env::var_os(HANDOVER)?;
    let read_all = || -> anyhow::Result<Settled> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The file holds the private key, and the descriptor stays open.
        file.set_len(0)?;
        read(&text)
    };
    Some(read_all().with_context(|| {
        format!("{HANDOVER} names no handover; it is for the agent's own use and must not be set")
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).context("no digit");
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Ok((digit(high)? << 4 | digit(low)?) as u8),
            _ => bail!("half a byte"),
        })
        .collect()
}

/// One line per value, with its name first.
fn write(settled: &Settled) -> String {
    let mut text = String::new();
    let name = |version| VERSIONS.iter().find(|known| known.1 == version);
    let form = |form| FORMS.iter().find(|known| known.1 == form);
    let _ = write!(
        text,
        "data {}\ncontrol {}\ndestination {}\nlimit {}\nversion {}\npolicy {}\nworkers {}\nbuffers {}\ndrain {}\nlog {}\nformat {}\n",
        settled.data,
        settled.control,
        settled.destination,
        settled.limit,
        name(settled.version).map_or("", |known| known.0),
        settled.policy,
        settled.workers,
        settled.buffer_bytes,
        settled.drain_seconds,
        settled.log,
        match settled.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        },
    );
    if let Some(admin) = settled.admin {
        let _ = writeln!(text, "admin {admin}");
    }
    for name in &settled.allowed_host {
        let _ = writeln!(text, "host {}", hex(name.as_bytes()));
    }
    if let Some(Files { chain, key }) = &settled.files {
        let _ = writeln!(text, "chain-file {}", hex(chain.as_os_str().as_bytes()));
        let _ = writeln!(text, "key-file {}", hex(key.as_os_str().as_bytes()));
    }
    for part in &settled.identity.chain {
        let _ = writeln!(text, "certificate {}", hex(part));
    }
    let _ = writeln!(
        text,
        "{} {}",
        form(settled.identity.form).map_or("", |known| known.0),
        hex(&settled.identity.key)
    );
    text
}

fn read(text: &str) -> anyhow::Result<Settled> {
    let of = |wanted: &'static str| {
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter(move |(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    let one = |wanted| of(wanted).next().context(wanted);
    let version = one("version")?;
    let key = FORMS
        .iter()
        .find_map(|(name, form)| Some((*form, of(name).next()?)));
    let (form, key) = key.context("no key")?;
    let path = |name| -> anyhow::Result<Option<PathBuf>> {
        let bytes = of(name).next().map(unhex).transpose()?;
        Ok(bytes.map(|bytes| OsString::from_vec(bytes).into()))
    };
    let files = match (path("chain-file")?, path("key-file")?) {
        (Some(chain), Some(key)) => Some(Files { chain, key }),
        _ => None,
    };
    Ok(Settled {
        data: one("data")?.parse()?,
        control: one("control")?.parse()?,
        destination: one("destination")?.parse()?,
        limit: one("limit")?.parse()?,
        version: VERSIONS
            .iter()
            .find(|known| known.0 == version)
            .context("version")?
            .1,
        policy: one("policy")?.to_owned(),
        workers: one("workers")?.parse()?,
        buffer_bytes: one("buffers")?.parse()?,
        drain_seconds: one("drain")?.parse()?,
        log: one("log")?.to_owned(),
        log_format: match one("format")? {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => bail!("no format: {other}"),
        },
        admin: of("admin").next().map(str::parse).transpose()?,
        allowed_host: of("host")
            .map(|name| Ok(String::from_utf8(unhex(name)?)?))
            .collect::<anyhow::Result<_>>()?,
        files,
        identity: Pair {
            chain: of("certificate").map(unhex).collect::<Result<_, _>>()?,
            form,
            key: unhex(key)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_what_is_taken() {
        let settled = Settled {
            data: "[::1]:80".parse().unwrap(),
            control: "0.0.0.0:3000".parse().unwrap(),
            destination: "127.0.0.1:8080".parse().unwrap(),
            limit: 7,
            version: ProtocolVersion::Grpc,
            policy: "ELBSecurityPolicy-2016-08".to_owned(),
            workers: 2,
            buffer_bytes: 1 << 30,
            drain_seconds: 5,
            log: "info,h2=debug".to_owned(),
            log_format: LogFormat::Json,
            admin: Some("127.0.0.1:1".parse().unwrap()),
            allowed_host: vec!["agent.test".to_owned(), "a b".to_owned()],
            files: Some(Files {
                chain: "/a b/c\n.pem".into(),
                key: "k".into(),
            }),
            identity: Pair {
                chain: vec![vec![0, 255, 16], vec![1]],
                form: KeyForm::Sec1,
                key: vec![9, 8, 7],
            },
        };
        assert_eq!(read(&write(&settled)).unwrap(), settled);
        let without = Settled {
            admin: None,
            files: None,
            allowed_host: Vec::new(),
            ..settled
        };
        assert_eq!(read(&write(&without)).unwrap(), without);
        assert!(read("data x\n").is_err());
        assert!(unhex("0").is_err());
        assert!(unhex("0g").is_err());
    }
}
