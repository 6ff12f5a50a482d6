//! AWS Signature Version 4: who signed a request, whether the signature is valid, and how to sign a request.
//!
//! A signature is checked by signing the same request again with the `aws-sigv4` crate and comparing in constant time.
//! Only headers listed as signed take part; the host and all of AWS's own must be among them. The body always takes part,
//! because `UNSIGNED-PAYLOAD` is for S3 only.

use crate::{ApiError, HttpRequest, Protocol};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use forebay_model::INSTANCE_TOKEN;
use forebay_units::Wall;
pub use sign::{SignError, Signer, sign};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};
use subtle::ConstantTimeEq as _;

mod sign;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the caller's clock may differ from the server's (AWS: 5 minutes for signed headers).
const SKEW: Duration = Duration::from_secs(300);
/// Maximum lifetime of a presigned request (AWS: 7 days).
const EXPIRES_LIMIT: u64 = 604_800;
/// Part of temporary keys: of roles, which do not exist here, and of instances.
const TOKEN: &str = "x-amz-security-token";
/// Prefix of all of AWS's own headers, except `x-amzn-` ones, which proxies add.
const OWN_HEADER: &str = "x-amz-";

/// The credential scope of a request: who claims to have signed it, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The access key id.
    pub access_key: String,
    /// The day, `YYYYMMDD`.
    pub day: String,
    /// The region.
    pub region: String,
    /// The service's signing name.
    pub service: String,
    terminator: String,
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no signature.
    #[error("request is not signed")]
    Missing,
    /// A part of the signature is missing or malformed.
    #[error("incomplete signature: {0}")]
    Incomplete(String),
    /// The access key is unknown, or a session token was sent that is not one of an instance (no others exist here).
    #[error("unknown access key")]
    UnknownKey,
    /// The signature is not the key's, or its scope contradicts the request.
    #[error("signature does not match")]
    Mismatch(Option<String>),
    /// The signature is too old.
    #[error("signature expired")]
    Expired(String),
    /// The signature's time is ahead of the server's clock.
    #[error("signature not yet current")]
    NotYet(String),
}

impl Problem {
    /// The error that AWS sends; each protocol has its own codes.
    pub fn error(&self, protocol: Protocol) -> ApiError {
        const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
            Secret Access Key and signing method. Consult the service documentation for details.";
        let json = !protocol.is_form();
        let pick = |query: &'static str, json_code: &'static str| if json { json_code } else { query };
        match self {
            Problem::Missing => ApiError::sender(
                pick(
                    "MissingAuthenticationToken",
                    "MissingAuthenticationTokenException",
                ),
                "Request is missing Authentication Token",
            )
            .with_status(403),
            Problem::Incomplete(why) => ApiError::sender(
                pick("IncompleteSignature", "IncompleteSignatureException"),
                why.as_str(),
            )
            .with_status(if json { 403 } else { 400 }),
            Problem::UnknownKey if protocol == Protocol::Ec2 => ApiError::sender(
                "AuthFailure",
                "AWS was not able to validate the provided access credentials",
            )
            .with_status(401),
            Problem::UnknownKey => ApiError::sender(
                pick("InvalidClientTokenId", "UnrecognizedClientException"),
                "The security token included in the request is invalid.",
            )
            .with_status(403),
            Problem::Mismatch(why) => ApiError::sender(
                pick("SignatureDoesNotMatch", "InvalidSignatureException"),
                why.as_deref().unwrap_or(MISMATCH),
            )
            .with_status(403),
            Problem::Expired(_) if protocol == Protocol::Ec2 => {
                ApiError::sender("RequestExpired", "Request has expired.")
            }
            Problem::Expired(why) | Problem::NotYet(why) => ApiError::sender(
                pick("SignatureDoesNotMatch", "InvalidSignatureException"),
                why.as_str(),
            )
            .with_status(403),
        }
    }
}

/// The credential scope of a request, if it can be parsed. Proves nothing.
pub fn scope(request: &HttpRequest<'_>) -> Option<Scope> {
    if let Some(header) = header_text(request, "authorization")
        && let Some(credential) = field(header, "Credential")
    {
        return read_scope(credential);
    }
    read_scope(&query_value(request, "X-Amz-Credential")?)
}

/// The id of the instance whose keys a request was signed with, if it was.
pub fn instance<'a>(request: &HttpRequest<'a>) -> Option<&'a str> {
    header_text(request, TOKEN)?.strip_prefix(INSTANCE_TOKEN)
}

/// A signature whose head was checked. Proves nothing yet.
pub struct Claimed {
    claim: Claim,
    secret: String,
}

/// Verifies a request's signature at `now`. `secret` returns the secret of an access key id.
pub fn verify(
    request: &HttpRequest<'_>,
    now: Wall,
    secret: impl FnOnce(&str) -> Option<String>,
) -> Result<Scope, Problem> {
    check_head(request, now, secret)?.verify(request)
}

