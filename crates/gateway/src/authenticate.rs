//! The authenticate room: whose call it is, proven by its signature.

use crate::desk::{Desk, now};
use forebay_awswire::sigv4;
use forebay_awswire::{ApiError, Call, HttpRequest};

/// Who calls, and for which region.
pub(crate) struct Caller {
    pub(crate) access_key: String,
    pub(crate) region: String,
}

/// Checks the signature, unless the desk takes everyone at their word.
pub(crate) fn caller(desk: &Desk, request: &HttpRequest<'_>, call: &Call) -> Result<Caller, ApiError> {
    if desk.manners.check_signatures {
        let secret = |access_key: &str| desk.credentials.secret(access_key);
        let scope = sigv4::verify(request, now(), secret).map_err(|problem| problem.error(call.protocol))?;
        return Ok(Caller {
            access_key: scope.access_key,
            region: scope.region,
        });
    }
    Ok(Caller {
        access_key: call.access_key.clone().unwrap_or_else(|| "anonymous".to_owned()),
        region: call.region.clone().unwrap_or_else(|| desk.manners.region.clone()),
    })
}
