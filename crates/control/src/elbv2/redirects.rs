//! Checks of redirect actions (user guide for Application Load Balancers, "Redirect actions").

use crate::api::errors::validation;
use forebay_awswire::ApiError;
use forebay_model::Redirect;

/// The most characters of a redirect's host, path and query.
const REDIRECT_CHARS: usize = 128;
pub(crate) fn check_redirect(redirect: &Redirect, protocol: Option<&str>) -> Result<(), ApiError> {
    if !matches!(redirect.protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(validation(format!(
            "The redirect protocol '{}' must be HTTP, HTTPS or #{{protocol}}",
            redirect.protocol
        )));
    }
    if protocol == Some("HTTPS") && redirect.protocol == "HTTP" {
        return Err(ApiError::sender(
            "InvalidLoadBalancerAction",
            "You cannot redirect from HTTPS to HTTP",
        ));
    }
    if redirect.port != "#{port}" && !redirect.port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(validation(format!(
            "The redirect port '{}' must be between 1 and 65535",
            redirect.port
        )));
    }
    if !redirect.path.starts_with('/') {
        return Err(validation("The redirect path must begin with '/'"));
    }
    if redirect.query.starts_with('?') {
        return Err(validation("The redirect query must not begin with '?'"));
    }
    for (name, text) in [
        ("host", &redirect.host),
        ("path", &redirect.path),
        ("query", &redirect.query),
    ] {
        if text.chars().count() > REDIRECT_CHARS || (name != "query" && text.is_empty()) {
            let text = format!("The redirect {name} must have between 1 and {REDIRECT_CHARS} characters");
            return Err(validation(text));
        }
    }
    check_placeholders("host", &redirect.host, &["host"])?;
    check_placeholders("path", &redirect.path, &["host", "port", "path"])?;
    check_placeholders(
        "query",
        &redirect.query,
        &["protocol", "host", "port", "path", "query"],
    )?;
    let unchanged = (redirect.protocol == "#{protocol}" || protocol == Some(redirect.protocol.as_str()))
        && redirect.port == "#{port}"
        && redirect.host == "#{host}"
        && redirect.path == "/#{path}";
    if unchanged {
        return Err(ApiError::sender(
            "InvalidLoadBalancerAction",
            "You must modify at least one of the following components to avoid a redirect loop: protocol, port, hostname or path",
        ));
    }
    Ok(())
}

/// Refuses placeholders that a member of a redirect may not hold (user guide for Application Load Balancers, "Redirect
/// actions").
fn check_placeholders(name: &str, text: &str, known: &[&str]) -> Result<(), ApiError> {
    let mut rest = text;
    while let Some(at) = rest.find("#{") {
        rest = &rest[at + 2..];
        let word = rest.split('}').next().unwrap_or(rest);
        if !known.contains(&word) {
            return Err(validation(format!(
                "The redirect {name} must not hold the placeholder '#{{{word}}}'"
            )));
        }
    }
    Ok(())
}
