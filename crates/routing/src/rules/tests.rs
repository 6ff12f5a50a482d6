use super::*;
use crate::error::Flaw;
use crate::facts::Headers;
use forebay_model::{Condition, Forward, ForwardStickiness, QueryMatch, TextMatch, WeightedGroup};

struct Pairs<'a>(&'a [(&'a str, &'a str)]);

impl Headers for Pairs<'_> {
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0
            .iter()
            .filter(|pair| pair.0.eq_ignore_ascii_case(name))
            .any(|pair| visit(pair.1.as_bytes()))
    }
}

fn facts<'a>(method: &'a str, host: &'a str, target: &'a str, headers: &'a Pairs<'a>) -> Facts<'a> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Facts {
        method: method.as_bytes(),
        host: host.as_bytes(),
        path: path.as_bytes(),
        query: query.as_bytes(),
        source: "10.1.2.3".parse().unwrap(),
        headers,
    }
}

fn wild(values: &[&str]) -> TextMatch {
    TextMatch::Wildcards(values.iter().map(|&value| value.to_owned()).collect())
}

fn rule(priority: Priority, conditions: Vec<Condition>) -> RuleBlueprint {
    let action = Action::Forward(Forward {
        groups: vec![WeightedGroup {
            group_arn: priority.to_string(),
            weight: 1,
        }],
        stickiness: ForwardStickiness::default(),
    });
    RuleBlueprint {
        arn: String::new(),
        priority,
        conditions,
        action,
        transforms: vec![],
    }
}

fn holds(condition: Condition, facts: &Facts<'_>) -> bool {
    let rules = [
        rule(Priority::At(1), vec![condition]),
        rule(Priority::Default, vec![]),
    ];
    let rules = Rules::compile(&rules, str::to_owned);
    rules.decide(facts).unwrap().priority == Priority::At(1)
}

#[test]
fn each_condition_type() {
    let none = Pairs(&[]);
    let headers = Pairs(&[
        ("User-Agent", "Mozilla/5.0 Chrome"),
        ("X-A", "one"),
        ("x-a", "TWO"),
    ]);
    let get = facts("GET", "Www.Example.com", "/img/a.png?version=V1&x=*", &headers);
    assert!(holds(
        Condition::HostHeader(wild(&["nope.com", "*.example.COM"])),
        &get
    ));
    assert!(!holds(Condition::HostHeader(wild(&["example.com"])), &get));
    assert!(holds(
        Condition::HostHeader(TextMatch::Regexes(vec![r"^www\.exa".into()])),
        &get
    ));
    assert!(holds(Condition::PathPattern(wild(&["/img/*"])), &get));
    assert!(!holds(Condition::PathPattern(wild(&["/IMG/*"])), &get));
    assert!(holds(
        Condition::PathPattern(TextMatch::Regexes(vec![r"\.png$".into()])),
        &get
    ));
    assert!(holds(
        Condition::HttpHeader {
            name: "user-agent".into(),
            values: wild(&["*chrome*"])
        },
        &get
    ));
    assert!(holds(
        Condition::HttpHeader {
            name: "X-a".into(),
            values: wild(&["two"])
        },
        &get
    ));
    assert!(!holds(
        Condition::HttpHeader {
            name: "X-b".into(),
            values: wild(&["*"])
        },
        &get
    ));
    assert!(holds(Condition::Method(vec!["POST".into(), "GET".into()]), &get));
    assert!(!holds(Condition::Method(vec!["get".into()]), &get));
    let query = |key: Option<&str>, value: &str| {
        Condition::QueryString(vec![QueryMatch {
            key: key.map(str::to_owned),
            value: value.into(),
        }])
    };
    assert!(holds(query(Some("Version"), "v1"), &get));
    assert!(holds(query(None, "v?"), &get));
    assert!(holds(query(Some("x"), r"\*"), &get));
    assert!(!holds(query(Some("version"), r"\*"), &get));
    assert!(!holds(query(None, "*"), &facts("GET", "a.b", "/", &none)));
    assert!(holds(
        Condition::SourceIp(vec!["10.0.0.0/8".parse().unwrap()]),
        &get
    ));
    assert!(!holds(
        Condition::SourceIp(vec!["192.168.0.0/16".parse().unwrap()]),
        &get
    ));
}

#[test]
fn dots_and_escapes_pass_no_path_rule() {
    let none = Pairs(&[]);
    let admin = || Condition::PathPattern(wild(&["/admin*"]));
    assert!(holds(admin(), &facts("GET", "a.b", "/x/../admin", &none)));
    assert!(holds(admin(), &facts("GET", "a.b", "/%61dmin", &none)));
}

