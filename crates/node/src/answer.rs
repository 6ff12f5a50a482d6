//! Answers that the load balancer makes itself, with ALB's pages for them.

use crate::reason::Reason;

/// An answer made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status to send.
    pub status: u16,
    /// Why the answer is made here.
    pub reason: Reason,
    /// Content type and body.
    pub content: Option<(String, Vec<u8>)>,
    /// The Location of a redirect.
    pub location: Option<String>,
    /// The Retry-After, in seconds.
    pub retry_after: Option<u64>,
    /// ALB's own refusal for groups with agents: it has no Server header and closes the connection.
    pub bare: bool,
}

impl Answer {
    /// ALB's page for this reason.
    pub fn page(reason: Reason) -> Answer {
        let status = reason.status();
        Answer {
            status,
            reason,
            content: Some(("text/html".to_owned(), page(status).into_bytes())),
            location: None,
            retry_after: None,
            bare: false,
        }
    }

    /// ALB's answer when no target with an agent has a slot: 157 bytes, as observed on ALB.
    pub fn no_slot() -> Answer {
        Answer {
            content: Some(("text/plain".to_owned(), b"Service Unavailable".to_vec())),
            bare: true,
            ..Answer::page(Reason::NoSlot)
        }
    }

    /// An agent's answer in place of its application's, in the words of AWS's agent.
    pub fn work_refused(reason: Reason) -> Answer {
        let said = match reason {
            Reason::WorkIdMissing => "missing x-amzn-target-control-work-id",
            _ => "Unexpected value for x-amzn-target-control-work-id",
        };
        Answer {
            content: Some(("text/plain".to_owned(), said.as_bytes().to_vec())),
            ..Answer::page(reason)
        }
    }

    /// The reason phrase for its status.
    pub fn phrase(&self) -> &'static str {
        if self.bare {
            "Service Unavailable"
        } else {
            phrase(self.status)
        }
    }
}

/// ALB's page for a status of its own: 122 bytes for 502, 162 for 503 (observed on ALB).
pub fn page(status: u16) -> String {
    let phrase = phrase(status);
    let title = if phrase.is_empty() {
        status.to_string()
    } else {
        format!("{status} {phrase}")
    };
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

/// ALB's reason phrase for a status: nginx's words, where they differ from RFC 9110.
pub const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Authorization Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_sizes_seen_on_alb() {
        assert_eq!(page(503).len(), 162);
        assert_eq!(page(502).len(), 122);
        assert_eq!(page(504).len(), 132);
        assert!(page(503).starts_with(
            "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n"
        ));
    }
}
