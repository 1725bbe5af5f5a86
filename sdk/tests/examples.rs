//! What the first pages show is what the examples are, and the examples are as short as promised. That they
//! build and run in the extension is shown by `scheduler/internal/guesttest`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

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
fn the_readme_shows_the_smallest_plugin() {
    let readme: Vec<_> = include_str!("../../README.md").lines().collect();
    assert_eq!(blocks(&readme, "```rust"), [code(SMALLEST)]);
}