/// Checks everything about a signature that does not need the body, at `now`: that it is present and complete, that the
/// key exists, and the time.
pub fn check_head(
    request: &HttpRequest<'_>,
    now: Wall,
    secret: impl FnOnce(&str) -> Option<String>,
) -> Result<Claimed, Problem> {
    let claim = claim(request)?;
    claim.check_scope()?;
    claim.check_time(now)?;
    claim.check_headers(request)?;
    // Some clients send an empty token with keys of the metadata service.
    let in_header = header_text(request, TOKEN)
        .is_some_and(|token| !token.is_empty() && !token.starts_with(INSTANCE_TOKEN));
    if in_header || query_value(request, "X-Amz-Security-Token").is_some() {
        return Err(Problem::UnknownKey);
    }
    let secret = secret(&claim.scope.access_key).ok_or(Problem::UnknownKey)?;
    Ok(Claimed { claim, secret })
}

impl Claimed {
    /// Verifies the signature of the complete request with this head.
    pub fn verify(self, request: &HttpRequest<'_>) -> Result<Scope, Problem> {
        let expected = resign(request, &self.claim, &self.secret).ok_or(Problem::Mismatch(None))?;
        if bool::from(expected.as_bytes().ct_eq(self.claim.signature.as_bytes())) {
            Ok(self.claim.scope)
        } else {
            Err(Problem::Mismatch(None))
        }
    }
}

/// The claims of a signed request.
struct Claim {
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    /// The time as written by the caller, `YYYYMMDDTHHMMSSZ`.
    stamp: String,
    /// Seconds since the epoch.
    time: i64,
    /// Lifetime in seconds, of a presigned request.
    expires: Option<u64>,
}

impl Claim {
    fn check_scope(&self) -> Result<(), Problem> {
        let wrong = |why: String| Err(Problem::Mismatch(Some(why)));
        if self.scope.terminator != "aws4_request" {
            return wrong(format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'.",
                self.scope.terminator
            ));
        }
        if !self.stamp.starts_with(&self.scope.day) || self.scope.day.len() != 8 {
            return wrong(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', \
                 from '{}'.",
                self.scope.day,
                self.stamp.get(..8).unwrap_or_default(),
                self.stamp
            ));
        }
        Ok(())
    }

    /// An unsigned header of AWS's own could be anyone's, and `X-Amz-Target` decides which operation is called.
    fn check_headers(&self, request: &HttpRequest<'_>) -> Result<(), Problem> {
        let own = request.headers.keys().map(http::HeaderName::as_str);
        let mut own = own.filter(|name| name.starts_with(OWN_HEADER));
        match own.find(|name| !self.signed_headers.iter().any(|signed| signed == name)) {
            None => Ok(()),
            Some(name) => Err(Problem::Mismatch(Some(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )))),
        }
    }

    fn check_time(&self, now: Wall) -> Result<(), Problem> {
        let skew = SKEW.as_secs() as i64;
        let (now, life) = (now.seconds(), self.expires.map_or(skew, |expires| expires as i64));
        if self.time < now - life {
            let age = if self.expires.is_some() {
                format!("{life} sec.")
            } else {
                "5 min.".to_owned()
            };
            return Err(Problem::Expired(format!(
                "Signature expired: {} is now earlier than {} ({} - {age})",
                self.stamp,
                stamp(now - life),
                stamp(now)
            )));
        }
        if self.time > now + skew {
            return Err(Problem::NotYet(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.stamp,
                stamp(now + skew),
                stamp(now)
            )));
        }
        Ok(())
    }
}

fn claim(request: &HttpRequest<'_>) -> Result<Claim, Problem> {
    match header_text(request, "authorization") {
        Some(header) => header_claim(request, header),
        None if request.headers.contains_key("authorization") => Err(Problem::Incomplete(
            "Authorization header is not valid text.".to_owned(),
        )),
        None if query_value(request, "X-Amz-Algorithm").is_some() => presigned_claim(request),
        None => Err(Problem::Missing),
    }
}

