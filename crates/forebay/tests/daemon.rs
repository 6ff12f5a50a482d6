//! The programs as those run them who rotate logs and probe.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_forebay");

/// A program that has said that it is ready.
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

    fn up(place: &std::path::Path) -> Daemon {
        let flags = [
            "up",
            "--no-auth",
            "--api",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ];
        let mut command = Command::new(BINARY);
        command.args(flags).arg("--data-dir").arg(place.join("data"));
        Daemon::start(&mut command)
    }

    /// A value of the line that says that it is ready.
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

    /// What `forebay health` says, and its code.
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

/// Each of the three signals ended the server, and requests with it.
#[test]
fn a_server_outlives_those_who_rotate_logs() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Daemon::up(place.path());
    server.signal("USR1");
    server.signal("USR2");
    server.signal("HUP");
    server.until("logs are opened anew");
    let (page, code) = server.health();
    assert!(page.contains("\"status\": \"ok\"") && code == 0, "{code} {page}");
    server.signal("TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

/// SIGHUP ended an agent; of its other two it knew what to do.
#[test]
fn an_agent_outlives_a_hangup() {
    let mut command = Command::new(BINARY);
    command.args([
        "agent",
        "--data-address",
        "127.0.0.1:0",
        "--control-address",
        "127.0.0.1:0",
    ]);
    command.args(["--destination-address", "127.0.0.1:9"]);
    let mut agent = Daemon::start(&mut command);
    agent.signal("HUP");
    agent.until("nothing to open or read again");
    agent.signal("USR1");
    agent.until("the limit has changed");
    agent.signal("TERM");
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));
}

/// While it drained, the page was gone, or said ok.
#[test]
fn health_tells_of_the_drain_to_its_end() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Daemon::up(place.path());
    assert_eq!(server.health().1, 0);
    // A call that is not over: its body is still to come.
    let mut call = TcpStream::connect(server.value("api=http://")).unwrap();
    call.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nAction")
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
