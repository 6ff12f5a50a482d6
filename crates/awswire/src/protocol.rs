//! The protocols of AWS's services, and how a request shows which one it uses.

use http::HeaderMap;

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS Query: a form, answered with XML.
    Query,
    /// EC2's dialect of Query.
    Ec2,
    /// AWS JSON 1.0.
    Json10,
    /// AWS JSON 1.1.
    Json11,
    /// Smithy's RPC v2 with CBOR.
    Cbor,
    /// REST with JSON: method and path name the operation. No header shows the protocol; it follows from the service.
    RestJson,
}

/// The value of the `smithy-protocol` header for CBOR.
pub(crate) const RPC_V2_CBOR: &str = "rpc-v2-cbor";

impl Protocol {
    /// The protocol that a request's head shows. Versions and dialects that depend on the service are reported as the
    /// most common one: Query for forms, 1.1 for JSON.
    pub fn shown(headers: &HeaderMap) -> Protocol {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("smithy-protocol") == Some(RPC_V2_CBOR) {
            return Protocol::Cbor;
        }
        if text("x-amz-target").is_none() {
            return Protocol::Query;
        }
        match text("content-type") {
            Some(content) if content.starts_with("application/x-amz-json-1.0") => Protocol::Json10,
            _ => Protocol::Json11,
        }
    }

    /// Whether it is AWS JSON, in either version.
    pub const fn is_json(self) -> bool {
        matches!(self, Protocol::Json10 | Protocol::Json11)
    }

    /// Whether requests are forms and answers XML. Such services have other error codes.
    pub const fn is_form(self) -> bool {
        matches!(self, Protocol::Query | Protocol::Ec2)
    }

    /// Whether it is `other`, or differs from it only in what a request's head does not show.
    pub(crate) const fn resembles(self, other: Protocol) -> bool {
        matches!((self, other), (Protocol::Cbor, Protocol::Cbor))
            || self.is_json() && other.is_json()
            || self.is_form() && other.is_form()
    }

    /// The error code for an operation that does not exist.
    pub(crate) const fn unknown_operation(self) -> &'static str {
        if self.is_form() {
            "InvalidAction"
        } else {
            "UnknownOperationException"
        }
    }

    /// The error code for input that violates its shape's constraints.
    pub(crate) const fn broken_rule(self) -> &'static str {
        if self.is_form() {
            "ValidationError"
        } else {
            "ValidationException"
        }
    }

    /// The `content-type` of an answer.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Protocol::Query | Protocol::Ec2 => "text/xml",
            Protocol::Json10 => "application/x-amz-json-1.0",
            Protocol::Json11 => "application/x-amz-json-1.1",
            Protocol::Cbor => "application/cbor",
            Protocol::RestJson => "application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiError, encode};

    fn shown(pairs: &[(&'static str, &str)]) -> Protocol {
        let headers = pairs.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        Protocol::shown(&headers.collect())
    }

    #[test]
    fn head_shows_the_protocol() {
        let target = ("x-amz-target", "AmazonSQS.SendMessage");
        assert_eq!(shown(&[]), Protocol::Query);
        assert_eq!(
            shown(&[("content-type", "application/x-amz-json-1.0")]),
            Protocol::Query
        );
        assert_eq!(shown(&[target]), Protocol::Json11);
        let old = ("content-type", "application/x-amz-json-1.0; charset=utf-8");
        assert_eq!(shown(&[target, old]), Protocol::Json10);
        assert_eq!(
            shown(&[target, ("content-type", "application/x-amz-json-1.1")]),
            Protocol::Json11
        );
        assert_eq!(
            shown(&[target, ("smithy-protocol", "rpc-v2-cbor")]),
            Protocol::Cbor
        );
        assert_eq!(shown(&[("smithy-protocol", "rpc-v2-json")]), Protocol::Query);
    }

    #[test]
    fn json_is_answered_in_the_version_asked() {
        let error = ApiError::sender("Code", "text");
        for (protocol, content) in [
            (Protocol::Json10, "application/x-amz-json-1.0"),
            (Protocol::Json11, "application/x-amz-json-1.1"),
        ] {
            let answer = encode(protocol, None, "id", Err(&error));
            assert!(answer.headers.contains(&("content-type", content.to_owned())));
            assert!(answer.headers.contains(&("x-amzn-errortype", "Code".to_owned())));
        }
    }
}
