//! What rules cost at worst: expressions that the API just takes, and listeners at their quotas, on a path of 16 KiB.
//! Bounds: 5 ms for an expression, 2 ms for a listener's wildcards.
//!
//! Expressions are made at random, always the same ones; each repeats as much as the API takes. All are tried on all texts, and
//! the worst are measured again.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use forebay_model::*;
use forebay_routing::{Facts, Headers, Rules, TransformError, check};
use forebay_units::Rng;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Expressions of each kind.
const EXPRESSIONS: usize = 1000;
/// Bytes of a path.
const LONG: usize = 16 * 1024;
/// Characters of a condition's value.
const VALUE: usize = 128;
const WORST: Duration = Duration::from_millis(5);

struct NoHeaders;
impl Headers for NoHeaders {
    fn any(&self, _name: &str, _visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

fn rule(number: u16, conditions: Vec<Condition>, transforms: Vec<Transform>) -> RuleBlueprint {
    let fixed = FixedResponse {
        status: 200,
        content_type: None,
        body: None,
    };
    RuleBlueprint {
        arn: String::new(),
        priority: if number == 0 {
            Priority::Default
        } else {
            Priority::At(number)
        },
        conditions,
        action: Action::FixedResponse(fixed),
        transforms,
    }
}

fn listener(rules: impl IntoIterator<Item = Vec<Condition>>) -> Rules<String> {
    let numbered = (1..)
        .zip(rules)
        .map(|(number, conditions)| rule(number, conditions, vec![]));
    let rules: Vec<RuleBlueprint> = numbered.chain([rule(0, vec![], vec![])]).collect();
    Rules::compile(&rules, str::to_owned)
}

fn path(matches: TextMatch) -> Vec<Condition> {
    vec![Condition::PathPattern(matches)]
}

fn regexes(regexes: &[String]) -> Vec<Condition> {
    path(TextMatch::Regexes(regexes.to_vec()))
}

fn facts(path: &[u8]) -> Facts<'_> {
    Facts {
        method: b"GET",
        host: b"www.example.com",
        path,
        query: b"",
        source: [10, 0, 0, 1].into(),
        headers: &NoHeaders,
    }
}

/// Paths that make expressions look at much: runs of one letter, of few, of all, and with slashes.
fn texts() -> Vec<Vec<u8>> {
    let mut stream = Rng::named(1, "texts");
    let mut texts = Vec::new();
    for alphabet in [
        &b"a"[..],
        b"ab",
        b"abcd",
        b"aaaaaaaaaaaaaaab",
        b"a/",
        b"abcdefghijklmnopqrstuvwxyz0123456789-._~/",
        b"a0-",
    ] {
        let mut text = vec![b'/'];
        text.extend((1..LONG).map(|_| alphabet[stream.below(alphabet.len() as u64) as usize]));
        texts.push(text);
    }
    texts
}

/// A random expression that repeats something `count` times.
fn expression(stream: &mut Rng, count: u32) -> String {
    let mut pick = |from: &[&str]| from[stream.below(from.len() as u64) as usize].to_owned();
    let atoms = [
        "a",
        "b",
        ".",
        "[ab]",
        "[a-z]",
        "[^/]",
        r"\w",
        "(a|b)",
        "(a|ab)",
        "(aa|a)",
        "(.a|b.)",
        "[a-z0-9-]",
        "(a?b?)",
        "(a*b)",
    ];
    let ends = ["x", "c", "$", "/x$", "[cx]", "", "(c|x)", "x$"];
    let starts = ["", "^", "^/", "a", ".*", "(.*a|b)", "[ab]", "^.*b"];
    let [one, two, three] = core::array::from_fn(|_| pick(&atoms));
    let (start, end) = (pick(&starts), pick(&ends));
    let few = pick(&["2", "3", "5", "9"]);
    let body = match pick(&["0", "1", "2", "3", "4", "5", "6"]).as_str() {
        "0" => format!("({one}{{0,{count}}}){{0,{few}}}"),
        "1" => format!("{one}{two}{{{count}}}{three}"),
        "2" => format!("({one}|{two}){{0,{count}}}{three}*"),
        "3" => format!("({one}{two}{{0,{few}}}){{0,{count}}}"),
        "4" => format!("({one}.*{two}|{two}.*{three}){{1,{count}}}"),
        "5" => {
            let parts = (0..count.min(20)).map(|number| {
                let letter = |by| char::from(b'a' + ((number + by) % 26) as u8);
                format!("{}.*{}", letter(0), letter(1))
            });
            format!("({})", parts.collect::<Vec<_>>().join("|"))
        }
        _ => format!("{one}{{{count}}}|{two}{{{count}}}{three}|{three}.{{0,{count}}}{one}"),
    };
    format!("{start}{body}{end}")
}

/// Random expressions, each with as many repetitions as are taken. Some end where the count does.
fn just_taken(name: &str, taken: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for number in 0.. {
        let of = |count| expression(&mut Rng::named(number, name), count);
        let fits = |count| of(count).len() <= VALUE && taken(&of(count));
        if !fits(1) {
            continue;
        }
        let (mut most, mut refused) = (1, 2048);
        while most + 1 < refused {
            let count = (most + refused) / 2;
            if fits(count) {
                most = count;
            } else {
                refused = count;
            }
        }
        found.push(of(most));
        if found.len() == EXPRESSIONS {
            return found;
        }
    }
    found
}

/// The least of some times: others use this machine, too.
fn least(mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..3).map(time).min().expect("three times")
}

