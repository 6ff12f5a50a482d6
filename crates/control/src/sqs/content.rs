//! A message's content: the body, attributes and sender, which queues do not look at, as bytes. Also the MD5 digests by
//! which clients verify that a message arrived intact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value};

/// A message's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    /// The body.
    pub(super) body: String,
    /// Attributes by name, in the API's form.
    pub(super) attributes: Map<String, Value>,
    /// System attributes, likewise: the trace header.
    pub(super) system_attributes: Map<String, Value>,
    /// The sender's id.
    pub(super) sender: String,
    /// The deduplication id.
    pub(super) deduplication: Option<String>,
}

/// The version that is written today.
const VERSION: u8 = 1;

impl Content {
    /// The stored form: a version, then each part preceded by its length.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let json = |map: &Map<String, Value>| {
            if map.is_empty() {
                String::new()
            } else {
                Value::Object(map.clone()).to_string()
            }
        };
        let (attributes, system) = (json(&self.attributes), json(&self.system_attributes));
        let deduplication = self.deduplication.as_deref().unwrap_or_default();
        let parts = [&self.body, &attributes, &system, &self.sender, deduplication];
        let length: usize = parts.iter().map(|part| part.len() + 4).sum();
        let mut bytes = Vec::with_capacity(length + 1);
        bytes.push(VERSION);
        for part in parts {
            // A message has at most one MiB, so this never fails.
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }

    /// Parses the stored form; `None` if it is malformed.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Content> {
        let (&VERSION, mut rest) = bytes.split_first()? else {
            return None;
        };
        let mut part = || {
            let (length, behind) = rest.split_at_checked(4)?;
            let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
            let (part, behind) = behind.split_at_checked(length)?;
            rest = behind;
            String::from_utf8(part.to_vec()).ok()
        };
        let map = |text: String| {
            if text.is_empty() {
                return Some(Map::new());
            }
            match serde_json::from_str(&text).ok()? {
                Value::Object(map) => Some(map),
                _ => None,
            }
        };
        Some(Content {
            body: part()?,
            attributes: map(part()?)?,
            system_attributes: map(part()?)?,
            sender: part()?,
            deduplication: part().filter(|id| !id.is_empty()),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The MD5 digest of a text.
pub(super) fn md5_of(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// The SHA-256 digest of a text.
pub(super) fn sha256_of(text: &str) -> String {
    hex(&sha2::Sha256::digest(text.as_bytes()))
}

/// The MD5 digest of attributes, sorted by name (Amazon SQS developer guide, "Calculating the MD5 message digest for
/// message attributes"): of each its name, its type, a byte that says whether the value is text or binary, and the
/// value, each part preceded by its length. `None` if there are no attributes.
pub(super) fn md5_of_attributes(attributes: &Map<String, Value>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut names: Vec<&String> = attributes.keys().collect();
    names.sort();
    let mut digest = Md5::new();
    let add = |digest: &mut Md5, part: &[u8]| {
        digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(part);
    };
    for name in names {
        let attribute = &attributes[name];
        add(&mut digest, name.as_bytes());
        add(
            &mut digest,
            attribute["DataType"].as_str().unwrap_or_default().as_bytes(),
        );
        let (transport, value) = value_of(attribute);
        digest.update([transport]);
        add(&mut digest, &value);
    }
    Some(hex(&digest.finalize()))
}

/// An attribute's value, and the byte that says which kind it is.
pub(super) fn value_of(attribute: &Value) -> (u8, Vec<u8>) {
    match attribute["StringValue"].as_str() {
        Some(text) => (1, text.as_bytes().to_vec()),
        None => {
            let encoded = attribute["BinaryValue"].as_str().unwrap_or_default();
            (2, STANDARD.decode(encoded).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn content_is_read_as_it_was_written() {
        let content = Content {
            body: "ä\u{1F600}".to_owned(),
            attributes: map(json!({"n": {"DataType": "Number", "StringValue": "1"}})),
            system_attributes: Map::new(),
            sender: "AKIDEXAMPLE".to_owned(),
            deduplication: Some("once".to_owned()),
        };
        let bytes = content.bytes();
        assert_eq!(Content::from_bytes(&bytes), Some(content));
        for cut in 0..bytes.len() - 8 {
            assert_eq!(Content::from_bytes(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Content::from_bytes(&[9]), None);
    }

    /// The expected digests were computed by another program, following the developer guide.
    #[test]
    fn digests_are_those_that_clients_compute() {
        assert_eq!(md5_of("test message"), "c72b9698fa1927e1dd12d3cf26ed84b2");
        let attributes = map(json!({"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}));
        assert_eq!(
            md5_of_attributes(&attributes).as_deref(),
            Some("235c5c510d26fb653d073faed50ae77c")
        );
        let attributes =
            map(json!({"data": {"DataType": "Binary", "BinaryValue": STANDARD.encode([0, 255])}}));
        let expected = {
            let mut flat = Vec::new();
            for part in [&b"data"[..], b"Binary"] {
                flat.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
                flat.extend(part);
            }
            flat.extend([2, 0, 0, 0, 2, 0, 255]);
            hex(&Md5::digest(&flat))
        };
        assert_eq!(md5_of_attributes(&attributes), Some(expected));
        assert_eq!(md5_of_attributes(&Map::new()), None);
    }
}
