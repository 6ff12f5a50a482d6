//! Finds names that were retired: an engineer who knows nginx, Envoy or AWS must not have to learn ours.

use anyhow::{Context as _, bail};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::Path;

/// A retired name.
struct Retired {
    word: String,
    /// The crate in which it is retired; none for all crates.
    scope: Option<String>,
    instead: String,
}

/// Parses `word: instead` and `word in CRATE: instead`.
fn list(text: &str) -> anyhow::Result<Vec<Retired>> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, instead) = line
                .split_once(": ")
                .with_context(|| format!("layers/retired.txt: no `: ` in '{line}'"))?;
            let (word, scope) = match name.split_once(" in ") {
                Some((word, scope)) => (word, Some(scope.to_owned())),
                None => (name, None),
            };
            Ok(Retired {
                word: word.to_owned(),
                scope,
                instead: instead.to_owned(),
            })
        })
        .collect()
}

/// Fails if retired names are in use, and lists all of them.
pub(crate) fn check() -> anyhow::Result<()> {
    let root = crate::root::root()?;
    let retired = list(&std::fs::read_to_string(root.join("layers/retired.txt"))?)?;
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        faults.extend(faults_of(&path, name, &retired)?);
    }
    if !faults.is_empty() {
        bail!("retired names:\n  {}", faults.join("\n  "));
    }
    eprintln!("retired names: none of {} is in use", retired.len());
    Ok(())
}

/// The faults of the crate `name` in this directory.
fn faults_of(dir: &Path, name: &str, retired: &[Retired]) -> anyhow::Result<Vec<String>> {
    let retired: Vec<&Retired> = retired
        .iter()
        .filter(|retired| retired.scope.as_deref().is_none_or(|scope| scope == name))
        .collect();
    let mut sources = Vec::new();
    crate::root::rust_files(dir, &mut sources)?;
    let mut faults = Vec::new();
    for source in sources {
        let text = std::fs::read_to_string(&source)?;
        let tokens: TokenStream = text
            .parse()
            .map_err(|error| anyhow::anyhow!("{}: {error}", source.display()))?;
        let mut identifiers = BTreeSet::new();
        collect(tokens, &mut identifiers);
        for identifier in &identifiers {
            for retired in retired.iter().filter(|retired| retired.is_in(identifier)) {
                let shown = source.strip_prefix(dir).unwrap_or(&source).display();
                faults.push(format!(
                    "{name}/{shown}: `{identifier}`: not {}, but {}",
                    retired.word, retired.instead
                ));
            }
        }
    }
    Ok(faults)
}

impl Retired {
    fn is_in(&self, identifier: &str) -> bool {
        if self.word.starts_with(char::is_uppercase) {
            return identifier == self.word;
        }
        words(identifier).any(|word| word == self.word || word.strip_suffix('s') == Some(&self.word))
    }
}

/// The words of an identifier in lower case: `take_desk`, `DeskList` and `DESK_LIST` have two each.
fn words(identifier: &str) -> impl Iterator<Item = String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut before = '_';
    for letter in identifier.chars() {
        let begins = letter == '_' || (letter.is_uppercase() && before.is_lowercase());
        if begins {
            parts.push(String::new());
        }
        if letter != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(letter.to_lowercase());
        }
        before = letter;
    }
    parts.into_iter()
}

/// Collects all identifiers of code. Comments and strings are not identifiers.
fn collect(tokens: TokenStream, into: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect(group.stream(), into),
            TokenTree::Ident(identifier) => {
                into.insert(identifier.to_string());
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(crate_name: &str, text: &str) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("src")).unwrap();
        std::fs::write(place.path().join("src/lib.rs"), text).unwrap();
        let retired = list("# what\ndesk: request buffers\nLine in node: SlotClaim\n").unwrap();
        faults_of(place.path(), crate_name, &retired).unwrap()
    }

    #[test]
    fn a_retired_name_is_refused_wherever_code_has_it() {
        for code in [
            "struct Desk;",
            "fn take_desk() {}",
            "const DESKS: u8 = 1;",
            "struct FreeDesks;",
            "fn a() { let desk = 1; }",
            "fn a() { println!(\"{}\", desk) }",
        ] {
            assert_eq!(refused("proxy", code).len(), 1, "{code}");
        }
        assert_eq!(
            refused("node", "struct Line;"),
            ["node/src/lib.rs: `Line`: not Line, but SlotClaim"]
        );
    }

    #[test]
    fn what_is_not_retired_passes() {
        for code in [
            "// A desk.\nstruct Buffers;",
            "const A: &str = \"desk\";",
            "struct Desktop;",
            "fn helpdesk() {}",
        ] {
            assert_eq!(refused("proxy", code), Vec::<String>::new(), "{code}");
        }
        // Retired in one crate only, and as that identifier alone.
        assert_eq!(refused("telemetry", "struct Line;"), Vec::<String>::new());
        assert_eq!(refused("node", "struct LineBuffer;"), Vec::<String>::new());
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error() {
        assert!(list("desk").is_err());
    }
}
