//! Entry points for `fuzz/`: each function takes arbitrary bytes and panics where an invariant is broken. The corpora
//! also run as ordinary tests.

use crate::sigv4::{Problem, Signer, sign, verify};
use crate::{HttpRequest, Protocol, Service, encode, open};
use forebay_units::Wall;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A target's name, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate, by the names of their corpora.
pub const TARGETS: &[Target] = &[("api_call", api_call), ("sigv4", sigv4)];

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30 12:36:00, the time of AWS's published examples.
const NOW: i64 = 1_440_938_160;

fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let (line, behind) = rest.split_at(end);
    *rest = behind.get(1..).unwrap_or_default();
    line
}

fn put(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

/// A call of any service: a line with the service's number and the query string, the target header or (for CBOR) the
/// path, and then the body. The input that is read is stable, and any input can be answered.
pub fn api_call(data: &[u8]) {
    let [number, rest @ ..] = data else { return };
    let mut body = rest;
    let first = line(&mut body);
    let service = Service::ALL[usize::from(*number) % Service::ALL.len()];
    let mut headers = HeaderMap::new();
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/local-1/{}/aws4_request",
        service.scope()
    );
    put(&mut headers, b"authorization", scope.as_bytes());
    let text = core::str::from_utf8(first).unwrap_or_default();
    let (mut path, mut query) = ("/", "");
    if text.starts_with("/service/") {
        put(&mut headers, b"smithy-protocol", b"rpc-v2-cbor");
        path = text;
    } else if service.protocols()[0].is_json() {
        put(&mut headers, b"x-amz-target", first);
    } else {
        query = text;
    }
    let request = HttpRequest {
        method: "POST",
        path,
        query,
        headers: &headers,
        body,
    };
    let (protocol, named, result) = match open(&request) {
        Ok(call) => {
            assert_eq!(call.service, service);
            let input = call.input(&request);
            assert_eq!(input, call.input(&request));
            let operation = call.operation.clone();
            (call.protocol, Some((call.service, operation)), input.map(|_| ()))
        }
        Err(refusal) => (refusal.protocol, None, Err(refusal.error)),
    };
    let named = named
        .as_ref()
        .map(|(service, operation)| (*service, operation.as_str()));
    if let Err(error) = result {
        assert!((400..=599).contains(&error.status), "{error:?}");
        let answer = encode(protocol, named, "id", Err(&error));
        if protocol == Protocol::Cbor {
            let body: Result<ciborium::Value, _> = ciborium::from_reader(&*answer.body);
            assert!(body.expect("CBOR").is_map());
            return;
        }
        let text = core::str::from_utf8(&answer.body).expect("text");
        // XML 1.0 section 2.2.
        let sound = |c: char| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
        assert!(text.chars().all(sound), "{text:?} is no XML and no JSON");
        if protocol.is_json() {
            serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        }
    } else if let Some((service, operation)) = named {
        let empty = serde_json::Value::Object(serde_json::Map::new());
        assert_eq!(
            encode(protocol, Some((service, operation)), "id", Ok(&empty)).status,
            200
        );
    }
}

/// A request with anything in its signature is refused without harm; one that is signed here is accepted, but not if a
/// byte differs. Lines: method, path, query, headers as `name:value` until an empty line, body.
pub fn sigv4(data: &[u8]) {
    let mut rest = data;
    let text = |bytes| core::str::from_utf8(bytes).ok();
    let (method, path, query) = (line(&mut rest), line(&mut rest), line(&mut rest));
    let (Some(method), Some(path), Some(query)) = (text(method), text(path), text(query)) else {
        return;
    };
    let mut headers = HeaderMap::new();
    loop {
        let header = line(&mut rest);
        if header.is_empty() {
            break;
        }
        let mut halves = header.splitn(2, |&byte| byte == b':');
        put(
            &mut headers,
            halves.next().unwrap_or_default(),
            halves.next().unwrap_or_default(),
        );
    }
    let request = HttpRequest {
        method,
        path,
        query,
        headers: &headers,
        body: rest,
    };
    let now = Wall::from_seconds(NOW);
    match verify(&request, now, |_| Some(SECRET.to_owned())) {
        Ok(scope) => {
            let other = verify(&request, now, |_| Some("another".to_owned()));
            assert_eq!(
                other,
                Err(Problem::Mismatch(None)),
                "{scope:?} needs its secret not"
            );
        }
        Err(problem) => {
            let _ = problem.error(Protocol::Json11);
        }
    }
    round_trip(&request, now);
}

/// What is signed here verifies, and what was changed afterwards does not.
fn round_trip(request: &HttpRequest<'_>, now: Wall) {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    // As a server gets requests: an absolute path without a fragment, and a query without signature parameters.
    if !matches!(request.method, "GET" | "POST" | "PUT")
        || !request.path.starts_with('/')
        || !plain(request.path)
        || !plain(request.query)
        || request.path.contains(['?', '#'])
        || request.query.contains('#')
        || request.query.to_ascii_lowercase().contains("x-amz")
    {
        return;
    }
    let signer = Signer {
        access_key: "AKIDEXAMPLE",
        secret: SECRET,
        region: "local-1",
        service: Service::Sts,
    };
    let mut url = format!("http://host.test{}", request.path);
    if !request.query.is_empty() {
        url = format!("{url}?{}", request.query);
    }
    let Ok(added) = sign(signer, request.method, &url, &[], request.body, now) else {
        return;
    };
    let mut headers = HeaderMap::new();
    put(&mut headers, b"host", b"host.test");
    for (name, value) in &added {
        put(&mut headers, name.as_bytes(), value.as_bytes());
    }
    let signed = HttpRequest {
        headers: &headers,
        ..*request
    };
    let known = |_: &str| Some(SECRET.to_owned());
    assert!(
        verify(&signed, now, known).is_ok(),
        "{:?} is not accepted as signed",
        (signed.method, signed.path, signed.query)
    );
    let mut longer = request.body.to_vec();
    longer.push(b'x');
    let altered = HttpRequest {
        body: &longer,
        ..signed
    };
    assert_eq!(verify(&altered, now, known), Err(Problem::Mismatch(None)));
}

#[cfg(test)]
mod tests {
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn the_corpora_hold() {
        for (name, target) in super::TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
            let mut count = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
