//! Reads the requests of an access log: when each came, and how long its target took. The format is ALB's, which Forebay
//! writes too.

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use forebay_sim::Asked;
use jiff::Timestamp;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

/// Positions of fields, from 0: target_processing_time and request_creation_time.
const TARGET_TIME: usize = 6;
const CREATED: usize = 21;

/// The content of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Requests in the order in which they came, with times from the first one on.
    pub(crate) asked: Vec<Asked>,
    /// Number of requests that no target answered.
    pub(crate) without_target: usize,
}

/// Reads a log, compressed if its name ends in `.gz`, and divides the times between requests by `compress`.
pub(crate) fn read(file: &Path, compress: f64) -> anyhow::Result<Trace> {
    let shown = file.display();
    let open = File::open(file).with_context(|| format!("cannot read {shown}"))?;
    let is_packed = file.extension().is_some_and(|extension| extension == "gz");
    let bytes: Box<dyn Read> = if is_packed {
        Box::new(MultiGzDecoder::new(open))
    } else {
        Box::new(open)
    };
    let trace = parse(BufReader::new(bytes), compress).with_context(|| format!("{shown}"))?;
    if trace.asked.is_empty() {
        bail!("{shown} has no request that a target answered");
    }
    Ok(trace)
}

fn parse(lines: impl BufRead, compress: f64) -> anyhow::Result<Trace> {
    let mut trace = Trace::default();
    let mut found = Vec::new();
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.with_context(|| format!("line {number}"))?;
        let (at, takes) =
            request(&line).with_context(|| format!("line {number} is not a line of an access log"))?;
        match takes {
            Some(takes) => found.push((at, takes)),
            None => trace.without_target += 1,
        }
    }
    found.sort_unstable();
    let first = found.first().map_or(Timestamp::UNIX_EPOCH, |request| request.0);
    let asked = found.into_iter().map(|(at, takes)| Asked {
        at: at.duration_since(first).unsigned_abs().div_f64(compress),
        takes,
    });
    trace.asked = asked.collect();
    Ok(trace)
}

/// When a request was received, and its target's time; none if no target answered.
fn request(line: &str) -> Option<(Timestamp, Option<Duration>)> {
    let mut fields = fields(line);
    let takes: f64 = fields.nth(TARGET_TIME)?.parse().ok()?;
    let at = fields.nth(CREATED - TARGET_TIME - 1)?.parse().ok()?;
    Some((at, Duration::try_from_secs_f64(takes).ok()))
}

/// Fields between spaces; text in quotes is one field. A quote within is written `\x22`.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        rest = after.strip_prefix(' ').unwrap_or(after);
        Some(field)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// The example of ALB's documentation, and the same request later, refused.
    const LINES: &str = "\
https 2018-07-02T22:23:02.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 \
\"GET https://www.example.com:443/a b HTTP/1.1\" \"curl/7.46.0\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 \
arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \
\"Root=1-58337281-1d84f3d73c47ec4e58577259\" \"www.example.com\" \"arn:aws:acm:us-east-2:123456789012:certificate/1\" \
1 2018-07-02T22:22:48.364000Z \"authenticate,forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_123456
http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 2.5 0.000 200 200 34 366 \
\"GET http://www.example.com:80/ HTTP/1.1\" \"-\" - - - \"-\" \"-\" \"-\" 0 2018-07-02T22:22:46.364000Z \"forward\" \"-\" \"-\"
http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - -1 -1 -1 503 - 34 366 \
\"GET http://www.example.com:80/ HTTP/1.1\" \"-\" - - - \"-\" \"-\" \"-\" 0 2018-07-02T22:22:47.364000Z \"forward\" \"-\" \"-\"
";

    fn expected() -> Trace {
        let asked = |at, takes| Asked {
            at: Duration::from_millis(at),
            takes: Duration::from_millis(takes),
        };
        Trace {
            asked: vec![asked(0, 2_500), asked(1_000, 48)],
            without_target: 1,
        }
    }

    #[test]
    fn requests_come_in_the_order_in_which_they_were_received() {
        assert_eq!(parse(LINES.as_bytes(), 2.0).unwrap(), expected());
        let error = parse("not a log\n".as_bytes(), 1.0).unwrap_err();
        assert_eq!(error.to_string(), "line 1 is not a line of an access log");
    }

    #[test]
    fn a_log_may_be_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("access.log.gz");
        let mut packed = Vec::new();
        // A sequence of gzip members, as Forebay writes them.
        for line in LINES.split_inclusive('\n') {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(line.as_bytes()).unwrap();
            packed.extend(encoder.finish().unwrap());
        }
        std::fs::write(&file, packed).unwrap();
        assert_eq!(read(&file, 2.0).unwrap(), expected());
        std::fs::write(&file, []).unwrap();
        assert!(read(&file, 1.0).is_err());
        assert!(read(&dir.path().join("absent"), 1.0).is_err());
    }
}
