//! ARNs: `arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`.

use crate::api::context::View;

/// The ARN of a resource.
pub(crate) fn arn_of(service: &str, region: &str, account: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{region}:{account}:{resource}")
}

/// The ARN of a resource in the call's region and account.
pub(crate) fn own_arn(view: &View<'_>, service: &str, resource: &str) -> String {
    arn_of(service, view.request.region, view.request.account, resource)
}

/// The parts of an ARN, or of a text in the place of one.
pub(crate) struct Parts<'a> {
    pub(crate) service: Option<&'a str>,
    pub(crate) resource: Option<&'a str>,
}

/// Splits an ARN. Parts that are missing are empty.
pub(crate) fn parts(arn: &str) -> Parts<'_> {
    let mut parts = arn.splitn(6, ':').skip(2);
    Parts {
        service: parts.next(),
        resource: parts.nth(2),
    }
}

/// The account in an ARN.
pub(crate) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}
