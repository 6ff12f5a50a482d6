//! The findings of a check.

/// What a finding means for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It would start, but something would not be as it should.
    Warning,
    /// It would not start.
    Error,
}

impl Level {
    /// The level's name.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its level.
    pub level: Level,
    /// Its subject.
    pub about: &'static str,
    /// What was found, and what to do about it.
    pub text: String,
}

/// All findings.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which a start would meet them.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst level of all findings.
    pub fn worst(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    pub(super) fn ok(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Level::Ok, about, text.into());
    }

    pub(super) fn warning(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Level::Warning, about, text.into());
    }

    pub(super) fn error(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Level::Error, about, text.into());
    }

    fn add(&mut self, level: Level, about: &'static str, text: String) {
        self.findings.push(Finding { level, about, text });
    }
}
