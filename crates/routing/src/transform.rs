//! Transforms: rewrites of Host and of path and query, made after the rule was chosen.

use crate::condition::regex;
use crate::rules::CompileError;
use forebay_model::{Rewrite, Transform};
use regex::bytes::Regex;

/// A rewrite gave something that cannot be sent. Named as in ALB's access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The new host is no host.
    InvalidHost,
    /// The new path does not begin with `/` or holds a byte that a request line cannot.
    InvalidPath,
    /// The result is longer than a request line may be.
    BufferTooSmall,
}

/// A rule's transforms, compiled.
#[derive(Debug)]
pub struct Transforms {
    host: Box<[(Regex, Box<[u8]>)]>,
    url: Box<[(Regex, Box<[u8]>)]>,
}

impl Transforms {
    pub(crate) fn compile(transforms: &[Transform]) -> Result<Option<Transforms>, CompileError> {
        let compile = |rewrites: &[Rewrite]| {
            let compiled = rewrites
                .iter()
                .map(|rewrite| Ok((regex(&rewrite.regex, false)?, rewrite.replace.as_bytes().into())));
            compiled.collect::<Result<Box<[_]>, CompileError>>()
        };
        let mut out = Transforms {
            host: [].into(),
            url: [].into(),
        };
        for transform in transforms {
            match transform {
                Transform::HostHeader(rewrites) => out.host = compile(rewrites)?,
                Transform::Url(rewrites) => out.url = compile(rewrites)?,
            }
        }
        Ok((!out.host.is_empty() || !out.url.is_empty()).then_some(out))
    }

    /// The new host; none if no rewrite applies.
    pub fn host(&self, host: &[u8]) -> Result<Option<Vec<u8>>, TransformError> {
        let Some(new) = rewrite(&self.host, host) else {
            return Ok(None);
        };
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte);
        if new.is_empty() || new.len() > 255 || !new.iter().all(fits) {
            return Err(TransformError::InvalidHost);
        }
        Ok(Some(new))
    }

    /// The new path and query; none if no rewrite applies.
    pub fn url(&self, url: &[u8]) -> Result<Option<Vec<u8>>, TransformError> {
        let Some(new) = rewrite(&self.url, url) else {
            return Ok(None);
        };
        if new.len() > forebay_model::limits::REQUEST_LINE_BYTES {
            return Err(TransformError::BufferTooSmall);
        }
        if new.first() != Some(&b'/') || !new.iter().all(|&byte| byte > b' ' && byte != 0x7f) {
            return Err(TransformError::InvalidPath);
        }
        Ok(Some(new))
    }
}

fn rewrite(rewrites: &[(Regex, Box<[u8]>)], text: &[u8]) -> Option<Vec<u8>> {
    let mut current: Option<Vec<u8>> = None;
    for (regex, replace) in rewrites {
        let from = current.as_deref().unwrap_or(text);
        if regex.is_match(from) {
            current = Some(regex.replace(from, &**replace).into_owned());
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(regex: &str, replace: &str) -> Transforms {
        let rewrite = Rewrite {
            regex: regex.into(),
            replace: replace.into(),
        };
        Transforms::compile(&[Transform::Url(vec![rewrite])])
            .unwrap()
            .unwrap()
    }

    #[test]
    fn rewrites_path_and_query() {
        let transforms = url("^/dp/([A-Za-z0-9]+)/?$", "/product.php?id=$1");
        assert_eq!(
            transforms.url(b"/dp/B0/").unwrap().unwrap(),
            b"/product.php?id=B0"
        );
        assert_eq!(transforms.url(b"/other"), Ok(None));
        assert_eq!(transforms.host(b"a.b"), Ok(None));
    }

    #[test]
    fn refuses_what_cannot_be_sent() {
        assert_eq!(url("^/", "x").url(b"/a"), Err(TransformError::InvalidPath));
        assert_eq!(
            url("a", " HTTP/1.1\r\n").url(b"/a"),
            Err(TransformError::InvalidPath)
        );
        let long = url("b", &"a".repeat(1024));
        assert!(long.url(b"/b").is_ok());
        let rewrite = Rewrite {
            regex: "^.*$".into(),
            replace: "a b".into(),
        };
        let host = Transforms::compile(&[Transform::HostHeader(vec![rewrite])])
            .unwrap()
            .unwrap();
        assert_eq!(host.host(b"x"), Err(TransformError::InvalidHost));
    }
}