/// The worst pair of subject and text of all these, by what it takes.
fn worst<S>(subjects: &[(String, S)], work: impl Fn(&S, &[u8])) -> (usize, Vec<u8>) {
    let texts = texts();
    let pairs = subjects.iter().enumerate().flat_map(|(at, (_, subject))| {
        let texts = texts.iter();
        texts.map(move |text| (at, text, subject))
    });
    let mut times: Vec<(Duration, usize, &Vec<u8>)> = pairs
        .map(|(at, text, subject)| (least(|| work(subject, text)), at, text))
        .collect();
    times.sort_by_key(|(time, ..)| core::cmp::Reverse(*time));
    for (time, at, text) in &times[..3] {
        println!(
            "  {time:>9.1?}  {}  on {}...",
            subjects[*at].0,
            String::from_utf8_lossy(&text[..20])
        );
    }
    // What was slow once, because others used the machine, may be quick.
    let again = times[..20]
        .iter()
        .map(|&(_, at, text)| (least(|| work(&subjects[at].1, text)), at, text));
    let (time, at, text) = again.max_by_key(|(time, ..)| *time).expect("there are some");
    println!(
        "  worst of {} expressions on {} texts: {time:.1?}",
        subjects.len(),
        texts.len()
    );
    assert!(time <= WORST, "{} takes {time:?}", subjects[at].0);
    (at, text.clone())
}

fn conditions(criterion: &mut Criterion) {
    let published = regexes(&["(.{0,90}){0,90}x".to_owned()]);
    println!(
        "(.{{0,90}}){{0,90}}x: {:?}",
        check(&rule(1, published.clone(), vec![])).map_err(|error| error.to_string())
    );
    let as_stored = listener([published]);
    criterion.bench_function("the published expression, as it was stored", |bencher| {
        let text = vec![b'a'; LONG];
        bencher.iter(|| black_box(as_stored.decide(&facts(black_box(&text)))).is_some());
    });
    let start = Instant::now();
    let taken = just_taken("conditions", |regex| {
        check(&rule(1, regexes(&[regex.to_owned()]), vec![])).is_ok()
    });
    println!("made in {:.1?}", start.elapsed());
    let compiled: Vec<(String, Rules<String>)> = taken
        .into_iter()
        .map(|regex| (regex.clone(), listener([regexes(&[regex])])))
        .collect();
    let spots = compiled
        .iter()
        .filter(|(regex, _)| {
            check(&rule(1, regexes(core::slice::from_ref(regex)), vec![])).is_ok_and(|spots| spots > 0)
        })
        .count();
    println!("conditions, {spots} of them by spots:");
    let (at, text) = worst(&compiled, |rules, text| {
        black_box(rules.decide(&facts(black_box(text))));
    });
    criterion.bench_function("the worst of 1,000 conditions", |bencher| {
        bencher.iter(|| black_box(compiled[at].1.decide(&facts(black_box(&text)))).is_some());
    });
    let making = compiled.iter().map(|(regex, _)| {
        (
            least(|| drop(check(&rule(1, regexes(core::slice::from_ref(regex)), vec![])))),
            regex,
        )
    });
    println!("the longest to make: {:.1?}", making.max());
}

