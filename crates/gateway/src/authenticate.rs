//! The authenticate stage: the caller of a call, proven by its signature.

use crate::clock::now;
use crate::context::ApiContext;
use forebay_awswire::sigv4::{self, Claimed, Problem};
use forebay_awswire::{ApiError, Call, HttpRequest, Protocol, Service};
use forebay_control::OperationSpec;

/// The caller, and the region of its call.
pub(crate) struct Caller {
    pub(crate) access_key: String,
    pub(crate) region: String,
    /// The instance whose keys were used, if there is one.
    pub(crate) instance: Option<String>,
    /// Whether its signature was checked, and was valid.
    pub(crate) is_proven: bool,
}

/// AWS's error. For an unknown key, with a hint where to find one: usually it is a key of AWS in the caller's environment.
pub(crate) fn refused(problem: &Problem, protocol: Protocol) -> ApiError {
    let mut error = problem.error(protocol);
    if matches!(problem, Problem::UnknownKey) {
        error.message += " (Forebay has keys of its own: eval \"$(forebay env)\" sets one.)";
    }
    error
}

/// Checks the signature as far as the head allows: key, date and scope. No body is read before that.
pub(crate) fn early(context: &ApiContext, request: &HttpRequest<'_>) -> Result<Option<Claimed>, Problem> {
    if !context.options.check_signatures {
        return Ok(None);
    }
    let secret = |access_key: &str| context.credentials.secret(access_key);
    sigv4::check_head(request, now(), secret).map(Some)
}

/// The caller of an operation for which a valid signature is required even without checks of signatures: what it brings is
/// run here.
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

/// Checks the whole signature, unless the options trust every caller.
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
        // For a schedule, which may later call something that requires a valid signature.
        is_proven: call.service == Service::Scheduler && proven(context, request, call).is_ok(),
    })
}
