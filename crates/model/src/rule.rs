//! Rules as the API takes and returns them: conditions, actions, transforms. `routing` compiles them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A rule's position in its listener: lower numbers first, the default rule last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// 1 to 50000.
    At(u16),
    /// The listener's default rule.
    Default,
}

impl Priority {
    /// A priority from 1 to 50000; `None` for any other number.
    pub fn at(number: i64) -> Option<Priority> {
        u16::try_from(number)
            .ok()
            .filter(|number| (1..=50_000).contains(number))
            .map(Priority::At)
    }
}

impl core::fmt::Display for Priority {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Priority::At(number) => write!(f, "{number}"),
            Priority::Default => f.write_str("default"),
        }
    }
}

/// The patterns that a text is compared with: wildcard patterns (`*`, `?`) or regular expressions. One match is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextMatch {
    /// Patterns in which `*` matches any run of characters and `?` exactly one.
    Wildcards(Vec<String>),
    /// Regular expressions, which match anywhere in the text unless anchored.
    Regexes(Vec<String>),
}

/// A key and value to look for in the query string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMatch {
    /// The key; `None` if the value may belong to any key.
    pub key: Option<String>,
    /// The value as a wildcard pattern; `\*`, `\?` and `\\` are literal.
    pub value: String,
}

/// A condition that a request must meet for a rule to apply. All conditions of a rule must hold; within one, any value
/// may match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The Host header without its port, case-insensitive.
    HostHeader(TextMatch),
    /// The path without the query, case-sensitive.
    PathPattern(TextMatch),
    /// A header's value, case-insensitive.
    HttpHeader {
        /// The header's name, case-insensitive.
        name: String,
        /// The patterns for its value.
        values: TextMatch,
    },
    /// The method, case-sensitive, without wildcards.
    Method(Vec<String>),
    /// Key and value pairs of the query string, case-insensitive.
    QueryString(Vec<QueryMatch>),
    /// The address of the client's end of the connection.
    SourceIp(Vec<IpNet>),
}

/// A target group of a forward action, with its weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedGroup {
    /// The target group's ARN.
    pub group_arn: String,
    /// 0 to 999, relative to the sum of all.
    pub weight: u16,
}

/// Group stickiness of a forward action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardStickiness {
    /// Whether clients stay with the group first chosen.
    pub enabled: bool,
    /// Duration in seconds, 1 to 604800; `None` if it was never set.
    pub duration_seconds: Option<u32>,
}

/// Forward to one of up to five target groups, by weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The groups, one to five.
    pub groups: Vec<WeightedGroup>,
    /// Group stickiness.
    pub stickiness: ForwardStickiness,
}

/// A redirect. The texts may contain `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The protocol: `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// The port: 1 to 65535, or `#{port}`.
    pub port: String,
    /// The host, up to 128 characters.
    pub host: String,
    /// The path, up to 128 characters, beginning with `/`.
    pub path: String,
    /// The query, up to 128 characters, without `?`.
    pub query: String,
    /// The status, 301 or 302.
    pub status: u16,
}

/// An answer made by the load balancer itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedResponse {
    /// The status: 2xx, 4xx or 5xx.
    pub status: u16,
    /// The content type, one of ALB's five.
    pub content_type: Option<String>,
    /// The body, up to 1024 bytes.
    pub body: Option<String>,
}

/// An action of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Send it to a target.
    Forward(Forward),
    /// Redirect the client.
    Redirect(Redirect),
    /// Answer it here.
    FixedResponse(FixedResponse),
    /// Stored and returned by the API, but not implemented: the node answers 500 and forwards nothing.
    Unsupported {
        /// The API's name for it, such as `authenticate-oidc`.
        kind: String,
        /// The action as it was given, in JSON, so that the API can return it.
        raw: String,
    },
}

/// A regular expression and its replacement (`$1` refers to a group).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// The regular expression, up to 1024 characters.
    pub regex: String,
    /// The replacement, up to 1024 characters.
    pub replace: String,
}

/// A change made to a request after its rule matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    /// Rewrites the Host header.
    HostHeader(Vec<Rewrite>),
    /// Rewrites path and query.
    Url(Vec<Rewrite>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_rule_stands_last() {
        assert!(Priority::At(50_000) < Priority::Default);
        assert_eq!(Priority::at(0), None);
        assert_eq!(Priority::at(50_001), None);
        assert_eq!(Priority::at(7).map(|p| p.to_string()), Some("7".to_owned()));
    }
}
