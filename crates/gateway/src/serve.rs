//! The front: accepts connections, bounds them, and leads each request through the rooms.

use crate::desk::Desk;
use crate::{authenticate, decode, encode, operate};
use bytes::Bytes;
use forebay_awswire::ApiError;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections at once; more wait in the kernel's queue.
const CONNECTION_LIMIT: usize = 1024;
/// The largest head of a request, give or take one read of the socket (hyper answers 431 beyond).
const HEAD_LIMIT: usize = 64 << 10;
/// From a request's head to its answer; also how long a connection may idle.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How long open calls may take to finish once we stop.
const STOP_TIME: Duration = Duration::from_secs(10);
/// After accept fails (no file descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the APIs on `listener` until `shutdown` completes; open calls are answered first.
pub async fn serve(
    listener: std::net::TcpListener,
    desk: Arc<Desk>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let (stop, stopping) = watch::channel(false);
    let accepting = async {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (desk, stopping) = (Arc::clone(&desk), stopping.clone());
                    tokio::spawn(async move {
                        connection(stream, desk, stopping).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an API connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    stop.send_replace(true);
    // All slots free: no connection is left.
    let _ = tokio::time::timeout(STOP_TIME, slots.acquire_many(CONNECTION_LIMIT as u32)).await;
    Ok(())
}

async fn connection(stream: TcpStream, desk: Arc<Desk>, mut stopping: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(bounded(&desk, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn bounded(desk: &Desk, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let request_id = desk.request_id();
    let (parts, incoming) = request.into_parts();
    if let Some(response) = not_an_api(&parts) {
        return response;
    }
    match tokio::time::timeout(REQUEST_TIME, answer(desk, &parts, incoming, &request_id)).await {
        Ok(response) => response,
        Err(_) => {
            let refusal = decode::refusal(
                &parts,
                ApiError::sender("RequestTimeout", "The request took too long.").with_status(408),
            );
            encode::response(refusal.protocol, None, &request_id, Err(&refusal.error))
        }
    }
}

/// Answers to those who look at the port with something that is no AWS client.
fn not_an_api(parts: &http::request::Parts) -> Option<Response<Full<Bytes>>> {
    let signed = parts.headers.contains_key("authorization") || parts.headers.contains_key("x-amz-target");
    let asks = parts
        .uri
        .query()
        .is_some_and(|query| query.contains("Action=") || query.contains("X-Amz-"));
    match (&parts.method, parts.uri.path()) {
        (&Method::POST, path) if path == RESET || !path.starts_with("/moto-api/") => None,
        (&Method::GET | &Method::HEAD, _) if signed || asks => None,
        (&Method::GET | &Method::HEAD, "/") => Some(encode::text(
            StatusCode::OK,
            "Forebay answers AWS API calls here: set AWS_ENDPOINT_URL to this address.\n",
        )),
        (&Method::GET | &Method::HEAD | &Method::POST, _) => {
            Some(encode::text(StatusCode::NOT_FOUND, "Nothing is here.\n"))
        }
        _ => Some(encode::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "AWS API calls are made with POST.\n",
        )),
    }
}

/// Whether a browser makes this call on behalf of a page. Programs send none of these headers.
fn comes_from_a_page(parts: &http::request::Parts) -> bool {
    let fetched = parts.headers.get("sec-fetch-site");
    parts.headers.contains_key("origin") || fetched.is_some_and(|site| site != "none")
}

/// Where test suites ask for a clean slate.
const RESET: &str = "/moto-api/reset";

async fn answer(
    desk: &Desk,
    parts: &http::request::Parts,
    incoming: Incoming,
    request_id: &str,
) -> Response<Full<Bytes>> {
    let is_reset = parts.uri.path() == RESET;
    if (is_reset || !desk.manners.check_signatures) && comes_from_a_page(parts) {
        let text = "Calls without a signature are not taken from web pages: any page could make them.";
        let refusal = decode::refusal(parts, ApiError::sender("AccessDenied", text).with_status(403));
        return encode::response(refusal.protocol, None, request_id, Err(&refusal.error));
    }
    let body = match decode::body(parts, incoming).await {
        Ok(body) => body,
        Err(refusal) => return encode::response(refusal.protocol, None, request_id, Err(&refusal.error)),
    };
    if is_reset {
        return match operate::reset(desk).await {
            Ok(()) => encode::json(StatusCode::OK, &json!({"status": "ok"})),
            Err(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                encode::json(
                    status,
                    &json!({"status": "refused", "code": error.code, "message": error.message}),
                )
            }
        };
    }
    let request = decode::view(parts, &body);
    let call = match decode::open(&request) {
        Ok(call) => call,
        Err(refusal) => {
            tracing::info!(request_id, code = refusal.error.code, "refused");
            return encode::response(refusal.protocol, None, request_id, Err(&refusal.error));
        }
    };
    let result = match authenticate::caller(desk, &request, &call) {
        Ok(caller) => operate::operate(desk, &request, &call, caller).await,
        Err(error) => Err(error),
    };
    let code = result.as_ref().err().map_or("ok", |error| error.code.as_str());
    tracing::info!(
        request_id,
        service = call.service.scope(),
        operation = call.operation,
        code,
        "answered"
    );
    let named = Some((call.service, call.operation.as_str()));
    let answered = crate::commit::guarded("encode", || {
        encode::response(call.protocol, named, request_id, result.as_ref())
    });
    answered.unwrap_or_else(|error| encode::response(call.protocol, named, request_id, Err(&error)))
}
