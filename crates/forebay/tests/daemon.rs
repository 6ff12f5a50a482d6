//! The programs in the hands of log rotation and probes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

const BINARY: &str = env!("CARGO_BIN_EXE_forebay");

/// A program that has printed its ready line.
struct Daemon {
    child: Child,
    said: BufReader<ChildStderr>,
    ready: String,
}

impl Daemon {
    fn start(command: &mut Command) -> Daemon {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.env_clear().spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut ready = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut ready).unwrap();
        Daemon { child, said, ready }
    }

    /// `pool` must be this test's own: two servers with the same pool refuse each other.
    fn up(place: &Path, pool: &str) -> Daemon {
        let flags = [
            "up",
            "--no-auth",
            "--api",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--address-pool",
            pool,
        ];
        let mut command = Command::new(BINARY);
        command.args(flags).arg("--data-dir").arg(place.join("data"));
        Daemon::start(&mut command)
    }

    /// A value of the ready line.
    fn value(&self, name: &str) -> &str {
        let mut words = self.ready.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)).unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -$0 $1", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    fn until(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(
                self.said.read_line(&mut line).unwrap(),
                0,
                "it ended without '{wanted}'"
            );
        }
    }

    /// What `forebay health` prints, and its exit code.
    fn health(&self) -> (String, i32) {
        let mut command = Command::new(BINARY);
        let output = command
            .env_clear()
            .args(["health", "--admin", self.value("admin=")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (said, output.status.code().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A regression: each of the three signals ended the server, and requests with it.
#[test]
fn a_server_outlives_those_who_rotate_logs() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Daemon::up(place.path(), "127.184.0.0/16");
    server.signal("USR1");
    server.signal("USR2");
    server.signal("HUP");
    server.until("logs are opened anew");
    let (page, code) = server.health();
    assert!(page.contains("\"status\": \"ok\"") && code == 0, "{code} {page}");
    server.signal("TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

fn agent(flags: &[&str]) -> Daemon {
    let mut command = Command::new(BINARY);
    command.args([
        "agent",
        "--data-address",
        "127.0.0.1:0",
        "--control-address",
        "127.0.0.1:0",
    ]);
    command.args(["--destination-address", "127.0.0.1:9"]).args(flags);
    Daemon::start(&mut command)
}

/// A regression: SIGHUP ended an agent, though it handled its other two signals.
#[test]
fn an_agent_outlives_a_hangup() {
    let mut agent = agent(&[]);
    agent.signal("HUP");
    agent.until("nothing to read again");
    agent.signal("USR1");
    agent.until("the limit has changed");
    agent.signal("TERM");
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));
}

/// Writes a self-signed certificate for one name and its key into these two files.
fn write_pair(chain: &Path, key: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["agent.test".to_owned()]).unwrap();
    std::fs::write(chain, made.cert.pem()).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

/// Whether a client that trusts only this certificate is shown it.
fn shows(address: &str, certificate: &[u8]) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "agent.test".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    while client.is_handshaking() {
        if client.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    true
}

#[test]
fn an_agent_reads_its_certificate_again() {
    let place = tempfile::tempdir().unwrap();
    let (chain, key) = (place.path().join("chain.pem"), place.path().join("key.pem"));
    let first = write_pair(&chain, &key);
    let mut agent = agent(&[
        "--tls-cert-path",
        chain.to_str().unwrap(),
        "--tls-key-path",
        key.to_str().unwrap(),
    ]);
    let addresses = [agent.value("data="), agent.value("control=")].map(str::to_owned);
    let both = |certificate: &[u8]| addresses.each_ref().map(|address| shows(address, certificate));
    assert_eq!(both(&first), [true, true]);
    let second = write_pair(&chain, &key);
    assert_eq!(both(&second), [false, false]);
    agent.signal("HUP");
    agent.until("its certificate is read again");
    assert_eq!(both(&second), [true, true]);
    // One of the two files alone does not match the other.
    write_pair(&chain, &place.path().join("other.pem"));
    agent.signal("HUP");
    agent.until("stays as it was");
    assert_eq!(both(&second), [true, true]);
}

/// A regression: a web page could set the limit.
#[test]
fn an_agent_takes_no_limit_from_pages() {
    let agent = agent(&["--admin", "127.0.0.1:0", "--allowed-host", "agent.test"]);
    let address = agent.value("admin=http://");
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    let set = "Content-Length: 0";
    for (head, status) in [
        (
            format!("POST /limit HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.test\r\n{set}"),
            "403",
        ),
        (
            format!("POST /limit HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n{set}"),
            "403",
        ),
        (format!("POST /limit HTTP/1.1\r\nHost: evil.test\r\n{set}"), "403"),
        // The body is not a number.
        (format!("POST /limit HTTP/1.1\r\nHost: localhost\r\n{set}"), "400"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.test".to_owned(), "403"),
        ("GET /health HTTP/1.1\r\nHost: Agent.test:1".to_owned(), "200"),
    ] {
        assert_eq!(ask(&head), status, "{head}");
    }
}

/// A regression: during the drain the health page was gone, or said ok.
#[test]
fn health_tells_of_the_drain_to_its_end() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Daemon::up(place.path(), "127.185.0.0/16");
    assert_eq!(server.health().1, 0);
    // A call that is not over: its body is still to come.
    let mut call = TcpStream::connect(server.value("api=http://")).unwrap();
    call.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nAction")
        .unwrap();
    server.signal("TERM");
    server.until("finishing requests");
    loop {
        let (page, code) = server.health();
        if code == 1 {
            assert!(page.contains("\"status\": \"draining\""), "{page}");
            break;
        }
        assert!(page.contains("\"status\": \"ok\""), "{page}");
    }
    drop(call);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
