//! The authenticate stage: whose call it is, proven by its signature.

use crate::clock::now;
use crate::context::ApiContext;
use forebay_awswire::sigv4::{self, Claimed, Problem};
use forebay_awswire::{ApiError, Call, HttpRequest, Protocol, Service};
use forebay_control::OperationSpec;

/// Who calls, and for which region.
pub(crate) struct Caller {
    pub(crate) access_key: String,
    pub(crate) region: String,
    /// The instance whose keys were used, if it is one's.
    pub(crate) instance: Option<String>,
    /// Whether its signature was looked at, and was right.
    pub(crate) is_proven: bool,
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

/// Whose call it is, where nobody else must prove that: what this one brings is run, so a key of this Forebay signs it.
fn proven(context: &ApiContext, request: &HttpRequest<'_>, call: &Call) -> Result<Caller, ApiError> {
    let secret = |access_key: &str| context.credentials.secret(access_key);
    match sigv4::verify(request, now(), secret) {
        Ok(scope) => Ok(Caller {
            access_key: scope.access_key,
            region: scope.region,
            instance: None,
            is_proven: true,
        }),
        Err(problem) => {
            let text = format!(
                "{} brings code to be run. Under --no-auth that is taken only from callers whose signature is right ({problem}): use \
                 `forebay function add`, which signs with this Forebay's key, or start Forebay without --no-auth.",
                call.operation
            );
            Err(ApiError::sender("AccessDeniedException", text).with_status(403))
        }
    }
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
            is_proven: true,
        });
    }
    if forebay_control::find(call.service, &call.operation).is_some_and(OperationSpec::needs_proof) {
        return proven(context, request, call);
    }
    Ok(Caller {
        access_key: call.access_key.clone().unwrap_or_else(|| "anonymous".to_owned()),
        region: call
            .region
            .clone()
            .unwrap_or_else(|| context.options.region.clone()),
        instance,
        // Of one that may have something called later which needs proof.
        is_proven: call.service == Service::Scheduler && proven(context, request, call).is_ok(),
    })
}
