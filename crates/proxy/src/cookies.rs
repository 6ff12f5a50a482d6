//! Header lines that we add to targets' answers: the cookies that keep a client with its target or its group, and the note
//! that the group fails open.

use crate::buffers::RequestBuffers;
use crate::fields::is;
use crate::request::Incoming;
use crate::session::RequestContext;
use forebay_node::{CookieValue, Cookies, cookie};
use std::time::{Duration, SystemTime};

/// ALB's cookies always expire after seven days; the duration of the stickiness is sealed inside.
const EXPIRES: Duration = Duration::from_secs(7 * 86_400);
/// The value that ALB gives to surplus shards of a cookie that needs fewer.
const NO_SHARD: &str = "_remove_";

/// Whether the cookie must be marked for cross-site use: the request comes from another site, and its browser demands the
/// mark (Chromium since version 80).
pub(crate) fn crosses_sites(buffers: &RequestBuffers, incoming: &Incoming) -> bool {
    let head = &buffers.input[buffers.start..buffers.start + incoming.head.length];
    let value = |name: &[u8]| {
        let mut found = buffers.fields.iter().filter(|field| is(field.name(head), name));
        found.next().map(|field| field.value(head))
    };
    let chromium = |agent: &[u8]| {
        let agent = String::from_utf8_lossy(agent);
        let mut parts = agent.split_whitespace().filter_map(|part| {
            part.strip_prefix("Chrome/")
                .or_else(|| part.strip_prefix("Chromium/"))
        });
        let version = parts.next().and_then(|part| part.split('.').next());
        version
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major >= 80)
    };
    value(b"origin").is_some() && value(b"user-agent").is_some_and(chromium)
}

/// Whether a Set-Cookie value sets the cookie of this name.
pub(crate) fn sets(value: &[u8], name: &str) -> bool {
    let rest = value.trim_ascii_start().strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
}

/// A header line: name and value.
pub(crate) type Extra = (&'static str, String);

/// The header that says why all targets get traffic; see the tag `forebay:fail-open-header`.
const FAIL_OPEN: &str = "X-Forebay-Fail-Open";

/// The lines added to an answer of the exchange's target. `sets`: whether the answer sets a cookie of this name.
pub(crate) fn of_answer<W>(context: &RequestContext<'_, W>, sets: impl Fn(&str) -> bool) -> Vec<Extra> {
    let (worker, exchange) = (context.session.worker, &context.exchange);
    let mut extras: Vec<Extra> = Vec::new();
    if let Some(reason) = exchange.fail_open() {
        extras.push((FAIL_OPEN, reason.to_owned()));
    }
    if !exchange.is_sticky() {
        return extras;
    }
    let wall = worker.recent_wall();
    let cookies = exchange.cookies(
        wall,
        context.listener,
        &worker.snapshot(),
        &mut worker.state.borrow_mut(),
        sets,
    );
    let since_epoch = Duration::from_secs(u64::try_from(wall.seconds()).unwrap_or(0));
    let expires = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_epoch + EXPIRES);
    let (secure, crosses) = (
        context.session.connection.listener_address.secure,
        context.session.buffers.request_log.crosses_sites,
    );
    let cookies = lines(&cookies, &expires, secure, crosses);
    extras.extend(cookies.into_iter().map(|cookie| ("Set-Cookie", cookie)));
    extras
}

fn lines(cookies: &Cookies, expires: &str, secure: bool, crosses: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str, more: &str| {
        lines.push(format!("{name}={value}; Expires={expires}; Path=/{more}"));
    };
    let text = |value: &CookieValue| String::from_utf8_lossy(value).into_owned();
    let cors = if secure {
        "; SameSite=None; Secure"
    } else {
        "; SameSite=None"
    };
    for (names, value) in [(cookie::GROUP, &cookies.group), (cookie::TARGET, &cookies.target)] {
        if let Some(value) = value {
            line(names[0], &text(value), "");
            line(names[1], &text(value), cors);
        }
    }
    if let Some(value) = &cookies.app {
        let more = if crosses { "; SameSite=None; Secure" } else { "" };
        line(cookie::APP[0], &text(value), more);
        for shard in &cookie::APP[1..] {
            line(shard, NO_SHARD, more);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_have_albs_form() {
        let value = [b'v'; forebay_node::COOKIE_LENGTH];
        let text = "v".repeat(124);
        let cookies = Cookies {
            target: Some(value),
            app: None,
            group: None,
        };
        let date = "Tue, 27 Feb 2024 11:21:53 GMT";
        assert_eq!(
            lines(&cookies, date, false, true),
            [
                format!("AWSALB={text}; Expires={date}; Path=/"),
                format!("AWSALBCORS={text}; Expires={date}; Path=/; SameSite=None"),
            ]
        );
        let secured = lines(&cookies, date, true, false);
        assert_eq!(
            secured[1],
            format!("AWSALBCORS={text}; Expires={date}; Path=/; SameSite=None; Secure")
        );
        let app = Cookies {
            target: None,
            app: Some(value),
            group: Some(value),
        };
        let names: Vec<String> = lines(&app, date, false, false)
            .iter()
            .map(|line| line.split(';').next().unwrap_or_default().replace(&text, "v"))
            .collect();
        assert_eq!(
            names,
            [
                "AWSALBTG=v",
                "AWSALBTGCORS=v",
                "AWSALBAPP-0=v",
                "AWSALBAPP-1=_remove_",
                "AWSALBAPP-2=_remove_",
                "AWSALBAPP-3=_remove_"
            ]
        );
    }
}
