//! Entry points for `fuzz/`: each function takes arbitrary bytes and panics where an invariant is broken. The corpora
//! also run as ordinary tests.

use crate::pattern::Pattern;
use crate::{Facts, Headers, RedirectFacts, Route, Rules, check, normal_path};
use forebay_model::{
    Action, Condition, Forward, ForwardStickiness, Priority, QueryMatch, Redirect, Rewrite, RuleBlueprint,
    TextMatch, Transform, WeightedGroup,
};

/// A target's name, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate, by the names of their corpora.
pub const TARGETS: &[Target] = &[("rules", rules)];

struct One<'a>(&'a [u8], &'a [u8]);

impl Headers for One<'_> {
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.eq_ignore_ascii_case(name.as_bytes()) && visit(self.1)
    }
}

/// `*` and `?` the long way: which prefixes of the text match, token by token. A token is a byte, `None` for `?`, or
/// absent for `*`.
fn fits(tokens: &[Option<Option<u8>>], text: &[u8], any_case: bool) -> bool {
    let fold = |byte: u8| {
        if any_case { byte.to_ascii_lowercase() } else { byte }
    };
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match token {
                None => reached[at] || (at > 0 && next[at - 1]),
                Some(None) => at > 0 && reached[at - 1],
                Some(Some(byte)) => at > 0 && reached[at - 1] && fold(text[at - 1]) == fold(*byte),
            };
        }
        reached = next;
    }
    reached[text.len()]
}

fn patterns(pattern: &str, text: &[u8]) {
    let text = &text[..text.len().min(256)];
    let mut escaped = Vec::new();
    let mut bytes = pattern.bytes().peekable();
    while let Some(byte) = bytes.next() {
        escaped.push(match byte {
            b'*' => None,
            b'?' => Some(None),
            b'\\' => Some(Some(
                bytes.next_if(|next| b"*?\\".contains(next)).unwrap_or(b'\\'),
            )),
            byte => Some(Some(byte)),
        });
    }
    let simple: Vec<_> = pattern
        .bytes()
        .map(|byte| match byte {
            b'*' => None,
            b'?' => Some(None),
            byte => Some(Some(byte)),
        })
        .collect();
    for any_case in [false, true] {
        if let Some(matches) = Pattern::new(pattern, any_case).matches(text) {
            assert_eq!(matches, fits(&simple, text, any_case), "{pattern:?} {any_case}");
        }
        if let Some(matches) = Pattern::escaped(pattern, any_case).matches(text) {
            assert_eq!(
                matches,
                fits(&escaped, text, any_case),
                "escaped {pattern:?} {any_case}"
            );
        }
    }
}

fn paths(path: &[u8]) {
    let normal = normal_path(path);
    assert!(normal.len() <= path.len());
    if path.first() == Some(&b'/') {
        assert_eq!(normal.first(), Some(&b'/'));
        let dotted = |part: &[u8]| matches!(part, b"." | b"..");
        assert!(!normal.split(|&byte| byte == b'/').any(dotted), "{normal:?}");
    }
}

fn rewrite(parts: &[String]) -> Vec<Rewrite> {
    vec![Rewrite {
        regex: parts[1].clone(),
        replace: parts[2].clone(),
    }]
}

