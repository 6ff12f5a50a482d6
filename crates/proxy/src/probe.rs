//! One health probe: connect, send a request, read the status, close.

use crate::choose::connect_error;
use crate::invocation::invoke;
use crate::proxy_protocol::{self, Origin};
use crate::tls::{self, TargetStream};
use bytes::Bytes;
use forebay_functions::alb::{Values, health_check_event, read_answer};
use forebay_functions::{Functions, Invoked};
use forebay_model::{ProbeKind, TargetTls};
use forebay_node::{ConnectError, FunctionProbe, ProbeOrder, ProbeResult};
use http::{HeaderMap, Request};
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of an answer that are read in search of its status line.
const STATUS_BYTES: usize = 4096;
/// Most bytes of an answer's head over HTTP/2.
const HEAD_BYTES: u32 = 64 * 1024;
/// Most interim answers (1xx) that are skipped.
const INTERIM_ANSWERS: u32 = 128;

/// Makes a probe in ALB's form: GET, HTTP/1.1, its user agent, the address as Host, closed afterwards. None if this process
/// lacks the resources for a connection: that says nothing about the target.
pub(crate) async fn probe(order: &ProbeOrder) -> Option<ProbeResult> {
    Some(match tokio::time::timeout(order.timeout, ask(order)).await {
        Ok(Ok(Some(status))) => ProbeResult::Answered(status),
        Ok(Err(error)) if connect_error(&error) == ConnectError::OutOfResources => return None,
        Ok(_) => ProbeResult::Failed,
        Err(_) => ProbeResult::TimedOut,
    })
}

/// Checks a function's health with ALB's health check event.
pub(crate) async fn probe_function(functions: &dyn Functions, order: &FunctionProbe) -> ProbeResult {
    let values = Values::of(order.multi_value_headers);
    let event = health_check_event(&order.group, &order.path, values);
    let pending = invoke(functions, &order.function, event, None);
    match tokio::time::timeout(order.timeout, pending).await {
        Ok(Ok(Ok(Invoked {
            payload, error: None, ..
        }))) => {
            let answer = read_answer(&payload, values);
            answer.map_or(ProbeResult::Failed, |answer| ProbeResult::Answered(answer.status))
        }
        Ok(_) => ProbeResult::Failed,
        Err(_) => ProbeResult::TimedOut,
    }
}

async fn ask(order: &ProbeOrder) -> std::io::Result<Option<u16>> {
    let ProbeOrder {
        address,
        path,
        tls,
        kind,
        ..
    } = order;
    let mut stream = TcpStream::connect(address).await?;
    if order.proxy_protocol {
        stream.write_all(&proxy_protocol::header(Origin::Peer)).await?;
    }
    let mut stream = match tls {
        TargetTls::Plaintext => TargetStream::plaintext(stream),
        tls => {
            let config = tls::client_config(tls, *kind != ProbeKind::Http1)
                .ok_or(std::io::ErrorKind::PermissionDenied)?;
            // The Host of a probe is an address, which is not sent as a server name.
            tls::connect(stream, *address, config, tls::name_for(tls, None)).await?
        }
    };
    let default_port = if *tls == TargetTls::Plaintext { 80 } else { 443 };
    let host = if address.port() == default_port {
        address.ip().to_string()
    } else {
        address.to_string()
    };
    if *kind != ProbeKind::Http1 {
        return ask_in_frames(stream, order, &host).await;
    }
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = vec![0; STATUS_BYTES];
    let mut filled = 0;
    while filled < head.len() {
        let count = stream.read(&mut head[filled..]).await?;
        filled += count;
        if let Some(end) = memchr::memchr(b'\n', &head[..filled]) {
            return Ok(status(&head[..end]));
        }
        if count == 0 {
            break;
        }
    }
    Ok(None)
}

/// Like [`ask`], but over HTTP/2: a GET and its status, or a gRPC call with an empty message and the gRPC status.
async fn ask_in_frames(stream: TargetStream, order: &ProbeOrder, host: &str) -> std::io::Result<Option<u16>> {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).max_header_list_size(HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(stream).await.map_err(io_error)?;
    let grpc = order.kind == ProbeKind::Grpc;
    let scheme = if order.tls == TargetTls::Plaintext {
        "http"
    } else {
        "https"
    };
    let mut request = Request::builder()
        .method(if grpc { "POST" } else { "GET" })
        .uri(format!("{scheme}://{host}{}", order.path))
        .header("user-agent", "ELB-HealthChecker/2.0");
    if grpc {
        request = request
            .header("content-type", "application/grpc")
            .header("te", "trailers");
    }
    let request = request.body(()).map_err(std::io::Error::other)?;
    let asking = async {
        sender = sender.ready().await?;
        let (response, mut sink) = sender.send_request(request, !grpc)?;
        if grpc {
            // Not compressed, length zero: an empty message.
            sink.send_data(Bytes::from_static(&[0; 5]), true)?;
        }
        let mut response = response;
        let mut interim = 0;
        let response = poll_fn(|cx| {
            // `h2` queues interim answers without limit until they are polled.
            while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                interim += 1;
                if interim > INTERIM_ANSWERS {
                    return Poll::Ready(None);
                }
            }
            Pin::new(&mut response).poll(cx).map(Some)
        });
        let Some(response) = response.await else {
            return Ok(None);
        };
        let response = response?;
        if !grpc {
            return Ok(Some(response.status().as_u16()));
        }
        if let Some(status) = grpc_status(response.headers()) {
            return Ok(Some(status));
        }
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(chunk) = body.data().await {
            let length = chunk?.len();
            read += length;
            if read > STATUS_BYTES {
                return Ok(None);
            }
            let _ = body.flow_control().release_capacity(length);
        }
        let trailers = body.trailers().await?;
        Ok(trailers.as_ref().and_then(grpc_status))
    };
    tokio::select! {
        asked = asking => asked.map_err(io_error),
        ended = connection => ended.map(|()| None).map_err(io_error),
    }
}

fn io_error(error: h2::Error) -> std::io::Error {
    std::io::Error::other(error)
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn status(line: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    let digits = text.get(2..5)?;
    (text.get(1..2) == Some(" ") && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r"), Some(200));
        assert_eq!(status(b"HTTP/1.0 404\r"), Some(404));
        for bad in [
            "",
            "HTTP/2 200",
            "HTTP/1.1 +20",
            "SSH-2.0-x",
            "HTTP/1.1",
            "HTTP/1.é200",
        ] {
            assert_eq!(status(bad.as_bytes()), None, "{bad}");
        }
    }
}
