//! Redirects, with their placeholders filled in.

use forebay_model::Redirect;

/// The values of placeholders for one request.
#[derive(Clone, Copy, Debug)]
pub struct RedirectFacts<'a> {
    /// `http` or `https`, as the client connected.
    pub protocol: &'a str,
    /// The requested host without its port.
    pub host: &'a str,
    /// The listener's port.
    pub port: u16,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent, without `?`.
    pub query: &'a str,
}

/// A redirect action, ready to be filled in.
#[derive(Clone, Debug)]
pub struct RedirectTemplate {
    redirect: Redirect,
}

impl RedirectTemplate {
    pub(crate) fn new(redirect: &Redirect) -> RedirectTemplate {
        RedirectTemplate {
            redirect: redirect.clone(),
        }
    }

    /// 301 or 302.
    pub fn status(&self) -> u16 {
        self.redirect.status
    }

    /// The Location header. The port is always named, as ALB does; the query only if there is one.
    pub fn location(&self, facts: &RedirectFacts<'_>) -> String {
        let redirect = &self.redirect;
        let protocol = fill(&redirect.protocol, facts).to_ascii_lowercase();
        let mut location = format!(
            "{protocol}://{}:{}{}",
            fill(&redirect.host, facts),
            fill(&redirect.port, facts),
            fill(&redirect.path, facts)
        );
        let query = fill(&redirect.query, facts);
        if !query.is_empty() {
            location.push('?');
            location.push_str(&query);
        }
        // A control character would end the header early.
        location.retain(|c| !c.is_control());
        location
    }
}

fn fill(template: &str, facts: &RedirectFacts<'_>) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(start) = rest.find("#{") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        out.push_str(&rest[..start]);
        let name = &rest[start + 2..start + length];
        match name {
            "protocol" => out.push_str(facts.protocol),
            "host" => out.push_str(facts.host),
            "port" => out.push_str(&facts.port.to_string()),
            "path" => out.push_str(facts.path.strip_prefix('/').unwrap_or(facts.path)),
            "query" => out.push_str(facts.query),
            _ => out.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(protocol: &str, host: &str, port: &str, path: &str, query: &str) -> RedirectTemplate {
        RedirectTemplate::new(&Redirect {
            protocol: protocol.into(),
            port: port.into(),
            host: host.into(),
            path: path.into(),
            query: query.into(),
            status: 301,
        })
    }

    #[test]
    fn placeholders() {
        let facts = RedirectFacts {
            protocol: "http",
            host: "a.b",
            port: 80,
            path: "/x/y",
            query: "q=1",
        };
        let to_https = redirect("HTTPS", "#{host}", "443", "/#{path}", "#{query}");
        assert_eq!(to_https.location(&facts), "https://a.b:443/x/y?q=1");
        let odd = redirect("#{protocol}", "www.#{host}", "#{port}", "/new/#{path}", "");
        assert_eq!(odd.location(&facts), "http://www.a.b:80/new/x/y");
        let unknown = redirect("HTTP", "h", "1", "/#{nope}/#{", "");
        assert_eq!(unknown.location(&facts), "http://h:1/#{nope}/#{");
    }
}
