//! Passes each request of the API through the stages.

use crate::context::ApiContext;
use crate::front::{self, Answer, Bounds, FrontConnection, UPLOAD_TIME};
use crate::pages::comes_from_a_page;
use crate::{authenticate, decode, encode, operate};
use bytes::Bytes;
use forebay_awswire::{ApiError, Call, Refusal, Service, answered_in};
use forebay_control::OperationSpec;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Most time from a request's head to its answer.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Like [`REQUEST_TIME`], for an invocation: a function may run for 15 minutes.
const INVOCATION_TIME: Duration = Duration::from_secs(930);

/// Serves the APIs on `listener` until `shutdown` completes; open calls are answered first.
pub async fn serve(
    listener: std::net::TcpListener,
    bounds: Bounds,
    context: Arc<ApiContext>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let stopping = context.stopping.clone();
    let shutdown = async move {
        shutdown.await;
        // Calls that wait for messages are answered without any.
        stopping.send_replace(true);
    };
    front::serve(listener, bounds, context, shutdown).await;
    Ok(())
}

impl Answer for ApiContext {
    async fn answer(&self, client: &FrontConnection, request: Request<Incoming>) -> Response<Full<Bytes>> {
        bounded(self, client, request).await
    }
}

async fn bounded(
    context: &ApiContext,
    client: &FrontConnection,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let request_id = context.request_id();
    let (parts, incoming) = request.into_parts();
    if let Some(response) = not_an_api(&parts) {
        return response;
    }
    let answered = answer(context, client, &parts, incoming, &request_id);
    let most = time_of(&parts);
    match tokio::time::timeout(most, answered).await {
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

/// Most time from a request's head to its answer.
fn time_of(parts: &http::request::Parts) -> Duration {
    let head = decode::view(parts, &[]);
    // A call may wait for a function.
    if forebay_awswire::named(&head) == Some(Service::Lambda) && head.path.ends_with("/invocations") {
        INVOCATION_TIME
    } else if decode::is_archive(decode::limit(&head)) {
        UPLOAD_TIME
    } else {
        REQUEST_TIME
    }
}

/// The answer to a request that is not from an AWS client.
fn not_an_api(parts: &http::request::Parts) -> Option<Response<Full<Bytes>>> {
    let signed = parts.headers.contains_key("authorization") || parts.headers.contains_key("x-amz-target");
    let asks = parts
        .uri
        .query()
        .is_some_and(|query| query.contains("Action=") || query.contains("X-Amz-"));
    match (&parts.method, parts.uri.path()) {
        (&Method::POST, path) if path == RESET || !path.starts_with("/moto-api/") => None,
        _ if forebay_awswire::is_routed(&decode::view(parts, &[])) => None,
        (_, path) if signed && path != "/" => None,
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

/// Why a call without a signature is refused, if it may come from a web page.
fn refuses_page(
    context: &ApiContext,
    client: &FrontConnection,
    parts: &http::request::Parts,
) -> Option<String> {
    if comes_from_a_page(&parts.headers) {
        let text = "Calls without a signature are not taken from web pages: any page could make them.";
        return Some(text.to_owned());
    }
    let hosts = &context.options.hosts;
    hosts.refusal(&parts.uri, &parts.headers, client.local())
}

/// Path of the reset for test suites.
const RESET: &str = "/moto-api/reset";

async fn answer(
    context: &ApiContext,
    client: &FrontConnection,
    parts: &http::request::Parts,
    incoming: Incoming,
    request_id: &str,
) -> Response<Full<Bytes>> {
    let refused = |refusal: Refusal| {
        tracing::info!(request_id, code = refusal.error.code, "refused");
        encode::response(refusal.protocol, None, request_id, Err(&refusal.error))
    };
    let is_reset = parts.uri.path() == RESET;
    if (is_reset || !context.options.check_signatures)
        && let Some(text) = refuses_page(context, client, parts)
    {
        let error = ApiError::sender("AccessDenied", text).with_status(403);
        return refused(decode::refusal(parts, error));
    }
    if is_reset {
        decode::discard(parts, incoming, client).await;
        return reset(context).await;
    }
    let claimed = authenticate::early(context, &decode::view(parts, &[]));
    let most = match &claimed {
        Ok(_) => decode::limit(&decode::view(parts, &[])),
        // Refused before its body is held: an unknown caller must not cost memory.
        Err(problem) => match answered_in(&decode::view(parts, &[])) {
            Some(protocol) => {
                let error = authenticate::refused(problem, protocol);
                decode::discard(parts, incoming, client).await;
                return refused(Refusal { protocol, error });
            }
            // Only the body shows in which protocol the error must be.
            None => decode::UNSIGNED_LIMIT,
        },
    };
    let bodies = if decode::is_archive(most) {
        &context.archives
    } else {
        &context.bodies
    };
    let body = match decode::body(parts, incoming, most, bodies, client).await {
        Ok(body) => body,
        Err(refusal) => return refused(refusal),
    };
    let inflated = match decode::inflated(parts, &body, most) {
        Ok(inflated) => inflated,
        Err(refusal) => return refused(refusal),
    };
    // The signature covers the bytes as they were sent, before decompression.
    let (sent, request) = (decode::view(parts, &body), decode::view(parts, &inflated));
    let call = match decode::open(&request) {
        Ok(call) => call,
        Err(refusal) => return refused(refusal),
    };
    let result = match authenticate::caller(context, claimed, &sent, &call) {
        Ok(caller) => operate::operate(context, client, &request, &call, caller, request_id).await,
        Err(error) => Err(error),
    };
    let code = result.as_ref().err().map_or("ok", |error| error.code.as_str());
    told(request_id, &call, code);
    let named = Some((call.service, call.operation.as_str()));
    let answered = crate::commit::guarded("encode", || {
        encode::response(call.protocol, named, request_id, result.as_ref())
    });
    answered.unwrap_or_else(|error| encode::response(call.protocol, named, request_id, Err(&error)))
}

/// Logs a call. Calls about messages come all day, so of those only failures are logged at the default level.
fn told(request_id: &str, call: &Call, code: &str) {
    let (service, operation) = (call.service.scope(), call.operation.as_str());
    let is_routine = code == "ok"
        && forebay_control::find(call.service, operation).is_some_and(OperationSpec::asks_messages);
    if is_routine {
        tracing::debug!(request_id, service, operation, code, "answered");
    } else {
        tracing::info!(request_id, service, operation, code, "answered");
    }
}

async fn reset(context: &ApiContext) -> Response<Full<Bytes>> {
    match operate::reset(context).await {
        Ok(()) => encode::json(StatusCode::OK, &json!({"status": "ok"})),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            encode::json(
                status,
                &json!({"status": "refused", "code": error.code, "message": error.message}),
            )
        }
    }
}
