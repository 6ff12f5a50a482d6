//! Parses text into a tree.

/// Maximum length of an expression in characters. CloudWatch's is 2,048.
const LENGTH_LIMIT: usize = 4096;
/// Maximum number of numbers, names, operators and calls in an expression, which also bounds the depth of its
/// evaluation.
const SIZE_LIMIT: usize = 256;

/// Why an expression is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct MathError {
    /// Position of the character, counted from one.
    pub at: usize,
    /// What is wrong there.
    pub problem: String,
}

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(super) root: Node,
    ids: Vec<String>,
    calls: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it begins, counted from one.
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Number(f64),
    Text(String),
    /// The id of a query, which begins with a lower-case letter.
    Id(String),
    /// A keyword argument of a function, such as REPEAT.
    Word(String),
    Negate(Box<Node>),
    Binary(Sign, Box<Node>, Box<Node>),
    Array(Vec<Node>),
    Call(String, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Or,
    And,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Plus,
    Minus,
    Times,
    Over,
    Power,
}

impl Sign {
    /// The precedence: higher binds more tightly.
    const fn rank(self) -> u8 {
        match self {
            Sign::Or => 1,
            Sign::And => 2,
            Sign::Less
            | Sign::LessOrEqual
            | Sign::Greater
            | Sign::GreaterOrEqual
            | Sign::Equal
            | Sign::NotEqual => 3,
            Sign::Plus | Sign::Minus => 4,
            Sign::Times | Sign::Over => 5,
            Sign::Power => 7,
        }
    }
}

/// Precedence of a unary minus: below powers, above products.
const NEGATION: u8 = 6;

/// The operators; longer ones before their own prefixes.
const SIGNS: &[(&str, Sign)] = &[
    ("||", Sign::Or),
    ("&&", Sign::And),
    ("<=", Sign::LessOrEqual),
    (">=", Sign::GreaterOrEqual),
    ("==", Sign::Equal),
    ("!=", Sign::NotEqual),
    ("<", Sign::Less),
    (">", Sign::Greater),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
    ("*", Sign::Times),
    ("/", Sign::Over),
    ("^", Sign::Power),
];

impl Expression {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Expression, MathError> {
        if text.chars().count() > LENGTH_LIMIT {
            return Err(wrong(
                1,
                format!("an expression has {LENGTH_LIMIT} characters at most"),
            ));
        }
        let mut parser = Parser {
            text,
            place: 0,
            nodes: 0,
            ids: Vec::new(),
            calls: Vec::new(),
        };
        let root = parser.expression(0)?;
        parser.skip();
        match parser.rest().chars().next() {
            None => Ok(Expression {
                root,
                ids: parser.ids,
                calls: parser.calls,
            }),
            Some(letter) => Err(parser.here(format!("'{letter}' is not expected"))),
        }
    }

    /// The ids that it refers to.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// Whether it calls this function anywhere.
    pub fn calls(&self, function: &str) -> bool {
        self.calls.iter().any(|name| name == function)
    }
}

