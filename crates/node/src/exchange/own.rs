//! Answers and rewrites that come from rules.

use super::state::Exchange;
use super::step::{Rewritten, Step};
use crate::answer::Answer;
use crate::reason::Reason;
use crate::request::Request;
use forebay_model::{FixedResponse, limits};
use forebay_routing::{Facts, RedirectFacts, RedirectTemplate, TransformError, Transforms};

impl Exchange {
    pub(super) fn fixed(&mut self, fixed: &FixedResponse) -> Step {
        let kind = fixed
            .content_type
            .clone()
            .unwrap_or_else(|| "text/plain".to_owned());
        let body = fixed.body.clone().unwrap_or_default().into_bytes();
        // A body with these statuses would be taken for the start of the next answer (RFC 9110 sections 15.3.5 and
        // 15.3.6).
        let empty = body.is_empty() || matches!(fixed.status, 204 | 205);
        let content = (!empty).then_some((kind, body));
        self.record.reason = Some(Reason::FixedResponse);
        let reason = Reason::FixedResponse;
        Step::Answer(Box::new(Answer {
            status: fixed.status,
            reason,
            content,
            location: None,
            retry_after: None,
            bare: false,
        }))
    }

    pub(super) fn redirect(&mut self, template: &RedirectTemplate, request: &Request<'_>, port: u16) -> Step {
        let text = String::from_utf8_lossy;
        let location = template.location(&RedirectFacts {
            protocol: request.protocol,
            host: &text(request.facts.host),
            port,
            path: &text(request.facts.path),
            query: &text(request.facts.query),
        });
        if location.len() > limits::LOCATION_BYTES {
            return self.answer(Reason::RedirectTooLong);
        }
        let status = template.status();
        let content = Some(("text/html".to_owned(), crate::answer::page(status).into_bytes()));
        self.record.reason = Some(Reason::Redirect);
        Step::Answer(Box::new(Answer {
            status,
            reason: Reason::Redirect,
            content,
            location: Some(location),
            retry_after: None,
            bare: false,
        }))
    }
}

pub(super) fn rewrite(
    transforms: &Transforms,
    facts: &Facts<'_>,
) -> Result<Option<Box<Rewritten>>, TransformError> {
    let mut url = facts.path.to_vec();
    if !facts.query.is_empty() {
        url.push(b'?');
        url.extend_from_slice(facts.query);
    }
    let rewritten = Rewritten {
        host: transforms.host(facts.host)?,
        url: transforms.url(&url)?,
    };
    Ok((rewritten != Rewritten::default()).then(|| Box::new(rewritten)))
}
