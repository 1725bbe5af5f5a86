//! Half of what others can name has an example that runs, on itself or on the type or trait that it belongs to.
//! That every item is documented at all is for a lint to say (`missing_docs`).
//!
//! Read line by line, which is enough for source that rustfmt has formatted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A public item, or an item of a public type or trait.
struct Item {
    name: String,
    /// The type or trait that it belongs to.
    owner: Option<String>,
    has_example: bool,
}

/// Every item of a file, up to its tests.
fn items(text: &str) -> Vec<Item> {
    let (mut items, mut docs, mut owner, mut in_trait) = (Vec::new(), Vec::new(), None, false);
    for line in text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines() {
        let trimmed = line.trim_start();
        if let Some(doc) = trimmed.strip_prefix("///") {
            docs.push(doc.trim());
            continue;
        }
        let nested = line.starts_with("    ");
        let declared = trimmed.strip_prefix("pub ").or(Some(trimmed).filter(|_| in_trait && nested));
        if let Some(name) = declared.and_then(name_of) {
            let has_example = has_example(&docs);
            let owner = if nested { owner.clone() } else { None };
            if !nested || owner.is_some() {
                items.push(Item { name: name.to_owned(), owner, has_example });
            }
        }
        if !nested && !trimmed.is_empty() {
            in_trait = trimmed.starts_with("pub trait ");
            owner = owner_of(trimmed);
        }
        if !trimmed.starts_with("#[") {
            docs.clear();
        }
    }
    items
}

/// The name that a declaration gives, after `pub`; fields and re-exports give none.
fn name_of(declared: &str) -> Option<&str> {
    let mut words = declared.split_whitespace();
    let (kind, mut name) = (words.next()?, words.next()?);
    if name == "fn" {
        name = words.next()?; // after `const`
    }
    let kinds = ["const", "enum", "fn", "mod", "static", "struct", "trait", "type"];
    let name = name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
    name.filter(|_| kinds.contains(&kind))
}

/// The type or trait that owns the items behind a line: of `pub trait T` and `impl T`, not of `impl Trait for T`.
fn owner_of(line: &str) -> Option<String> {
    let header = line.split(" {").next().unwrap_or_default();
    let named = match header.strip_prefix("impl") {
        Some(of) if !header.contains(" for ") => of.rsplit(' ').next(),
        Some(_) => None,
        None => header.strip_prefix("pub trait "),
    };
    let letters = |name: &str| name.chars().take_while(|letter| letter.is_alphanumeric()).collect();
    named.map(letters)
}

/// Whether there is a block among the lines that rustdoc compiles.
fn has_example(docs: &[&str]) -> bool {
    let fences = docs.iter().filter_map(|line| line.strip_prefix("```"));
    fences.step_by(2).any(|language| ["", "compile_fail", "should_panic"].contains(&language))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

#[test]
fn half_of_what_others_can_name_has_an_example_that_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (crate_of, at_least) in [("sdk", 150), ("policy/model", 80), ("policy/placement", 50)] {
        let files = sources(&root.join(crate_of).join("src"));
        // The module's own side of the ABI is public for a macro only.
        let texts = files.iter().filter(|path| !path.ends_with("abi.rs")).map(|path| fs::read_to_string(path).unwrap());
        let items: Vec<Item> = texts.flat_map(|text| items(&text)).collect();
        assert!(items.len() >= at_least, "{} items are found in {crate_of}", items.len());
        let own: BTreeMap<_, _> = items.iter().map(|item| (item.name.clone(), item.has_example)).collect();
        let owns =
            |item: &&Item| item.has_example || item.owner.as_ref().is_some_and(|owner| own.get(owner) == Some(&true));
        let (with, without): (Vec<_>, Vec<_>) = items.iter().partition(owns);
        let names: Vec<_> = without.iter().map(|item| item.name.as_str()).collect();
        assert!(with.len() >= without.len(), "{crate_of}: {} of {} have one; not {names:?}", with.len(), items.len());
    }
}
