//! Rules of composite alarms, such as `ALARM("a") AND NOT (OK("b") OR INSUFFICIENT_DATA(c))`.

use crate::alarm::State;

/// Maximum number of alarms, operators and constants in a rule (AWS's quota).
const ELEMENT_LIMIT: usize = 500;
/// Maximum nesting of parentheses and NOTs.
const DEPTH_LIMIT: usize = 64;

/// Why a rule is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct RuleError {
    /// Position of the character, counted from one.
    pub at: usize,
    /// What is wrong there.
    pub problem: String,
}

/// When a composite alarm is in ALARM.
#[derive(Clone, Debug)]
pub struct Rule {
    /// An OR of ANDs; parentheses are nested rules.
    any: Vec<Vec<Condition>>,
}

#[derive(Clone, Debug)]
enum Condition {
    Always(bool),
    Is(State, String),
    Not(Box<Condition>),
    Inner(Rule),
}

impl Rule {
    /// Parses a rule.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        let mut parser = Parser {
            text,
            place: 0,
            elements: 0,
        };
        let rule = parser.rule(0)?;
        match parser.peek() {
            None => Ok(rule),
            Some(letter) => Err(parser.wrong(format!("'{letter}' is not expected"))),
        }
    }

    /// Whether it holds. Nothing holds of an alarm that does not exist.
    pub fn holds(&self, state: &dyn Fn(&str) -> Option<State>) -> bool {
        let mut any = self.any.iter();
        any.any(|all| all.iter().all(|condition| condition.holds(state)))
    }

    /// The names or ARNs of the alarms that it refers to, as written.
    pub fn alarms(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for condition in self.any.iter().flatten() {
            condition.alarms(&mut found);
        }
        found
    }
}

impl Condition {
    fn holds(&self, state: &dyn Fn(&str) -> Option<State>) -> bool {
        match self {
            Condition::Always(holds) => *holds,
            Condition::Is(wanted, name) => state(name) == Some(*wanted),
            Condition::Not(inner) => !inner.holds(state),
            Condition::Inner(rule) => rule.holds(state),
        }
    }

