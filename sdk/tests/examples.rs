//! What the first pages show is what the examples are, the examples are as short as promised, and half of what
//! is public is shown in some example. That the examples run in the extension is shown by
//! `tests/extension/guesttest`, that those in the documentation run at all by `cargo test --doc`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::path::Path;

const SMALLEST: &str = include_str!("../examples/smallest.rs");
const SETTINGS: &str = include_str!("../examples/settings.rs");

/// An example without the line that says what it is.
fn code(example: &str) -> Vec<&str> {
    let (about, code) = example.split_once('\n').unwrap();
    assert!(about.starts_with("//! "), "{about}");
    code.lines().collect()
}

/// The blocks of code in a text.
fn blocks<'a>(text: &'a [&'a str], opening: &str) -> Vec<&'a [&'a str]> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begins) = rest.iter().position(|line| *line == opening) {
        let block = &rest[begins + 1..];
        let ends = block.iter().position(|line| *line == "```").unwrap();
        blocks.push(&block[..ends]);
        rest = &block[ends + 1..];
    }
    blocks
}

#[test]
fn the_smallest_plugin_has_fifteen_lines_and_one_with_settings_thirty() {
    assert_eq!((code(SMALLEST).len(), code(SETTINGS).len()), (15, 30));
}

#[test]
fn the_first_page_of_the_crate_shows_the_examples() {
    let docs = include_str!("../src/lib.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let docs: Vec<_> = docs.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let shown: Vec<Vec<_>> = blocks(&docs, "```")
        .into_iter()
        .map(|block| block.iter().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect())
        .collect();
    for (shown, example) in shown.iter().zip([SMALLEST, SETTINGS]) {
        assert_eq!(shown.strip_suffix(&["fn main() {}"]), Some(code(example).as_slice()));
    }
    assert_eq!(shown.len(), 2);
}

#[test]
fn the_readme_says_how_long_the_smallest_plugin_is() {
    assert!(include_str!("../../README.md").contains("[a filter is fifteen lines](sdk/examples/smallest.rs)"));
    assert_eq!(code(SMALLEST).len(), 15);
}

/// A public item: where it is, its name, and whether its own documentation has an example.
struct Item {
    place: String,
    name: String,
    has_example: bool,
}

/// The public items of a file, its tests left out: what `pub` stands before, and what a public trait has.
/// Everything that is public can be reached, or the compiler's `unreachable_pub` would say so.
fn items(place: &str, text: &str) -> Vec<Item> {
    let (mut items, mut documented, mut in_trait) = (Vec::new(), false, false);
    for line in text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().lines() {
        let code = line.trim_start();
        if let Some(docs) = code.strip_prefix("///") {
            documented |= docs.trim_start().starts_with("```");
        } else if !code.starts_with("#[") && !code.is_empty() {
            let public =
                code.strip_prefix("pub ").or_else(|| (in_trait && line.starts_with("    fn ")).then_some(code));
            let words = public.into_iter().flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'));
            let mut words = words.skip_while(|word| ["const", "unsafe"].contains(word));
            let kind = words.next().filter(|kind| ["fn", "struct", "enum", "trait", "mod"].contains(kind));
            if let (Some(_), Some(name)) = (kind, words.next()) {
                items.push(Item { place: place.to_owned(), name: name.to_owned(), has_example: documented });
            }
            in_trait = (in_trait || code.starts_with("pub trait ")) && line != "}";
            documented = false;
        }
    }
    items
}

/// The code of all examples in the documentation of a file, word by word.
fn words_of_examples(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let docs = text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
    });
    let code = docs.filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        inside && !fence
    });
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
}

/// An accessor of one line has no example of its own; that of its type shows it. Fields and variants do not
/// count: their type's example is theirs.
#[test]
fn half_of_the_public_items_are_shown_in_an_example_that_runs() {
    for (crate_, least) in [("sdk", 50), ("policy/model", 50), ("policy/placement", 50)] {
        let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(crate_).join("src"));
        let shown: BTreeSet<_> = files.iter().flat_map(|(_, text)| words_of_examples(text)).collect();
        let items: Vec<_> = files.iter().flat_map(|(path, text)| items(path, text)).collect();
        let (with, without): (Vec<_>, Vec<_>) =
            items.iter().partition(|item| item.has_example || shown.contains(item.name.as_str()));
        let percent = 100 * with.len() / items.len();
        let without: Vec<_> = without.iter().map(|item| format!("{} {}", item.place, item.name)).collect();
        println!("{crate_}: {percent} % of {} public items", items.len());
        assert!(percent >= least, "{crate_}: {percent} %; no example shows\n{}", without.join("\n"));
    }
}

/// Every file of a folder, by path, but what only the macro uses.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if !path.ends_with("abi.rs") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    files
}
