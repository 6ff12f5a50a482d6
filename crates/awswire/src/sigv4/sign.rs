//! Signing outgoing requests.

use super::system_time;
use crate::Service;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use forebay_units::Wall;

/// The request cannot be signed because its URL or headers are not valid HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed: its URL or a header is not valid")]
pub struct SignError;

/// The identity of the signer: an access key id and its secret.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// The secret access key.
    pub secret: &'a str,
    /// The region to sign for.
    pub region: &'a str,
    /// The service to sign for.
    pub service: Service,
}

/// Signs a request as an AWS client does; returns the headers to add. `url` is absolute; `headers` are signed too.
pub fn sign(
    signer: Signer<'_>,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    now: Wall,
) -> Result<Vec<(String, String)>, SignError> {
    let identity = Credentials::from_keys(signer.access_key, signer.secret, None).into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(signer.region)
        .name(signer.service.scope())
        .time(system_time(now.seconds()))
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| SignError)?;
    let signable = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body))
        .map_err(|_| SignError)?;
    let signed = aws_sigv4::http_request::sign(signable, &params.into()).map_err(|_| SignError)?;
    let (instructions, _) = signed.into_parts();
    Ok(instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
