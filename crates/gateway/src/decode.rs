//! The decode room: reads the body within its bounds and opens the envelope.

use bytes::Bytes;
use forebay_awswire::{ApiError, Call, HttpRequest, Protocol, Refusal};
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};

/// The largest body of a call.
const BODY_LIMIT: usize = 1 << 20;

/// The whole body, or the answer to one that is too large or breaks off.
pub(crate) async fn body(parts: &Parts, incoming: Incoming) -> Result<Bytes, Refusal> {
    let too_large = || {
        refusal(
            parts,
            ApiError::sender("RequestEntityTooLarge", TOO_LARGE).with_status(413),
        )
    };
    if incoming.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(too_large());
    }
    match Limited::new(incoming, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(refusal(
            parts,
            ApiError::sender("MalformedInput", "The request body ended too early."),
        )),
    }
}

const TOO_LARGE: &str = "The request body is larger than 1048576 bytes.";

/// The request as `awswire` sees it.
pub(crate) fn view<'a>(parts: &'a Parts, body: &'a [u8]) -> HttpRequest<'a> {
    HttpRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body,
    }
}

/// Which operation of which service is meant.
pub(crate) fn open(request: &HttpRequest<'_>) -> Result<Call, Refusal> {
    forebay_awswire::open(request)
}

/// A refusal of a request that was not opened, in the protocol its head suggests.
pub(crate) fn refusal(parts: &Parts, error: ApiError) -> Refusal {
    let json = parts.headers.contains_key("x-amz-target");
    Refusal {
        protocol: if json { Protocol::Json } else { Protocol::Query },
        error,
    }
}
