//! The authenticate stage: whose call it is, proven by its signature.

use crate::clock::now;
use crate::context::ApiContext;
use forebay_awswire::sigv4::{self, Claimed, Problem};
use forebay_awswire::{ApiError, Call, HttpRequest, Protocol};

/// Who calls, and for which region.
pub(crate) struct Caller {
    pub(crate) access_key: String,
    pub(crate) region: String,
    /// The instance whose keys were used, if it is one's.
    pub(crate) instance: Option<String>,
}

/// AWS's error, and for a key that nobody has where to find one: mostly it is a key of AWS, in the caller's environment.
pub(crate) fn refused(problem: &Problem, protocol: Protocol) -> ApiError {
    let mut error = problem.error(protocol);
    if matches!(problem, Problem::UnknownKey) {
        error.message += " (Forebay has keys of its own: eval \"$(forebay env)\" sets one.)";
    }
    error
}

/// What is wrong with the signature as far as the head tells: key, date and scope. Before that is asked, no body is read.
pub(crate) fn early(context: &ApiContext, request: &HttpRequest<'_>) -> Result<Option<Claimed>, Problem> {
    if !context.options.check_signatures {
        return Ok(None);
    }
    let secret = |access_key: &str| context.credentials.secret(access_key);
    sigv4::check_head(request, now(), secret).map(Some)
}

/// Checks the signature of the whole, unless the context takes everyone at their word.
pub(crate) fn caller(
    context: &ApiContext,
    claimed: Result<Option<Claimed>, Problem>,
    request: &HttpRequest<'_>,
    call: &Call,
) -> Result<Caller, ApiError> {
    let refused = |problem: Problem| refused(&problem, call.protocol);
    let instance = sigv4::instance(request).map(str::to_owned);
    if let Some(claimed) = claimed.map_err(refused)? {
        let scope = claimed.verify(request).map_err(refused)?;
        return Ok(Caller {
            access_key: scope.access_key,
            region: scope.region,
            instance,
        });
    }
    Ok(Caller {
        access_key: call.access_key.clone().unwrap_or_else(|| "anonymous".to_owned()),
        region: call
            .region
            .clone()
            .unwrap_or_else(|| context.options.region.clone()),
        instance,
    })
}
