//! Why a rule cannot be compiled.

/// A regular expression of a rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The expression.
    pub regex: String,
    /// The reason.
    pub flaw: Flaw,
}

/// Why a regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is malformed, or uses unsupported syntax.
    Syntax(String),
    /// Some text would take too long.
    TooBig,
}

impl CompileError {
    pub(crate) fn syntax(regex: &str, error: String) -> CompileError {
        let flaw = Flaw::Syntax(error);
        CompileError {
            regex: regex.to_owned(),
            flaw,
        }
    }

    pub(crate) fn too_big(regex: &str) -> CompileError {
        CompileError {
            regex: regex.to_owned(),
            flaw: Flaw::TooBig,
        }
    }
}

impl core::fmt::Display for CompileError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.flaw {
            Flaw::Syntax(error) => write!(
                f,
                "the regular expression '{}' cannot be used: {error}",
                self.regex
            ),
            Flaw::TooBig => write!(
                f,
                "the condition value '{}' is too complex: use fewer or smaller counted repetitions",
                self.regex
            ),
        }
    }
}

impl core::error::Error for CompileError {}