    fn alarms<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Condition::Always(_) => {}
            Condition::Is(_, name) => found.push(name),
            Condition::Not(inner) => inner.alarms(found),
            Condition::Inner(rule) => found.extend(rule.alarms()),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The byte at which the rest begins.
    place: usize,
    elements: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.place..).unwrap_or_default()
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        self.place = self.text.len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn wrong(&self, problem: impl Into<String>) -> RuleError {
        let before = self.text.get(..self.place).unwrap_or_default();
        RuleError {
            at: before.chars().count() + 1,
            problem: problem.into(),
        }
    }

    fn count(&mut self, depth: usize) -> Result<(), RuleError> {
        self.elements += 1;
        if self.elements > ELEMENT_LIMIT || depth > DEPTH_LIMIT {
            return Err(self.wrong("the rule is too large"));
        }
        Ok(())
    }

    /// Consumes a word if it comes next.
    fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let behind = self.rest().strip_prefix(word);
        let there = behind.is_some_and(|behind| !behind.starts_with(is_word));
        if there {
            self.place += word.len();
        }
        there
    }

    fn expect(&mut self, sign: char) -> Result<(), RuleError> {
        if self.peek() == Some(sign) {
            self.place += sign.len_utf8();
            return Ok(());
        }
        Err(self.wrong(format!("'{sign}' is missing")))
    }

    fn rule(&mut self, depth: usize) -> Result<Rule, RuleError> {
        let mut any = vec![vec![self.condition(depth)?]];
        loop {
            if self.take_word("AND") {
                let condition = self.condition(depth)?;
                if let Some(all) = any.last_mut() {
                    all.push(condition);
                }
            } else if self.take_word("OR") {
                any.push(vec![self.condition(depth)?]);
            } else {
                return Ok(Rule { any });
            }
        }
    }

    fn condition(&mut self, depth: usize) -> Result<Condition, RuleError> {
        self.count(depth)?;
        if self.take_word("NOT") {
            return Ok(Condition::Not(Box::new(self.condition(depth + 1)?)));
        }
        for (word, holds) in [("TRUE", true), ("FALSE", false)] {
            if self.take_word(word) {
                return Ok(Condition::Always(holds));
            }
        }
        if self.peek() == Some('(') {
            self.expect('(')?;
            let inner = self.rule(depth + 1)?;
            self.expect(')')?;
            return Ok(Condition::Inner(inner));
        }
        for state in State::ALL {
            if self.take_word(state.name()) {
                self.expect('(')?;
                let name = self.name()?;
                self.expect(')')?;
                return Ok(Condition::Is(state, name));
            }
        }
        Err(self.wrong("ALARM, OK, INSUFFICIENT_DATA, NOT, TRUE, FALSE or '(' is missing"))
    }

    fn name(&mut self) -> Result<String, RuleError> {
        let quote = self.peek().filter(|letter| matches!(letter, '"' | '\''));
        let Some(quote) = quote else {
            let rest = self.rest();
            let length = rest.find(|letter: char| letter.is_whitespace() || "(),\"'".contains(letter));
            let name = &rest[..length.unwrap_or(rest.len())];
            if name.is_empty() {
                return Err(self.wrong("an alarm's name is missing"));
            }
            self.place += name.len();
            return Ok(name.to_owned());
        };
        // In quotes, a backslash makes the next character literal.
        let (mut name, mut escaped) = (String::new(), false);
        for (place, letter) in self.rest().char_indices().skip(1) {
            match letter {
                '\\' if !escaped => escaped = true,
                _ if letter == quote && !escaped => {
                    self.place += place + 1;
                    return Ok(name);
                }
                _ => {
                    escaped = false;
                    name.push(letter);
                }
            }
        }
        Err(self.wrong("the name has no end"))
    }
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `a` is in ALARM, `b` is OK, `c` has INSUFFICIENT_DATA, and no other alarm exists.
    fn holds(text: &str) -> Result<bool, RuleError> {
        let state = |name: &str| match name {
            "a" => Some(State::Alarm),
            "b" => Some(State::Ok),
            "c" => Some(State::InsufficientData),
            _ => None,
        };
        Ok(Rule::parse(text)?.holds(&state))
    }

    #[test]
    fn rules_hold_or_not() {
        for (text, wanted) in [
            ("ALARM(a)", true),
            ("ALARM(\"a\")", true),
            (" ALARM ( 'a' ) ", true),
            ("OK(a)", false),
            ("INSUFFICIENT_DATA(c)", true),
            ("NOT ALARM(a)", false),
            ("ALARM(a) AND OK(b)", true),
            ("ALARM(b) AND OK(b) OR TRUE", true),
            ("FALSE AND (OK(b) OR TRUE)", false),
            ("TRUE OR FALSE AND FALSE", true),
            ("NOT (ALARM(b) OR FALSE) AND TRUE", true),
            ("ALARM(gone)", false),
            ("NOT ALARM(gone)", true),
        ] {
            assert_eq!(holds(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn alarms_are_named_as_they_stand_there() {
        let rule = Rule::parse(r#"ALARM("a \"b\"") OR NOT (OK(arn:aws:cloudwatch:r:1:alarm:x))"#).unwrap();
        assert_eq!(rule.alarms(), ["a \"b\"", "arn:aws:cloudwatch:r:1:alarm:x"]);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, at, problem) in [
            (
                "",
                1,
                "ALARM, OK, INSUFFICIENT_DATA, NOT, TRUE, FALSE or '(' is missing",
            ),
            ("ALARM a", 7, "'(' is missing"),
            ("ALARM(a", 8, "')' is missing"),
            ("ALARM()", 7, "an alarm's name is missing"),
            ("ALARM(\"a)", 7, "the name has no end"),
            ("ALARM(a) OK(b)", 10, "'O' is not expected"),
            (
                "TRUE AND",
                9,
                "ALARM, OK, INSUFFICIENT_DATA, NOT, TRUE, FALSE or '(' is missing",
            ),
        ] {
            let error = holds(text).unwrap_err();
            assert_eq!((error.at, &*error.problem), (at, problem), "{text}");
        }
        for text in ["(".repeat(5000), "NOT ".repeat(5000), "TRUE OR ".repeat(5000)] {
            assert_eq!(holds(&text).unwrap_err().problem, "the rule is too large");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = holds(&text);
        }

        #[test]
        fn anything_like_a_rule_is_read_or_refused(parts in prop::collection::vec(prop::sample::select(vec![
            "ALARM(", "OK(", "a", "\"", "'", "\\", ")", "(", "AND", "OR", "NOT", "TRUE", "FALSE", "é",
        ]), 0..30)) {
            let _ = holds(&parts.join(" "));
            let _ = holds(&parts.concat());
        }
    }
}