fn transforms(criterion: &mut Criterion) {
    let of = |regex: &str| {
        let rewrite = Rewrite {
            regex: regex.to_owned(),
            replace: "/$1".to_owned(),
        };
        let rules = [rule(0, vec![], vec![Transform::Url(vec![rewrite])])];
        Rules::compile(&rules, str::to_owned)
    };
    let rewrites = |rules: &Rules<String>, text: &[u8]| {
        let won = rules.decide(&facts(b"/")).expect("the default rule");
        won.transforms.expect("it has some").url(text)
    };
    let too_big = rewrites(&of("(.{0,90}){0,90}x"), b"/");
    println!("(.{{0,90}}){{0,90}}x: {too_big:?}");
    let taken = just_taken("transforms", |regex| {
        rewrites(&of(regex), b"/") != Err(TransformError::CompileTooBig)
    });
    let compiled: Vec<(String, Rules<String>)> = taken
        .into_iter()
        .map(|regex| (regex.clone(), of(&regex)))
        .collect();
    println!("transforms:");
    let (at, text) = worst(&compiled, |rules, text| {
        black_box(rewrites(rules, black_box(text)).is_ok());
    });
    criterion.bench_function("the worst of 1,000 transforms", |bencher| {
        bencher.iter(|| black_box(rewrites(&compiled[at].1, black_box(&text))).is_ok());
    });
}

/// The values of a rule: of runs of a letter that end in another one, and of the rule's number.
type Shape = fn(&dyn Fn(usize, usize) -> String, usize) -> Vec<String>;

/// A hundred rules with five values and six wildcards each, of which none fits.
fn quotas(criterion: &mut Criterion) {
    let run = |number: usize, length: usize| {
        format!(
            "{}{}",
            "a".repeat(length),
            if number.is_multiple_of(2) { "b" } else { "c" }
        )
    };
    let shapes: [(&str, Shape); 5] = [
        ("three with two", |run, rule| {
            (0..3)
                .map(|at| format!("*{}*", run(at, 40 + (rule + at) % 80)))
                .collect()
        }),
        ("two with three", |run, rule| {
            (0..2)
                .map(|at| format!("*{}*{}*", run(at, 3 + rule % 50), run(at + 1, 50)))
                .collect()
        }),
        ("one with six", |run, rule| {
            vec![format!(
                "*{0}*{0}*{0}*{1}*{0}*z*",
                run(0, 2 + rule % 10),
                run(1, 5)
            )]
        }),
        ("question marks", |run, rule| {
            vec![
                format!("*{}?{}?{}?z*", run(0, 20), run(1, 10), rule),
                format!("*{}z", run(0, 100)),
            ]
        }),
        ("five with one", |run, rule| {
            (0..5)
                .map(|at| format!("/{}*{}z", run(at, 50), run(rule, 50)))
                .collect()
        }),
    ];
    for (name, shape) in shapes {
        let patterns: Vec<Vec<String>> = (0..100).map(|rule| shape(&run, rule)).collect();
        let wildcards = path(TextMatch::Wildcards(patterns[0].clone()));
        println!("{name}: such as {:?}", patterns[7]);
        check(&rule(1, wildcards, vec![])).expect("it is taken");
        let rules = listener(
            patterns
                .into_iter()
                .map(|values| path(TextMatch::Wildcards(values))),
        );
        let texts = texts();
        let slowest = texts
            .iter()
            .max_by_key(|text| least(|| assert!(rules.decide(&facts(black_box(text))).is_some())))
            .expect("texts");
        criterion.bench_function(&format!("100 rules at their quotas, {name}"), |bencher| {
            bencher.iter(|| black_box(rules.decide(&facts(black_box(slowest)))).is_some());
        });
    }
}

/// The published listener, and one of regular expressions.
fn listeners(criterion: &mut Criterion) {
    let sixty = listener((0..60).map(|_| path(TextMatch::Wildcards(vec!["*a*a*b".to_owned()]))));
    let runs = vec![b'a'; LONG];
    criterion.bench_function("60 rules with three wildcards", |bencher| {
        bencher.iter(|| black_box(sixty.decide(&facts(black_box(&runs)))).is_some());
    });
    let many = listener((0..100).map(|rule| {
        let values: Vec<String> = (0..5)
            .map(|at| format!("/[a-z]+/{rule}/[0-9]{{{},9}}.*(x|y{at})/z", at + 1))
            .collect();
        regexes(&values)
    }));
    let text = &texts()[5];
    criterion.bench_function("100 rules with five regular expressions", |bencher| {
        bencher.iter(|| black_box(many.decide(&facts(black_box(text)))).is_some());
    });
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
}

criterion_group!(name = benches; config = settings(); targets = quotas, listeners, conditions, transforms);
criterion_main!(benches);
