//! Which values a setting accepts, and how they are read.

use core::time::Duration;
use forebay_model::Algorithm;

/// The values that a setting accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// `true` or `false`.
    Bool,
    /// Always `true`; it cannot be changed.
    AlwaysTrue,
    /// `on` or `off`.
    Switch,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// The name of an algorithm that AWS does not have.
    OwnAlgorithm,
    /// A whole number in this range.
    Range(u32, u32),
    /// `off`, or a whole number in this range.
    OffOr(u32, u32),
    /// `0`, or a whole number in this range.
    ZeroOr(u32, u32),
    /// A whole number of the named unit, in a range.
    Whole(&'static str, u32, u32),
    /// A number of the named unit, in a range.
    Number(&'static str, f64, f64),
    /// `auto`, or a whole number in this range.
    AutoOr(u32, u32),
    /// Text of up to this many characters.
    Text(usize),
    /// The name of a header, or the empty string.
    HeaderName,
    /// The value of a header, or the empty string: up to 1 KB of the characters that AWS allows.
    HeaderValue,
    /// Text in a form that the setter parses. The words describe the form in an error.
    Form(&'static str),
}

/// A value that its setting accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Given<'v> {
    Flag(bool),
    Whole(u32),
    Number(f64),
    Text(&'v str),
}

impl<'v> Given<'v> {
    /// The value of a `Bool` or a `Switch`.
    pub(crate) fn flag(self) -> Option<bool> {
        match self {
            Given::Flag(is_on) => Some(is_on),
            _ => None,
        }
    }

    /// A whole number. `off` is 0.
    pub(crate) fn whole<N: TryFrom<u32>>(self) -> Option<N> {
        match self {
            Given::Whole(number) => number.try_into().ok(),
            _ => None,
        }
    }

    /// A number.
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Given::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A number of seconds, as a duration.
    pub(crate) fn seconds(self) -> Option<Duration> {
        match self {
            Given::Whole(seconds) => Some(Duration::from_secs(seconds.into())),
            Given::Number(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            _ => None,
        }
    }

    /// A word or other text.
    pub(crate) fn text(self) -> Option<&'v str> {
        match self {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The names of the algorithms that AWS does not have.
fn own_algorithms() -> impl Iterator<Item = &'static str> {
    let own = Algorithm::ALL
        .into_iter()
        .filter(|algorithm| !algorithm.is_albs());
    own.map(Algorithm::word)
}

fn whole(value: &str, low: u32, high: u32) -> Option<Given<'static>> {
    let number = value.parse().ok()?;
    (low..=high).contains(&number).then_some(Given::Whole(number))
}

impl Values {
    /// Reads a value; `None` if the setting does not accept it. A `Form` is not parsed here: its setter does that.
    pub(crate) fn read(self, value: &str) -> Option<Given<'_>> {
        let text = |is_good: bool| is_good.then_some(Given::Text(value));
        match self {
            Values::Bool => value.parse().ok().map(Given::Flag),
            Values::AlwaysTrue => (value == "true").then_some(Given::Flag(true)),
            Values::Switch => match value {
                "on" => Some(Given::Flag(true)),
                "off" => Some(Given::Flag(false)),
                _ => None,
            },
            Values::OneOf(words) => text(words.contains(&value)),
            Values::OwnAlgorithm => text(own_algorithms().any(|word| word == value)),
            Values::OffOr(..) if value == "off" => Some(Given::Whole(0)),
            Values::ZeroOr(..) if value.parse() == Ok(0) => Some(Given::Whole(0)),
            Values::AutoOr(..) if value == "auto" => Some(Given::Text(value)),
            Values::Range(low, high)
            | Values::OffOr(low, high)
            | Values::ZeroOr(low, high)
            | Values::AutoOr(low, high)
            | Values::Whole(_, low, high) => whole(value, low, high),
            Values::Number(_, low, high) => {
                let number: f64 = value.parse().ok()?;
                (low..=high).contains(&number).then_some(Given::Number(number))
            }
            Values::Text(most) => text(value.chars().count() <= most),
            Values::HeaderName => {
                let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                text(value.len() <= 40 && value.bytes().all(token))
            }
            Values::HeaderValue => {
                let known = |byte: u8| {
                    byte.is_ascii_alphanumeric() || b"_ :;.,\\/'?!(){}[]@<>=-+*#&`|~^%\"$".contains(&byte)
                };
                text(value.len() <= 1024 && value.bytes().all(known))
            }
            Values::Form(_) => Some(Given::Text(value)),
        }
    }

    /// The accepted values, for the documentation.
    pub fn allowed(self) -> String {
        match self {
            Values::Bool => "true, false".to_owned(),
            Values::AlwaysTrue => "true (cannot be changed)".to_owned(),
            Values::Switch => "on, off".to_owned(),
            Values::OneOf(words) => words.join(", "),
            Values::OwnAlgorithm => own_algorithms().collect::<Vec<_>>().join(", "),
            Values::Range(low, high) => format!("{low} to {high}"),
            Values::OffOr(low, high) => format!("off, or {low} to {high}"),
            Values::ZeroOr(low, high) => format!("0, or {low} to {high}"),
            Values::AutoOr(low, high) => format!("auto, or {low} to {high}"),
            Values::Text(most) => format!("text of up to {most} characters"),
            Values::HeaderName => "a header name, or empty".to_owned(),
            Values::HeaderValue => "a header value of up to 1 KB, or empty".to_owned(),
            Values::Whole(..) | Values::Number(..) | Values::Form(_) => self.wanted(),
        }
    }

    /// What a tag's value must be. Completes the sentence "Tag 'x' value 'y' must be ...".
    pub(crate) fn wanted(self) -> String {
        let of = |unit: &str| match unit {
            "" => String::new(),
            unit => format!(" of {unit}"),
        };
        match self {
            Values::Switch => words(&["on", "off"]),
            Values::OneOf(choice) => words(choice),
            Values::OwnAlgorithm => format!("one of [{}]", own_algorithms().collect::<Vec<_>>().join(", ")),
            Values::Whole("", low, high) => format!("a whole number from {low} to {high}"),
            Values::Whole(unit, low, high) => format!("a number{} from {low} to {high}", of(unit)),
            Values::Number(unit, low, high) => format!("a number{} from {low} to {high}", of(unit)),
            Values::AutoOr(low, high) => format!("a number from {low} to {high}, or 'auto'"),
            Values::Form(words) => words.to_owned(),
            others => others.allowed(),
        }
    }
}

/// Words as a list for people, such as `'on', 'off' or 'dry-run'`.
fn words(choice: &[&str]) -> String {
    let quoted: Vec<String> = choice.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        for (values, value, expected) in [
            (Values::Bool, "true", Some(Given::Flag(true))),
            (Values::Bool, "on", None),
            (Values::Switch, "off", Some(Given::Flag(false))),
            (Values::Switch, "true", None),
            (Values::OffOr(1, 100), "off", Some(Given::Whole(0))),
            (Values::OffOr(1, 100), "0", None),
            (Values::ZeroOr(30, 900), "0", Some(Given::Whole(0))),
            (Values::ZeroOr(30, 900), "29", None),
            (Values::AutoOr(1, 1000), "auto", Some(Given::Text("auto"))),
            (Values::AutoOr(1, 1000), "1000", Some(Given::Whole(1000))),
            (Values::Number("", 0.5, 2.0), "0.5", Some(Given::Number(0.5))),
            (Values::Number("", 0.5, 2.0), "NaN", None),
            (Values::Whole("seconds", 1, 4000), "5s", None),
            (Values::Text(3), "four", None),
            (Values::HeaderName, "", Some(Given::Text(""))),
            (Values::HeaderName, "a b", None),
            (Values::HeaderValue, "a\nb", None),
            (Values::OwnAlgorithm, "prequal", Some(Given::Text("prequal"))),
            (Values::OwnAlgorithm, "round_robin", None),
        ] {
            assert_eq!(values.read(value), expected, "{values:?} {value}");
        }
    }

    #[test]
    fn what_is_wanted_is_a_clause() {
        for (values, expected) in [
            (Values::Switch, "'on' or 'off'"),
            (
                Values::OneOf(&["on", "off", "dry-run"]),
                "'on', 'off' or 'dry-run'",
            ),
            (
                Values::Whole("seconds", 1, 4000),
                "a number of seconds from 1 to 4000",
            ),
            (Values::Whole("", 1, 1000), "a whole number from 1 to 1000"),
            (
                Values::Number("seconds", 0.001, 3600.0),
                "a number of seconds from 0.001 to 3600",
            ),
            (Values::AutoOr(1, 1000), "a number from 1 to 1000, or 'auto'"),
        ] {
            assert_eq!(values.wanted(), expected);
        }
    }
}
