//! Finds circles of files inside a crate: reading one file must not require reading those that depend on it.
//!
//! A file imports another if its code, tests aside, names something that is defined there: in a `use`, in a path, or in the
//! input of a macro. A name that a module re-exports (`pub use`) counts as its origin's. What only the compiler knows
//! (methods, fields, traits in scope) is not seen; code that calls a method mostly names the type somewhere.

use anyhow::{Context as _, bail};
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::Visit;
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, UseTree};

/// Segments of a path from the crate's root.
type Names = Vec<String>;

/// The content of a module.
#[derive(Default)]
struct Module {
    file: usize,
    /// The names that its `use` lines bring in, each with the path as it is written.
    brings: BTreeMap<String, Names>,
    /// The names in its code.
    names: BTreeSet<Names>,
    /// Modules from which it imports everything.
    globs: Vec<Names>,
}

/// A crate as read from its files.
struct Crate {
    root: PathBuf,
    files: Vec<PathBuf>,
    modules: BTreeMap<Names, Module>,
}

/// Fails if there are circles, and prints all of them.
pub(crate) fn check() -> anyhow::Result<()> {
    let root = crate::root::root()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let source = entry?.path().join("src");
        for start in ["lib.rs", "main.rs"].map(|name| source.join(name)) {
            if start.is_file() {
                found.extend(circles(&start)?.into_iter().map(|circle| (start.clone(), circle)));
            }
        }
    }
    if found.is_empty() {
        eprintln!("circles: no files of a crate lead to each other in a ring");
        return Ok(());
    }
    for (start, circle) in &found {
        let source = start.parent().unwrap_or(start);
        let place = source.strip_prefix(&root).unwrap_or(source);
        eprintln!("{}: {} files in a circle:", place.display(), circle.files.len());
        for (from, to, name) in &circle.arrows {
            eprintln!("    {} -> {} by {name}", from.display(), to.display());
        }
    }
    bail!(
        "{} circles of files: move what both need to a file of its own, which imports neither",
        found.len()
    )
}

/// Files that all lead to each other, and by which names.
struct Circle {
    files: Vec<PathBuf>,
    arrows: Vec<(PathBuf, PathBuf, String)>,
}

/// The circles of the crate whose root is this file.
fn circles(start: &Path) -> anyhow::Result<Vec<Circle>> {
    let mut found = Crate {
        root: start.parent().context("a file is in a folder")?.to_owned(),
        files: Vec::new(),
        modules: BTreeMap::new(),
    };
    found.read(start, Vec::new())?;
    let arrows = found.arrows();
    let graph: DiGraphMap<usize, ()> = arrows.keys().map(|&(from, to)| (from, to, ())).collect();
    let name = |file: usize| {
        let path = &found.files[file];
        path.strip_prefix(&found.root).unwrap_or(path).to_owned()
    };
    let rings = tarjan_scc(&graph).into_iter().filter(|ring| ring.len() > 1);
    Ok(rings
        .map(|ring| Circle {
            files: ring.iter().map(|&file| name(file)).collect(),
            arrows: arrows
                .iter()
                .filter(|((from, to), _)| ring.contains(from) && ring.contains(to))
                .map(|(&(from, to), by)| (name(from), name(to), by.clone()))
                .collect(),
        })
        .collect())
}

impl Crate {
    /// Reads a file and those of its modules.
    fn read(&mut self, path: &Path, names: Names) -> anyhow::Result<()> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        let file = self.files.len();
        self.files.push(path.to_owned());
        self.take(file, &names, &parsed.items)
    }

    /// Adds a module's items.
    fn take(&mut self, file: usize, names: &Names, items: &[Item]) -> anyhow::Result<()> {
        let mut module = Module {
            file,
            ..Module::default()
        };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Use(import) => module.import(import),
                Item::Mod(inner) => self.descend(file, names, inner)?,
                other => module.visit_item(other),
            }
        }
        self.modules.insert(names.clone(), module);
        Ok(())
    }

    fn descend(&mut self, file: usize, names: &Names, inner: &ItemMod) -> anyhow::Result<()> {
        let mut below = names.clone();
        below.push(inner.ident.to_string());
        if let Some((_, items)) = &inner.content {
            return self.take(file, &below, items);
        }
        // A file that is included from elsewhere is not a file of this crate.
        if inner
            .attrs
            .iter()
            .any(|attribute| attribute.path().is_ident("path"))
        {
            return Ok(());
        }
        let base = below.iter().fold(self.root.clone(), |path, name| path.join(name));
        let flat = base.with_extension("rs");
        let path = if flat.is_file() { flat } else { base.join("mod.rs") };
        self.read(&path, below)
    }

    /// Which file names something of which other, and the name.
    fn arrows(&self) -> BTreeMap<(usize, usize), String> {
        let mut arrows = BTreeMap::new();
        for (at, module) in &self.modules {
            let written = module.names.iter().chain(module.brings.values());
            for path in written {
                let to = self.file_of(at, path, 0);
                if let Some(to) = to.filter(|&to| to != module.file) {
                    arrows.entry((module.file, to)).or_insert_with(|| path.join("::"));
                }
            }
            for glob in &module.globs {
                let to = self.absolute(at, glob).and_then(|path| self.modules.get(&path));
                if let Some(to) = to.filter(|to| to.file != module.file) {
                    arrows.insert((module.file, to.file), format!("{}::*", glob.join("::")));
                }
            }
        }
        arrows
    }

    /// The file that defines what code in module `at` calls `path`; none if that is not part of this crate, or is a module.
    fn file_of(&self, at: &Names, path: &Names, depth: usize) -> Option<usize> {
        // A ring of re-exports does not compile, so this only ends the search.
        if depth > 16 {
            return None;
        }
        let path = self.absolute(at, path)?;
        let mut here: Names = Vec::new();
        for (index, name) in path.iter().enumerate() {
            here.push(name.clone());
            if self.modules.contains_key(&here) {
                continue;
            }
            here.pop();
            let module = self.modules.get(&here)?;
            if let Some(brought) = module.brings.get(name) {
                let mut whole = brought.clone();
                whole.extend_from_slice(&path[index + 1..]);
                return self.file_of(&here, &whole, depth + 1);
            }
            return Some(module.file);
        }
        None
    }

    /// The same path from the crate's root.
    fn absolute(&self, at: &Names, path: &Names) -> Option<Names> {
        let mut base = at.clone();
        let mut rest = path.as_slice();
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                let module = self.modules.get(at)?;
                let mut child = at.clone();
                child.push(first.to_owned());
                if !self.modules.contains_key(&child) && !module.brings.contains_key(first) {
                    return None;
                }
                // `use bytes::Bytes` brings in a name of another crate.
                if let Some(brought) = module.brings.get(first)
                    && brought.first().map(String::as_str) == Some(first)
                {
                    return None;
                }
            }
        }
        while rest.first().is_some_and(|name| name == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }
}