/// Rules from the texts of two lines: conditions of every kind, wildcards and expressions, a redirect, both transforms.
fn blueprints(mode: u8, parts: &[String]) -> Vec<RuleBlueprint> {
    let text = |at: usize| {
        if mode & 1 == 0 {
            TextMatch::Wildcards(vec![parts[at].clone()])
        } else {
            TextMatch::Regexes(vec![parts[at].clone()])
        }
    };
    let condition = match mode >> 1 & 7 {
        0 => Condition::HostHeader(text(0)),
        1 => Condition::PathPattern(text(0)),
        2 => Condition::HttpHeader {
            name: "X-A".to_owned(),
            values: text(0),
        },
        3 => Condition::Method(vec![parts[0].clone()]),
        4 => Condition::QueryString(vec![QueryMatch {
            key: None,
            value: parts[0].clone(),
        }]),
        5 => Condition::QueryString(vec![QueryMatch {
            key: Some(parts[0].clone()),
            value: parts[1].clone(),
        }]),
        _ => Condition::SourceIp(parts[0].parse().into_iter().collect()),
    };
    let redirect = Redirect {
        protocol: "#{protocol}".to_owned(),
        port: "#{port}".to_owned(),
        host: parts[1].clone(),
        path: format!("/{}", parts[2]),
        query: parts[0].clone(),
        status: 302,
    };
    let transforms = vec![
        Transform::HostHeader(rewrite(parts)),
        Transform::Url(rewrite(parts)),
    ];
    let groups = ["a", "b"].map(|arn| WeightedGroup {
        group_arn: arn.to_owned(),
        weight: u16::from(mode),
    });
    let rule = |priority, conditions, action, transforms| RuleBlueprint {
        arn: String::new(),
        priority,
        conditions,
        action,
        transforms,
    };
    vec![
        rule(
            Priority::At(1),
            vec![condition],
            Action::Redirect(redirect),
            Vec::new(),
        ),
        rule(
            Priority::Default,
            Vec::new(),
            Action::Forward(Forward {
                groups: groups.into(),
                stickiness: ForwardStickiness::default(),
            }),
            if mode & 64 == 0 { Vec::new() } else { transforms },
        ),
    ]
}

/// Rules from any text, on a request of any bytes. The first byte is the rule's kind; then lines: pattern, expression,
/// replacement, host, path, query, header value.
pub fn rules(data: &[u8]) {
    let [mode, rest @ ..] = data else { return };
    let mut lines = rest.split(|&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    // The API accepts 128 characters, and 1024 for transforms.
    let parts = [line(), line(), line()].map(|text| {
        String::from_utf8_lossy(text)
            .chars()
            .take(128)
            .collect::<String>()
    });
    let [host, path, query, value] = [line(), line(), line(), line()];
    patterns(&parts[0], path);
    paths(path);
    let blueprints = blueprints(*mode, &parts);
    let usable = blueprints.iter().all(|rule| check(rule).is_ok());
    let rules = Rules::compile(&blueprints, str::to_owned);
    let facts = Facts {
        method: value,
        host,
        path,
        query,
        source: [127, 0, 0, *mode].into(),
        headers: &One(b"x-a", value),
    };
    let won = rules.decide(&facts).expect("the default rule stands last");
    match won.route {
        Route::Redirect(template) => {
            let text = String::from_utf8_lossy;
            let location = template.location(&RedirectFacts {
                protocol: "https",
                host: &text(host),
                port: 443,
                path: &text(path),
                query: &text(query),
            });
            assert!(location.starts_with("https://"));
            assert!(
                !location.bytes().any(|byte| byte < b' ' || byte == 0x7f),
                "{location:?}"
            );
        }
        Route::Forward(split) => {
            let picked = split.pick(|| u64::from(*mode) << 56);
            assert_eq!(picked.is_some(), *mode > 0, "a group of no weight gets nothing");
        }
        Route::Unsupported(_) => assert!(!usable, "a rule that can be used"),
        Route::Fixed(_) => panic!("no such rule"),
    }
    if let Some(transforms) = won.transforms {
        if let Ok(Some(new)) = transforms.host(host) {
            assert!(!new.is_empty() && new.len() <= 255);
            assert!(new.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/'));
        }
        if let Ok(Some(new)) = transforms.url(path) {
            assert_eq!(new.first(), Some(&b'/'));
            assert!(!new.iter().any(|&byte| byte <= b' ' || byte == 0x7f));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn the_corpora_hold() {
        for (name, target) in super::TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
            let mut count = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