#[test]
fn first_rule_wins_and_evaluations_leave_the_default_out() {
    let none = Pairs(&[]);
    let path = |pattern: &str| vec![Condition::PathPattern(wild(&[pattern]))];
    let rules = [
        rule(Priority::At(5), path("/a*")),
        rule(Priority::At(9), path("/ab*")),
        rule(Priority::Default, vec![]),
    ];
    let rules = Rules::compile(&rules, str::to_owned);
    let won = |target| {
        let won = rules.decide(&facts("GET", "h.x", target, &none)).unwrap();
        (won.priority, won.evaluated)
    };
    assert_eq!(won("/abc"), (Priority::At(5), 1));
    assert_eq!(won("/z"), (Priority::Default, 2));
}

#[test]
fn split_follows_the_weights() {
    let split = Split::new([("a", 1), ("b", 0), ("c", 3)]);
    assert_eq!(split.pick(|| 0), Some(&"a"));
    assert_eq!(split.pick(|| u64::MAX / 4 - 1), Some(&"a"));
    assert_eq!(split.pick(|| u64::MAX / 4 + 8), Some(&"c"));
    assert_eq!(split.pick(|| u64::MAX), Some(&"c"));
    assert_eq!(Split::new([("a", 0), ("b", 0)]).pick(|| 5), None);
    assert_eq!(Split::new([("a", 0)]).pick(|| 5), None);
}

fn regex_rule(text: &str) -> RuleBlueprint {
    let regexes = TextMatch::Regexes(vec![text.to_owned()]);
    let host = Condition::HostHeader(wild(&["a.b"]));
    rule(Priority::At(1), vec![Condition::PathPattern(regexes), host])
}

/// One unusable expression used to disable all rules of its listener: every request got an error.
#[test]
fn what_cannot_be_used_is_named_and_lets_nothing_pass() {
    for (text, is_big) in [("(", false), (r"(?=x)", false), (r"(.{0,90}){0,90}x", true)] {
        let error = check(&regex_rule(text)).unwrap_err();
        assert_eq!(error.regex, text);
        assert_eq!(error.flaw == Flaw::TooBig, is_big, "{error}");
        let rules = [regex_rule(text), rule(Priority::Default, vec![])];
        let rules = Rules::compile(&rules, str::to_owned);
        let none = Pairs(&[]);
        let stopped = facts("GET", "a.b", "/", &none);
        let stopped = rules.decide(&stopped).unwrap();
        assert_eq!(stopped.priority, Priority::At(1));
        assert!(matches!(stopped.route, Route::Unsupported(_)));
        let others = facts("GET", "c.d", "/", &none);
        assert_eq!(rules.decide(&others).unwrap().priority, Priority::Default);
    }
}

type Kind = fn(&str) -> Condition;

/// 60 rules with three wildcards each used to take 180 ms on such paths. Read for eight tables at a time, they must
/// still decide the same.
#[test]
fn long_texts_are_decided_as_short_ones_are() {
    let mut stream = forebay_units::Rng::named(1, "long texts");
    let mut random = |alphabet: &str, length: u64| -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length)
            .map(|_| letters[stream.below(letters.len() as u64) as usize])
            .collect()
    };
    for length in [3, 250, 260, 600] {
        for _ in 0..8 {
            let patterns: Vec<String> = (0..20).map(|_| random("aab*?*", 9)).collect();
            let text = random("ab", length);
            let other = random("ab", length / 2);
            let value = format!("k={text}");
            let headers = [("x-a", text.as_str()), ("X-A", other.as_str())];
            let headers = Pairs(&headers);
            let target = format!("{text}?z=1&{value}");
            let facts = facts("GET", &text, &target, &headers);
            let fits = |pattern: &str, text: &str| {
                crate::pattern::Pattern::new(pattern, false)
                    .matches(text.as_bytes())
                    .unwrap()
            };
            let kinds: [(Kind, bool); 4] = [
                (|pattern| Condition::HostHeader(wild(&[pattern])), false),
                (|pattern| Condition::PathPattern(wild(&[pattern, "no*"])), false),
                (
                    |pattern| Condition::HttpHeader {
                        name: "X-a".into(),
                        values: wild(&[pattern]),
                    },
                    true,
                ),
                (
                    |pattern| {
                        Condition::QueryString(vec![QueryMatch {
                            key: Some("k".into()),
                            value: pattern.into(),
                        }])
                    },
                    false,
                ),
            ];
            for (condition, both) in kinds {
                let rules: Vec<_> = (1..)
                    .zip(&patterns)
                    .map(|(number, pattern)| rule(Priority::At(number), vec![condition(pattern)]))
                    .chain([rule(Priority::Default, vec![])])
                    .collect();
                let first = patterns
                    .iter()
                    .position(|pattern| fits(pattern, &text) || (both && fits(pattern, &other)));
                let wanted = first.map_or(Priority::Default, |at| Priority::At(at as u16 + 1));
                let rules = Rules::compile(&rules, str::to_owned);
                assert_eq!(
                    rules.decide(&facts).unwrap().priority,
                    wanted,
                    "{patterns:?} {text} {other}"
                );
            }
        }
    }
}
