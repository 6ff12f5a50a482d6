//! Rules as the API takes and gives them: conditions, actions, transforms. `routing` compiles them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Where a rule stands in its listener: lower numbers first, the default rule last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// 1 to 50000.
    At(u16),
    /// The listener's default rule.
    Default,
}

impl Priority {
    /// A priority from 1 to 50000; anything else is none.
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

/// What a text is compared with: wildcard patterns (`*`, `?`) or regular expressions; any one is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextMatch {
    /// `*` stands for any run of characters, `?` for exactly one.
    Wildcards(Vec<String>),
    /// Regular expressions, searched for anywhere in the text unless anchored.
    Regexes(Vec<String>),
}

/// One key and value asked of the query string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMatch {
    /// Without a key, the value may stand under any.
    pub key: Option<String>,
    /// A wildcard pattern; `\*`, `\?` and `\\` are literal.
    pub value: String,
}

/// What a request must show for a rule to apply. All conditions of a rule must hold; within one, any value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The Host header, without its port, in any case.
    HostHeader(TextMatch),
    /// The path, case-sensitive, without the query.
    PathPattern(TextMatch),
    /// A header's value, in any case.
    HttpHeader {
        /// The header's name, in any case.
        name: String,
        /// What its value is compared with.
        values: TextMatch,
    },
    /// The method, case-sensitive, no wildcards.
    Method(Vec<String>),
    /// Key and value pairs of the query string, in any case.
    QueryString(Vec<QueryMatch>),
    /// The address of the connection's other end.
    SourceIp(Vec<IpNet>),
}

/// One target group of a forward action and its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedGroup {
    /// The target group's ARN.
    pub group_arn: String,
    /// 0 to 999, relative to the others' sum.
    pub weight: u16,
}

/// Group stickiness of a forward action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardStickiness {
    /// Whether clients stay with the group first chosen.
    pub enabled: bool,
    /// For how long, 1 to 604800; none if it was never set.
    pub duration_seconds: Option<u32>,
}

/// Forward to one of up to five target groups, by weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// One to five groups.
    pub groups: Vec<WeightedGroup>,
    /// Group stickiness.
    pub stickiness: ForwardStickiness,
}

/// Redirect; members may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// 1 to 65535 or `#{port}`.
    pub port: String,
    /// Up to 128 characters.
    pub host: String,
    /// Up to 128 characters, beginning with `/`.
    pub path: String,
    /// Up to 128 characters, without `?`.
    pub query: String,
    /// 301 or 302.
    pub status: u16,
}

/// An answer made by the balancer itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedResponse {
    /// 2xx, 4xx or 5xx.
    pub status: u16,
    /// One of ALB's five content types.
    pub content_type: Option<String>,
    /// Up to 1024 bytes.
    pub body: Option<String>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Send it to a target.
    Forward(Forward),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// Answer it here.
    FixedResponse(FixedResponse),
    /// Stored and echoed, but not built yet: the node answers 500 and lets nothing through.
    Unsupported {
        /// The API's word for it, such as `authenticate-oidc`.
        kind: String,
        /// The action as it was given (JSON), for the echo.
        raw: String,
    },
}

/// A regular expression and its replacement (`$1` names a group).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// Up to 1024 characters.
    pub regex: String,
    /// Up to 1024 characters.
    pub replace: String,
}

/// A change made to a request after its rule was chosen.
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