impl Module {
    fn import(&mut self, import: &ItemUse) {
        // A leading `::` always names another crate.
        if import.leading_colon.is_some() {
            return;
        }
        self.bring(Vec::new(), &import.tree);
    }

    fn bring(&mut self, mut path: Names, tree: &UseTree) {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.bring(path, &step.tree);
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                // `use a::{self}` brings in `a`.
                if name != "self" {
                    path.push(name);
                }
                if let Some(last) = path.last().cloned() {
                    self.brings.insert(last, path);
                }
            }
            UseTree::Rename(renamed) => {
                if renamed.ident != "self" {
                    path.push(renamed.ident.to_string());
                }
                let name = match renamed.rename.to_string().as_str() {
                    // The import has no name, but its path counts.
                    "_" => path.join(" "),
                    name => name.to_owned(),
                };
                self.brings.insert(name, path);
            }
            UseTree::Glob(_) => self.globs.push(path),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.bring(path.clone(), item)),
        }
    }

    /// Adds the paths in unparsed tokens.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Names = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note(&mut path);
                    colons = 0;
                    self.scan(group.stream());
                }
                _ => {
                    self.note(&mut path);
                    colons = 0;
                }
            }
        }
        self.note(&mut path);
    }

    fn note(&mut self, path: &mut Names) {
        let path = std::mem::take(path);
        if !path.is_empty() {
            self.names.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            // A `use` inside a function counts as the module's; the two seldom contradict each other.
            Item::Use(import) => self.import(import),
            other => syn::visit::visit_item(self, other),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_some() {
            return syn::visit::visit_path(self, path);
        }
        self.names.insert(
            path.segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect(),
        );
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.visit_path(&mac.path);
        self.scan(mac.tokens.clone());
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            syn::visit::visit_impl_item_fn(self, function);
        }
    }
}

/// Whether an item with these attributes exists only for tests.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let says_test = |list: &syn::MetaList| {
            let mut words = list.tokens.clone().into_iter();
            words.any(|token| match token {
                TokenTree::Ident(word) => word == "test",
                TokenTree::Group(group) => group.stream().to_string().contains("test"),
                _ => false,
            })
        };
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(says_test)
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = place.path().join("lib.rs");
        (place, root)
    }

    fn rings(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let (_place, root) = crate_of(files);
        let found = circles(&root).unwrap();
        let sorted = |circle: &Circle| {
            let mut files: Vec<String> = circle
                .files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            files.sort();
            files
        };
        found.iter().map(sorted).collect()
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        for b in [
            "use crate::a::A; pub struct B(A);",
            "use super::a; pub fn b() -> a::A { a::A }",
            "pub struct B(crate::a::A);",
            "use crate::A; pub struct B(A);",
            "pub fn b() { println!(\"{}\", crate::a::A) }",
            "use crate::a::*; pub struct B(A);",
            "pub fn b() { use crate::a::A; }",
        ] {
            let found = rings(&[
                ("lib.rs", "mod a; mod b; pub use a::A;"),
                ("a.rs", "use crate::b::B; pub struct A; impl A { fn b(_: B) {} }"),
                ("b.rs", b),
            ]);
            assert_eq!(found, [["a.rs", "b.rs"]], "{b}");
        }
    }

    #[test]
    fn what_is_no_circle_is_none() {
        let found = rings(&[
            ("lib.rs", "mod a; mod b; pub use a::A; #[cfg(test)] mod tests;"),
            // The root re-exports a name, and `b` uses it: that leads to `a`, not to the root.
            (
                "b.rs",
                "use crate::A; pub struct B(A); mod inner; #[cfg(test)] mod tests { use crate::b::inner::I; }",
            ),
            (
                "b/inner.rs",
                "use bytes::Bytes; pub struct I(Bytes); impl I { fn a() -> super::super::a::A { todo() } }",
            ),
            (
                "a.rs",
                "use std::fmt; use ::b::C; pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
        ]);
        assert_eq!(found, Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_parent_that_drives_its_children_must_not_be_named_by_them() {
        let found = rings(&[
            ("lib.rs", "mod a;"),
            (
                "a.rs",
                "mod b; pub struct Context; pub fn run(context: Context) { b::run(context) }",
            ),
            ("a/b.rs", "use super::Context; pub fn run(_: Context) {}"),
        ]);
        assert_eq!(found, [["a.rs", "a/b.rs"]]);
    }
}