fn header_claim(request: &HttpRequest<'_>, header: &str) -> Result<Claim, Problem> {
    if !header.starts_with(ALGORITHM) {
        let first: String = header
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .chars()
            .take(64)
            .collect();
        return Err(Problem::Incomplete(format!(
            "Unsupported AWS 'algorithm': '{first}'."
        )));
    }
    let mut missing = String::new();
    for name in ["Credential", "Signature", "SignedHeaders"] {
        if field(header, name).is_none() {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    let stamp = header_text(request, "x-amz-date");
    if stamp.is_none() {
        missing.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    let parts = (
        field(header, "Credential"),
        field(header, "Signature"),
        field(header, "SignedHeaders"),
        stamp,
    );
    let (Some(credential), Some(signature), Some(signed_headers), Some(stamp)) = parts else {
        return Err(Problem::Incomplete(missing.trim_end().to_owned()));
    };
    build_claim(credential, signature, signed_headers, stamp, None)
}

fn presigned_claim(request: &HttpRequest<'_>) -> Result<Claim, Problem> {
    let mut missing = String::new();
    let mut want = |name: &str| {
        let value = query_value(request, name);
        if value.is_none() {
            missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
        }
        value.unwrap_or_default()
    };
    let algorithm = want("X-Amz-Algorithm");
    let (credential, signature) = (want("X-Amz-Credential"), want("X-Amz-Signature"));
    let (signed_headers, stamp, expires) = (
        want("X-Amz-SignedHeaders"),
        want("X-Amz-Date"),
        want("X-Amz-Expires"),
    );
    if !missing.is_empty() {
        return Err(Problem::Incomplete(format!(
            "{missing}Re-examine the query-string parameters."
        )));
    }
    if algorithm != ALGORITHM {
        return Err(Problem::Incomplete(format!(
            "X-Amz-Algorithm only supports \"{ALGORITHM}\"."
        )));
    }
    let expires = expires
        .parse::<u64>()
        .ok()
        .filter(|expires| *expires <= EXPIRES_LIMIT)
        .ok_or_else(|| {
            Problem::Incomplete("X-Amz-Expires must be a number of seconds from 0 to 604800.".to_owned())
        })?;
    build_claim(&credential, &signature, &signed_headers, &stamp, Some(expires))
}

fn build_claim(
    credential: &str,
    signature: &str,
    signed_headers: &str,
    stamp: &str,
    expires: Option<u64>,
) -> Result<Claim, Problem> {
    let scope = read_scope(credential).ok_or_else(|| {
        Problem::Incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
                .to_owned(),
        )
    })?;
    let time = parse_stamp(stamp).ok_or_else(|| {
        Problem::Incomplete("Date must be in ISO-8601 'basic format', e.g. 20240102T030405Z.".to_owned())
    })?;
    let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
    if !signed_headers.iter().any(|name| name == "host") {
        return Err(Problem::Mismatch(Some(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        )));
    }
    Ok(Claim {
        scope,
        signed_headers,
        signature: signature.to_owned(),
        stamp: stamp.to_owned(),
        time,
        expires,
    })
}

fn read_scope(credential: &str) -> Option<Scope> {
    // An access key id contains no slash, so there are exactly five parts.
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key, day, region, service, terminator] = parts[..] else {
        return None;
    };
    if [access_key, region, service].contains(&"") || region.len() > 64 {
        return None;
    }
    Some(Scope {
        access_key: access_key.to_owned(),
        day: day.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        terminator: terminator.to_owned(),
    })
}

/// The signature that `secret` gives for what the caller claims to have signed.
fn resign(request: &HttpRequest<'_>, claim: &Claim, secret: &str) -> Option<String> {
    let mut headers: Vec<(&str, &str)> = Vec::with_capacity(claim.signed_headers.len());
    for name in &claim.signed_headers {
        let mut values = request.headers.get_all(name.as_str()).iter().peekable();
        values.peek()?;
        for value in values {
            headers.push((name.as_str(), value.to_str().ok()?));
        }
        // Each name stands for all lines of its header, so repeated names would multiply them.
        (headers.len() <= request.headers.len()).then_some(())?;
    }
    let mut settings = SigningSettings::default();
    // The signer decides which headers are left out.
    settings.excluded_headers = None;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
    let mut query = Cow::Borrowed(request.query);
    if let Some(expires) = claim.expires {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires));
        query = Cow::Owned(without_signature(request.query));
    }
    let body = SignableBody::Bytes(request.body);
    // The authority is only a placeholder, because the signed `host` header counts.
    let separator = if query.is_empty() { "" } else { "?" };
    let url = format!("http://forebay.invalid{}{separator}{query}", request.path);
    let signable = SignableRequest::new(request.method, url, headers.into_iter(), body).ok()?;
    let identity = Credentials::from_keys(claim.scope.access_key.as_str(), secret, None).into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&claim.scope.region)
        .name(&claim.scope.service)
        .time(system_time(claim.time))
        .settings(settings)
        .build()
        .ok()?;
    let signed = aws_sigv4::http_request::sign(signable, &params.into()).ok()?;
    Some(signed.signature().to_owned())
}

/// The query string without the parameters that signing adds again.
fn without_signature(query: &str) -> String {
    const ADDED: [&str; 6] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !ADDED.contains(&pair.split('=').next().unwrap_or_default()))
        .collect();
    kept.join("&")
}

fn header_text<'a>(request: &HttpRequest<'a>, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

fn query_value(request: &HttpRequest<'_>, name: &str) -> Option<String> {
    let found = form_urlencoded::parse(request.query.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// The value of `name=` in an Authorization header.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split([',', ' '])
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

fn parse_stamp(text: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| -> Option<i16> {
        let part = text.get(range)?;
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            part.parse().ok()
        } else {
            None
        }
    };
    let small = |range| digits(range).and_then(|number| i8::try_from(number).ok());
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, small(4..6)?, small(6..8)?);
    let (hour, minute, second) = (small(9..11)?, small(11..13)?, small(13..15)?);
    let when = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let seconds = when
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    // Signing again uses `SystemTime`, which may not reach before the epoch.
    (seconds >= 0).then_some(seconds)
}

fn stamp(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(at) => at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        Err(_) => String::new(),
    }
}

fn system_time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
