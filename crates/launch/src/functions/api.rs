//! Lambda's Runtime API, version 2018-06-01, for one environment on a listener of its own.

use super::engine::{Delivery, Engine, Next};
use super::words::{self, ANSWER_BYTES};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::{Rc, Weak};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Most connections of one environment.
const CONNECTIONS: usize = 16;
/// Most bytes of a body that is too large which are read and dropped, so that its sender reads the answer.
const READ_OVER: usize = 64 << 20;
/// Prefix of all paths.
const BASE: &str = "/2018-06-01/runtime/";
/// The header in which a runtime names an error.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// An environment's API, as each of its requests needs it.
#[derive(Clone)]
struct Api {
    engine: Weak<RefCell<Engine>>,
    id: u64,
    /// One body at a time is in memory, because each may be large.
    bodies: Rc<Semaphore>,
}

type Answer = Response<Full<Bytes>>;

/// Serves an environment until it is dropped; its connections end with it.
pub(super) async fn serve(listener: TcpListener, engine: Weak<RefCell<Engine>>, id: u64) {
    let mut connections = JoinSet::new();
    let api = Api {
        engine,
        id,
        bodies: Rc::new(Semaphore::new(1)),
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Probably out of descriptors; wait until others are closed.
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    continue;
                };
                if connections.len() >= CONNECTIONS {
                    continue;
                }
                let _ = stream.set_nodelay(true);
                let api = api.clone();
                connections.spawn_local(async move {
                    let service = service_fn(move |request| answer(api.clone(), request));
                    // A broken connection concerns the runtime only.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(api: Api, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let what = path.strip_prefix(BASE).unwrap_or_default();
    let parts: Vec<&str> = what.split('/').collect();
    Ok(match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(&api).await,
        (&Method::POST, ["invocation", request_id, "response"]) => {
            respond(&api, request_id, request, false).await
        }
        (&Method::POST, ["invocation", request_id, "error"]) => {
            respond(&api, request_id, request, true).await
        }
        (&Method::POST, ["init", "error"]) => init_error(&api, request).await,
        _ => {
            read(request.into_body(), 0).await;
            not_found()
        }
    })
}

async fn next(api: &Api) -> Answer {
    loop {
        let Some(engine) = api.engine.upgrade() else {
            return gone();
        };
        let next = engine.borrow_mut().next(api.id);
        drop(engine);
        let delivery = match next {
            Next::Now(delivery) => delivery,
            Next::Later(receiver) => match receiver.await {
                Ok(delivery) => delivery,
                // Another connection of the same environment is asking now.
                Err(_) => return gone(),
            },
            Next::Refused => return gone(),
        };
        if let Some(delivery) = wanted(delivery).await {
            return deliver(delivery);
        }
        if let Some(engine) = api.engine.upgrade() {
            engine.borrow_mut().unwanted(api.id);
        }
    }
}

/// The delivery, unless the invoker, which wants to be asked, does not let it begin.
async fn wanted(mut delivery: Delivery) -> Option<Delivery> {
    let Some(begin) = delivery.begin.take() else {
        return Some(delivery);
    };
    let (tell, told) = oneshot::channel();
    begin(Box::new(move |begins| {
        let _ = tell.send(begins);
    }));
    told.await.unwrap_or(false).then_some(delivery)
}

fn deliver(delivery: Delivery) -> Answer {
    let mut response = Response::new(Full::new(delivery.payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut put = |name: &'static str, value: &[u8]| {
        // A value that cannot be a header is left out.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("lambda-runtime-aws-request-id", delivery.request_id.as_bytes());
    put(
        "lambda-runtime-deadline-ms",
        delivery.deadline_ms.to_string().as_bytes(),
    );
    put("lambda-runtime-invoked-function-arn", delivery.arn.as_bytes());
    put("lambda-runtime-trace-id", delivery.trace.as_bytes());
    if let Some(context) = delivery.client_context {
        put("lambda-runtime-client-context", context.as_bytes());
    }
    response
}

async fn respond(api: &Api, request_id: &str, request: Request<Incoming>, is_error: bool) -> Answer {
    let has = || {
        let engine = api.engine.upgrade();
        engine.is_some_and(|engine| engine.borrow().has(api.id, request_id))
    };
    if !has() {
        // Otherwise the connection is closed with the answer, which the sender may then not see.
        read(request.into_body(), 0).await;
        return plain(
            StatusCode::BAD_REQUEST,
            words::refusal("InvalidRequestID", "Invalid request ID"),
        );
    }
    let _one = api.bodies.acquire().await;
    let kind = error_type(&request);
    let body = read(request.into_body(), ANSWER_BYTES).await;
    // Its timeout may have ended it meanwhile.
    if !has() {
        return gone();
    }
    let id = api.id;
    let Some(engine) = api.engine.upgrade() else {
        return gone();
    };
    let mut engine = engine.borrow_mut();
    match (body, is_error) {
        (Body::Whole(body), false) => engine.answered(id, body),
        (Body::Whole(body), true) => engine.failed(id, words::posted(&body, kind.as_deref())),
        (Body::TooLarge, _) => {
            engine.answered_too_much(id);
            let says = format!("Exceeded maximum allowed payload size ({ANSWER_BYTES} bytes).");
            return plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                words::refusal("RequestEntityTooLarge", &says),
            );
        }
        // The body broke off: the runtime may try again, or ends.
        (Body::Broken, _) => return gone(),
    }
    accepted()
}

async fn init_error(api: &Api, request: Request<Incoming>) -> Answer {
    let kind = error_type(&request);
    let _one = api.bodies.acquire().await;
    let Body::Whole(body) = read(request.into_body(), ANSWER_BYTES).await else {
        return gone();
    };
    let document = words::posted(&body, kind.as_deref());
    let is_taken = api
        .engine
        .upgrade()
        .is_some_and(|engine| engine.borrow_mut().failed_to_begin(api.id, document));
    if is_taken { accepted() } else { gone() }
}

fn error_type(request: &Request<Incoming>) -> Option<String> {
    let text = request.headers().get(ERROR_TYPE)?.to_str().ok()?;
    Some(text.chars().take(256).collect())
}

enum Body {
    Whole(Vec<u8>),
    TooLarge,
    Broken,
}

/// Reads a body, and keeps it if it has at most `most` bytes.
async fn read(mut body: Incoming, most: usize) -> Body {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Broken };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= most {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
        if length > READ_OVER {
            break;
        }
    }
    if length > most {
        return Body::TooLarge;
    }
    Body::Whole(bytes)
}

fn accepted() -> Answer {
    plain(StatusCode::ACCEPTED, b"{\"status\":\"OK\"}\n".to_vec())
}

fn not_found() -> Answer {
    plain(StatusCode::NOT_FOUND, b"404 page not found\n".to_vec())
}

fn gone() -> Answer {
    plain(
        StatusCode::FORBIDDEN,
        words::refusal("InvalidStateTransition", "Transition is not allowed"),
    )
}

fn plain(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
