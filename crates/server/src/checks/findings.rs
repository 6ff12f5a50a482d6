//! What was found.

/// What a finding means for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It would start, and something would not be as it should.
    Warning,
    /// It would not start.
    Error,
}

impl Level {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub level: Level,
    /// What it is about.
    pub about: &'static str,
    /// What was found, and what to do about it.
    pub text: String,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which a start would meet it.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst of all.
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
