//! Uploads of archives. The archive is removed from the input and stored before the operation runs, which sees only its
//! digest.

use super::errors::invalid;
use crate::api::errors::error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_awswire::{ApiError, Service};
use serde_json::{Value, json};

/// The most bytes of an archive (AWS's quota of direct uploads).
const MOST: usize = 50 << 20;

/// A stored archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The SHA-256 digest in lower-case hexadecimal digits.
    pub sha256: String,
    /// The size in bytes.
    pub size: u64,
}

/// Why an archive was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// It cannot be unpacked, and why.
    #[error("{0}")]
    Refused(String),
    /// It could not be written, and why.
    #[error("{0}")]
    Storage(String),
}

impl From<CodeError> for ApiError {
    fn from(why: CodeError) -> ApiError {
        match why {
            CodeError::Refused(why) => invalid(why),
            CodeError::Storage(_) => {
                ApiError::receiver(500, "ServiceException", "The code could not be kept.")
            }
        }
    }
}

/// An archive, and the place of its digest in the input.
pub struct Upload {
    /// The archive.
    pub zip: Vec<u8>,
    inside: bool,
}

impl Upload {
    /// Removes the archive from a call's input, if there is one.
    pub fn take(service: Service, operation: &str, input: &mut Value) -> Result<Option<Upload>, ApiError> {
        let inside = match (service, operation) {
            (Service::Lambda, "CreateFunction") => true,
            (Service::Lambda, "UpdateFunctionCode") => false,
            _ => return Ok(None),
        };
        let place = if inside { &mut input["Code"] } else { input };
        let Some(Value::String(packed)) = place.get_mut("ZipFile").map(Value::take) else {
            return Ok(None);
        };
        let zip = STANDARD.decode(&packed).unwrap_or_default();
        if zip.len() > MOST {
            let text = format!("An archive that is uploaded directly can have {MOST} bytes at most.");
            return Err(error("RequestEntityTooLargeException", text).with_status(413));
        }
        Ok(Some(Upload { zip, inside }))
    }

    /// Puts the stored archive's digest into the input.
    pub fn kept(inside: Upload, code: &Code, input: &mut Value) {
        let place = if inside.inside { &mut input["Code"] } else { input };
        place["Kept"] = json!({"Sha256": code.sha256, "Size": code.size});
    }
}

/// Reads what [`kept`] put in the archive's place.
pub(super) fn given(place: &Value) -> Result<Code, ApiError> {
    let kept = &place["Kept"];
    if let (Some(sha256), Some(size)) = (kept["Sha256"].as_str(), kept["Size"].as_u64()) {
        return Ok(Code {
            sha256: sha256.to_owned(),
            size,
        });
    }
    for name in ["S3Bucket", "ImageUri"] {
        if !place[name].is_null() {
            return Err(invalid(format!(
                "{name} is not supported by Forebay, which has neither S3 nor container images: give the archive as ZipFile."
            )));
        }
    }
    Err(invalid("Please provide a source for function code."))
}

/// The digest in AWS's form.
pub(super) fn told(sha256: &str) -> String {
    let bytes: Vec<u8> = (0..sha256.len() / 2)
        .filter_map(|place| u8::from_str_radix(sha256.get(place * 2..place * 2 + 2)?, 16).ok())
        .collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_more_than_fifty_mebibytes_is_refused() {
        let mut input = json!({"ZipFile": STANDARD.encode(vec![0; MOST + 1])});
        let refused = Upload::take(Service::Lambda, "UpdateFunctionCode", &mut input);
        let error = refused.err().map(|error| (error.status, error.code));
        assert_eq!(error, Some((413, "RequestEntityTooLargeException".to_owned())));
    }
}
