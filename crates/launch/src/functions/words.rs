//! Lambda's texts about invocations, for callers and for the log.

use super::shim::Exit;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Largest answer in bytes.
pub(super) const ANSWER_BYTES: usize = 6_291_556;

/// How an invocation failed without a report from its function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It took longer than this many seconds.
    TimedOut(u32),
    /// It used more memory than it may.
    Memory,
    /// Its process ended.
    Ended(Exit),
    /// Its answer was too large.
    AnswerTooLarge,
    /// Forebay is stopping.
    Stopped,
}

impl Failure {
    /// Lambda's type of the error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Failure::TimedOut(_) => "Sandbox.Timedout",
            Failure::Memory => "Runtime.OutOfMemory",
            Failure::Ended(Exit::NotStarted(_)) => "Runtime.InvalidEntrypoint",
            Failure::Ended(_) => "Runtime.ExitError",
            Failure::AnswerTooLarge => "Function.ResponseSizeTooLarge",
            Failure::Stopped => "Sandbox.Failure",
        }
    }

    fn says(&self) -> String {
        match self {
            Failure::TimedOut(seconds) => format!("Task timed out after {seconds}.00 seconds"),
            Failure::Memory => "Runtime exited with error: signal: killed".to_owned(),
            Failure::Ended(exit) => ended(exit),
            Failure::AnswerTooLarge => {
                format!("Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes).")
            }
            Failure::Stopped => "Forebay was stopped while the function ran".to_owned(),
        }
    }

    /// The error document for the caller. `hint` says what may help, if that is known.
    pub(super) fn document(&self, request_id: &str, hint: Option<&str>) -> Vec<u8> {
        let mut says = self.says();
        if let Some(hint) = hint {
            says = format!("{says} ({hint})");
        }
        let (kind, message) = match self {
            // The answer to the caller differs from the report in the log.
            Failure::Memory => (
                "Runtime.ExitError",
                format!("RequestId: {request_id} Error: {says}"),
            ),
            Failure::AnswerTooLarge => (self.kind(), says),
            _ => (self.kind(), format!("RequestId: {request_id} Error: {says}")),
        };
        document(kind, &message)
    }
}

fn ended(exit: &Exit) -> String {
    match exit {
        Exit::NotStarted(why) => why.clone(),
        Exit::Status(0) | Exit::Unknown => "Runtime exited without providing a reason".to_owned(),
        Exit::Status(code) => format!("Runtime exited with error: exit status {code}"),
        Exit::Signal(signal) => format!("Runtime exited with error: signal: {}", signal_name(*signal)),
    }
}

/// Go's name of a signal, which Lambda uses.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    }
    .to_owned()
}

fn document(kind: &str, message: &str) -> Vec<u8> {
    // Written by hand, to keep Lambda's order.
    format!(
        "{{\"errorType\":{},\"errorMessage\":{}}}",
        Value::from(kind),
        Value::from(message)
    )
    .into_bytes()
}

/// The error that a runtime has posted, or one made from the posted text if that is not JSON.
pub(super) fn posted(body: &[u8], kind: Option<&str>) -> Vec<u8> {
    if serde_json::from_slice::<Value>(body).is_ok_and(|value| value.is_object()) {
        return body.to_vec();
    }
    let shown = &body[..body.len().min(4096)];
    document(kind.unwrap_or("Runtime.Unknown"), &String::from_utf8_lossy(shown))
}

/// The body of the Runtime API's errors.
pub(super) fn refusal(kind: &str, message: &str) -> Vec<u8> {
    json!({"errorType": kind, "errorMessage": message})
        .to_string()
        .into_bytes()
}

/// The first log line of an invocation.
pub(super) fn start_line(request_id: &str) -> String {
    format!("START RequestId: {request_id} Version: $LATEST\n")
}

/// The facts for the last log lines of an invocation.
pub(super) struct Report<'a> {
    pub(super) request_id: &'a str,
    pub(super) duration: Duration,
    pub(super) init: Option<Duration>,
    pub(super) memory_mib: u32,
    pub(super) used_bytes: u64,
    pub(super) failure: Option<&'a Failure>,
    /// The wall clock time, for the line of a timeout.
    pub(super) now: &'a str,
}

impl Report<'_> {
    /// The last log lines of an invocation.
    pub(super) fn lines(&self) -> String {
        let id = self.request_id;
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let mut text = String::new();
        match self.failure {
            Some(failure @ Failure::TimedOut(_)) => {
                let _ = writeln!(text, "{} {id} {}\n", self.now, failure.says());
            }
            Some(failure @ (Failure::Ended(_) | Failure::Memory | Failure::Stopped)) => {
                let _ = writeln!(
                    text,
                    "RequestId: {id} Error: {}\n{}",
                    failure.says(),
                    failure.kind()
                );
            }
            _ => {}
        }
        let _ = write!(
            text,
            "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t",
            ms(self.duration),
            ms(self.duration).ceil(),
            self.memory_mib,
            self.used_bytes.div_ceil(1 << 20),
        );
        if let Some(init) = self.init {
            let _ = write!(text, "Init Duration: {:.2} ms\t", ms(init));
        }
        match self.failure {
            Some(Failure::TimedOut(_)) => text.push_str("Status: timeout\t"),
            Some(failure) => {
                let _ = write!(text, "Status: error\tError Type: {}\t", failure.kind());
            }
            None => {}
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_lambdas_words() {
        let text = |failure: Failure| String::from_utf8(failure.document("ID", None)).unwrap();
        assert_eq!(
            text(Failure::TimedOut(3)),
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 3.00 seconds"}"#
        );
        assert_eq!(
            text(Failure::Ended(Exit::Status(1))),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 1"}"#
        );
        assert_eq!(
            text(Failure::Memory),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: signal: killed"}"#
        );
    }

    #[test]
    fn what_is_posted_as_an_error_becomes_json() {
        assert_eq!(posted(b"{\"errorType\":\"E\"}", None), b"{\"errorType\":\"E\"}");
        assert_eq!(
            posted(b"no", Some("My.Error")),
            br#"{"errorType":"My.Error","errorMessage":"no"}"#
        );
    }

    #[test]
    fn a_report_is_one_line_of_tabs() {
        let report = Report {
            request_id: "ID",
            duration: Duration::from_micros(1_234),
            init: Some(Duration::from_millis(100)),
            memory_mib: 128,
            used_bytes: 30 << 20,
            failure: None,
            now: "",
        };
        assert_eq!(
            report.lines(),
            "END RequestId: ID\nREPORT RequestId: ID\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 30 MB\tInit Duration: 100.00 ms\t\n"
        );
    }
}
