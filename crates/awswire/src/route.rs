//! The routes of REST-JSON operations, and the places of their members.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The place of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A member of the JSON body.
    Body,
    /// The complete body.
    Payload,
    /// In the path.
    Path,
    /// In the query string.
    Query,
    /// A header.
    Header,
    /// The status of the answer.
    Status,
}

impl Place {
    /// The place of the member `name` of `structure`, from its reference.
    pub(crate) fn read(name: &str, reference: &Value, structure: &Value) -> Option<Place> {
        if structure.get("payload").and_then(Value::as_str) == Some(name) {
            return Some(Place::Payload);
        }
        match reference.get(3).and_then(Value::as_str) {
            None => Some(Place::Body),
            Some("uri") => Some(Place::Path),
            Some("querystring") => Some(Place::Query),
            Some("header") => Some(Place::Header),
            Some("statusCode") => Some(Place::Status),
            Some(_) => None,
        }
    }
}

/// The route of an operation.
pub(crate) struct Route {
    pub(crate) operation: String,
    pub(crate) status: u16,
    method: String,
    steps: Vec<Step>,
    /// The query string required, where the path alone is also another operation's.
    query: Option<String>,
}

/// A path segment.
enum Step {
    Is(String),
    Member(String),
}

impl Route {
    pub(crate) fn read(operation: &str, http: &Value) -> Option<Route> {
        let step = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(member) => Step::Member(member.to_owned()),
            None => Step::Is(text.to_owned()),
        };
        let target = http.get(1)?.as_str()?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Some(Route {
            operation: operation.to_owned(),
            status: u16::try_from(http.get(2)?.as_u64()?).ok()?,
            method: http.get(0)?.as_str()?.to_owned(),
            steps: steps(path).map(step).collect(),
            query,
        })
    }

    /// Whether only the query string distinguishes it from another route.
    pub(crate) fn is_told_by_query(&self) -> bool {
        self.query.is_some()
    }

    /// Whether a request has this route.
    pub(crate) fn fits(&self, method: &str, path: &str, query: &str) -> bool {
        let wanted = self.query.as_deref();
        wanted.is_none_or(|wanted| query.split('&').any(|part| part == wanted))
            && self.members(method, path).is_some()
    }

    /// The input members in the path, if this is the route.
    pub(crate) fn members(&self, method: &str, path: &str) -> Option<Vec<(&str, String)>> {
        if self.method != method || steps(path).count() != self.steps.len() {
            return None;
        }
        let mut members = Vec::new();
        for (step, given) in self.steps.iter().zip(steps(path)) {
            match step {
                Step::Is(text) if text == given => {}
                Step::Is(_) => return None,
                Step::Member(name) => {
                    let text = percent_decode_str(given).decode_utf8().ok()?;
                    members.push((name.as_str(), text.into_owned()));
                }
            }
        }
        Some(members)
    }
}

/// The segments of a path; a slash at its end is ignored.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.trim_matches('/').split('/')
}
