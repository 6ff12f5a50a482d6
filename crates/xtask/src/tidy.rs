//! Tidiness rules that a program can check: lengths, dead files, broken links, banned words.

use anyhow::bail;
use regex::Regex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most lines of a file without its tests.
const FILE_LINES: usize = 500;

struct Tidy {
    root: PathBuf,
    /// Files that may be longer, each with the reason.
    longer: BTreeMap<String, String>,
    used: Vec<String>,
    faults: Vec<String>,
}

pub(crate) fn check() -> anyhow::Result<()> {
    let root = crate::root::root()?;
    let longer = exceptions(&std::fs::read_to_string(root.join("layers/longer.txt"))?);
    let mut tidy = Tidy {
        root,
        longer,
        used: Vec::new(),
        faults: Vec::new(),
    };
    let files = tidy.tracked()?;
    for path in &files {
        let Ok(text) = std::fs::read_to_string(tidy.root.join(path)) else {
            continue;
        };
        tidy.words(path, &text);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => tidy.rust(path, &text),
            Some("md") => tidy.links(path, &text),
            _ => {}
        }
    }
    tidy.dead_files(&files);
    for name in tidy.longer.keys().filter(|name| !tidy.used.contains(name)) {
        tidy.faults.push(format!(
            "layers/longer.txt: {name} is no longer too long: delete the line"
        ));
    }
    if !tidy.faults.is_empty() {
        bail!("tidy:\n  {}", tidy.faults.join("\n  "));
    }
    eprintln!(
        "tidy: {} files; longer than usual, with a reason: {}",
        files.len(),
        tidy.longer.len()
    );
    for (name, reason) in &tidy.longer {
        eprintln!("  {name}: {reason}");
    }
    Ok(())
}

fn exceptions(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}

/// Number of lines before a file's test module.
fn without_tests(text: &str) -> usize {
    text.lines()
        .position(|line| line == "#[cfg(test)]")
        .unwrap_or_else(|| text.lines().count())
}

fn begins_an_example(line: &str) -> bool {
    let line = line.trim_start();
    let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
    comment.is_some_and(|comment| comment.trim_start().starts_with("```"))
}

impl Tidy {
    /// The files that git tracks or would track. In a copy without a repository: all but what is
    /// built, and what tools keep in hidden folders.
    fn tracked(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut git = std::process::Command::new("git");
        git.args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root);
        let listed = crate::run::output(&mut git)?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut files: Vec<PathBuf> = listed.lines().map(PathBuf::from).collect();
        if files.is_empty() {
            self.below(Path::new(""), &mut files)?;
        }
        files.retain(|path| self.root.join(path).is_file());
        if files.is_empty() {
            bail!("tidy: no file was found to look at");
        }
        Ok(files)
    }

    fn below(&self, folder: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let skipped =
                name == "target" || name == "__pycache__" || name.as_encoded_bytes().starts_with(b".");
            if !entry.file_type()?.is_dir() {
                into.push(folder.join(name));
            } else if !skipped {
                self.below(&folder.join(name), into)?;
            }
        }
        Ok(())
    }

    /// Checks for words that must not be committed.
    fn words(&mut self, path: &Path, text: &str) {
        if path
            .extension()
            .is_some_and(|extension| extension == "lock" || extension == "json")
        {
            return;
        }
        // Split, so that this file does not break its own rule.
        let banned = [
            (concat!("/ro", "ot/"), "a path of one machine"),
            (concat!("/ho", "me/"), "a path of one machine"),
            (concat!("FIX", "ME"), "a reminder: do it or open an issue"),
            (concat!("XX", "X:"), "a reminder: do it or open an issue"),
        ];
        for (number, line) in (1..).zip(text.lines()) {
            for (word, why) in banned {
                if line.contains(word) {
                    self.faults
                        .push(format!("{}:{number}: holds '{word}': {why}", path.display()));
                }
            }
        }
    }

    fn rust(&mut self, path: &Path, text: &str) {
        let name = path.display().to_string();
        let source =
            !name.contains("/tests/") && !name.ends_with("/tests.rs") && !name.ends_with("_tests.rs");
        for word in [
            concat!("tod", "o!("),
            concat!("unimpl", "emented!("),
            concat!("#[ign", "ore"),
        ] {
            if text.contains(word) {
                self.faults
                    .push(format!("{name}: holds {word}..: no stubs, no silenced tests"));
            }
        }
        if text.lines().any(begins_an_example) {
            self.faults.push(format!(
                "{name}: has an example in a doc comment, and nothing runs those: make it a unit test"
            ));
        }
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        if ["util", "utils", "helper", "helpers", "manager", "misc", "common"].contains(&stem) {
            self.faults
                .push(format!("{name}: name it by what it is, not '{stem}'"));
        }
        if name.ends_with("src/lib.rs") && !text.lines().take(2).all(|line| line.starts_with("//! ")) {
            self.faults.push(format!(
                "{name}: the first line says what the crate does, the second what it never does"
            ));
        }
        if source {
            let lines = without_tests(text);
            if lines > FILE_LINES {
                self.too_long(name.clone(), lines, FILE_LINES);
            }
        }
    }

    fn too_long(&mut self, name: String, lines: usize, limit: usize) {
        if self.longer.contains_key(&name) {
            self.used.push(name);
        } else {
            self.faults.push(format!(
                "{name}: {lines} lines, usual are {limit}: split it, or say why not in layers/longer.txt"
            ));
        }
    }

    /// Checks links to files.
    fn links(&mut self, path: &Path, text: &str) {
        let Ok(link) = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)") else {
            return;
        };
        let base = path.parent().unwrap_or(Path::new(""));
        for found in link.captures_iter(text) {
            let to = &found[1];
            if !to.contains("://") && !to.starts_with("mailto:") && !self.root.join(base).join(to).exists() {
                self.faults
                    .push(format!("{}: link to {to}, which is not there", path.display()));
            }
        }
    }

    /// Finds source files that no `mod` names.
    fn dead_files(&mut self, files: &[PathBuf]) {
        for path in files
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        {
            let name = path.display().to_string();
            let Some((_, inside)) = name.split_once("/src/") else {
                continue;
            };
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            if ["lib", "main"].contains(&stem) || inside.starts_with("bin/") {
                continue;
            }
            let own = if stem == "mod" {
                path.parent()
            } else {
                Some(path.as_path())
            };
            let Some(own) = own else { continue };
            let word = own.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let dir = own.parent().unwrap_or(Path::new(""));
            let mut parents = vec![
                dir.join("lib.rs"),
                dir.join("main.rs"),
                dir.join("mod.rs"),
                dir.with_extension("rs"),
            ];
            // `#[path = "x_tests.rs"] mod tests;` is in the file beside them.
            parents.extend(files.iter().filter(|file| file.parent() == Some(dir)).cloned());
            let declared = parents.iter().filter(|parent| *parent != path).any(|parent| {
                std::fs::read_to_string(self.root.join(parent)).is_ok_and(|text| {
                    text.contains(&format!("mod {word};"))
                        || text.contains(&format!("#[path = \"{stem}.rs\"]"))
                })
            });
            if !declared {
                self.faults.push(format!("{name}: no `mod {word};` names it"));
            }
        }
    }
}