pub(super) fn wrong(at: usize, problem: impl Into<String>) -> MathError {
    MathError {
        at,
        problem: problem.into(),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The byte at which the rest begins.
    place: usize,
    nodes: usize,
    ids: Vec<String>,
    calls: Vec<String>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.place..).unwrap_or_default()
    }

    fn skip(&mut self) {
        self.place = self.text.len() - self.rest().trim_start().len();
    }

    fn at(&self) -> usize {
        let before = self.text.get(..self.place).unwrap_or_default();
        before.chars().count() + 1
    }

    fn here(&self, problem: impl Into<String>) -> MathError {
        wrong(self.at(), problem)
    }

    fn node(&mut self, at: usize, kind: Kind) -> Result<Node, MathError> {
        self.nodes += 1;
        if self.nodes > SIZE_LIMIT {
            return Err(wrong(at, format!("an expression has {SIZE_LIMIT} parts at most")));
        }
        Ok(Node { at, kind })
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip();
        let there = self.rest().starts_with(sign);
        if there {
            self.place += sign.len();
        }
        there
    }

    fn sign(&self) -> Option<(usize, Sign)> {
        let rest = self.rest();
        let word = |word: &str| {
            let behind = rest.strip_prefix(word)?;
            let ends = !behind.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
            ends.then_some(word.len())
        };
        if let Some(length) = word("AND") {
            return Some((length, Sign::And));
        }
        if let Some(length) = word("OR") {
            return Some((length, Sign::Or));
        }
        let mut signs = SIGNS.iter();
        let (text, sign) = signs.find(|(text, _)| rest.starts_with(text))?;
        Some((text.len(), *sign))
    }

    /// Parses an expression whose operators bind more tightly than `rank`.
    fn expression(&mut self, rank: u8) -> Result<Node, MathError> {
        // Each level of nesting is counted, which bounds the stack.
        self.nodes += 1;
        if self.nodes > SIZE_LIMIT {
            return Err(self.here(format!("an expression has {SIZE_LIMIT} parts at most")));
        }
        self.skip();
        let at = self.at();
        let mut left = if self.take("-") {
            let below = Box::new(self.expression(NEGATION)?);
            self.node(at, Kind::Negate(below))?
        } else {
            self.operand()?
        };
        loop {
            self.skip();
            let Some((length, sign)) = self.sign().filter(|(_, sign)| sign.rank() > rank) else {
                return Ok(left);
            };
            let at = self.at();
            self.place += length;
            let right = self.expression(sign.rank())?;
            left = self.node(at, Kind::Binary(sign, Box::new(left), Box::new(right)))?;
        }
    }

    fn operand(&mut self) -> Result<Node, MathError> {
        self.skip();
        let at = self.at();
        let Some(first) = self.rest().chars().next() else {
            return Err(self.here("something is missing at the end"));
        };
        match first {
            '(' => {
                self.place += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            '[' => {
                self.place += 1;
                let items = self.list("]")?;
                self.node(at, Kind::Array(items))
            }
            '\'' | '"' => self.quoted(first, at),
            '0'..='9' | '.' => self.number(at),
            'a'..='z' | 'A'..='Z' => self.name(at),
            other => Err(self.here(format!("'{other}' is not expected"))),
        }
    }

    fn expect(&mut self, sign: &str) -> Result<(), MathError> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.here(format!("'{sign}' is missing")))
    }

    /// Items between commas, up to and including the closing sign.
    fn list(&mut self, end: &str) -> Result<Vec<Node>, MathError> {
        let mut items = Vec::new();
        if self.take(end) {
            return Ok(items);
        }
        loop {
            items.push(self.expression(0)?);
            if self.take(end) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn quoted(&mut self, quote: char, at: usize) -> Result<Node, MathError> {
        let inside = &self.rest()[1..];
        let Some(length) = inside.find(quote) else {
            return Err(wrong(at, "the text has no end"));
        };
        self.place += length + 2;
        self.node(at, Kind::Text(inside[..length].to_owned()))
    }

    fn number(&mut self, at: usize) -> Result<Node, MathError> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(rest);
        if rest[length..].starts_with('.') {
            length += 1 + digits(&rest[length + 1..]);
        }
        if let Some(power) = rest[length..].strip_prefix(['e', 'E']) {
            let signed = usize::from(power.starts_with(['-', '+']));
            let count = digits(&power[signed..]);
            if count > 0 {
                length += 1 + signed + count;
            }
        }
        let found = rest[..length]
            .parse::<f64>()
            .ok()
            .filter(|found| found.is_finite());
        let number = found.ok_or_else(|| wrong(at, format!("'{}' is not a number", &rest[..length])))?;
        self.place += length;
        self.node(at, Kind::Number(number))
    }

    fn name(&mut self, at: usize) -> Result<Node, MathError> {
        let rest = self.rest();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.place += length;
        if self.take("(") {
            let (name, arguments) = (name.to_ascii_uppercase(), self.list(")")?);
            self.calls.push(name.clone());
            return self.node(at, Kind::Call(name, arguments));
        }
        if name.starts_with(|first: char| first.is_ascii_lowercase()) {
            self.ids.push(name.clone());
            return self.node(at, Kind::Id(name));
        }
        self.node(at, Kind::Word(name))
    }
}
