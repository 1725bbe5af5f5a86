//! What is written beside the code: codes of rules, links and paths lead somewhere.
//!
//! Each check reads all that is there, so a page, a comment or a file that is added tomorrow is covered.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The page whose headings explain the codes.
const RULES: &str = "docs/admission.md";

/// CONTRIBUTING.md says what a code is, and how something that looks like one is written.
#[test]
fn every_code_that_is_cited_is_a_heading_of_the_page_of_rules() {
    let rules = fs::read_to_string(root().join(RULES)).unwrap();
    let mut explained = BTreeSet::new();
    for (line, code) in headings(&rules).filter_map(|(line, heading)| Some((line, code_of(heading)?))) {
        assert!(explained.insert(code), "{RULES}:{line}: {code} is a heading twice");
    }
    let mut wrong = Vec::new();
    for (path, text) in files(&["rs", "go", "yaml", "md"]) {
        for (line, prose) in prose(&path, &text) {
            let unknown = words(&prose).filter(|word| is_code(word) && !explained.contains(word));
            wrong.extend(unknown.map(|code| format!("{path}:{line}: {code} is no heading of {RULES}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}\nCONTRIBUTING.md says what counts as a code", wrong.join("\n"));
}

#[test]
fn every_link_of_a_page_leads_to_a_file_or_heading_that_is_there() {
    let mut wrong = Vec::new();
    for (path, text) in files(&["md"]) {
        for (line, prose) in prose(&path, &text) {
            for target in links(&prose).filter(|target| !target.contains("://")) {
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = if file.is_empty() { path.clone() } else { beside(&path, file) };
                let there = root().join(&file).exists();
                let found = anchor.is_empty()
                    || fs::read_to_string(root().join(&file))
                        .is_ok_and(|page| headings(&page).any(|(_, heading)| slug(heading) == anchor));
                if !there || !found {
                    wrong.push(format!("{path}:{line}: {target} is not there"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A path stands in backticks. A short one, such as `requests.rs` behind `policy/model/src/quantity.rs`, begins in the
/// folder of a path before it on the line, or above.
#[test]
fn every_path_that_a_page_of_the_root_names_is_there() {
    let mut wrong = Vec::new();
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("```")) {
            let mut folders = vec![root()];
            for path in line.split('`').skip(1).step_by(2).filter(|span| is_path(span)) {
                let path = path.trim_end_matches('*');
                match folders.iter().map(|folder| folder.join(path)).find(|path| path.exists()) {
                    Some(found) => {
                        let above = found.ancestors().take_while(|folder| folder.starts_with(root()));
                        folders.splice(0..0, above.filter(|folder| folder.is_dir()).map(Path::to_owned));
                    }
                    None => wrong.push(format!("{page}:{}: {path} is not there", at + 1)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Whether code in a page is a path of this repository: by what it begins with, or by how it ends.
fn is_path(span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_alphanumeric() || "._-/*".contains(c));
    let begins = span.split_once('/').is_some_and(|(first, _)| root().join(first).is_dir());
    let ends = ["rs", "go", "md", "svg", "toml", "yaml"];
    plain && (begins || span.rsplit_once('.').is_some_and(|(name, end)| !name.is_empty() && ends.contains(&end)))
}

#[test]
fn codes_are_told_from_what_only_looks_like_them() {
    let cited = |comment: &str| {
        let lines = prose("a.rs", comment);
        lines.iter().flat_map(|(_, text)| words(text).map(str::to_owned)).filter(|w| is_code(w)).collect::<Vec<_>>()
    };
    assert_eq!(
        cited("//! Who goes (B2–B4, B6), and D1's affair.\nlet a = 1; // see C5\n"),
        ["B2", "B4", "B6", "D1", "C5"]
    );
    assert_eq!(cited("/// The GPU model `A10`, V100M16, `G3`, E3.respool, G2-x, C++, F32x\nlet b10 = A10;\n"), [""; 0]);
    assert_eq!(cited("/// ```\n/// let a = G3;\n/// ```\n/// but (B5a)\nlet url = \"https://B2\";\n"), ["B5a"]);
    assert_eq!(code_of("B5a: No half gang"), Some("B5a"));
    assert_eq!(code_of("Bad: no code"), None);
}

/// A capital from A to G, one or two digits, and perhaps a small letter: B5a.
fn is_code(word: &str) -> bool {
    let mut rest = word.chars();
    let group = rest.next().is_some_and(|first| ('A'..='G').contains(&first));
    let rest = rest.as_str();
    let digits = rest.trim_end_matches(|last: char| ('a'..='c').contains(&last));
    let one_letter = rest.len() - digits.len() <= 1;
    group && one_letter && (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The code that a heading explains.
fn code_of(heading: &str) -> Option<&str> {
    heading.split_once(": ").map(|(code, _)| code).filter(|code| is_code(code))
}

/// The words of a line; what is joined by a dot, a dash, a slash or an underline is one word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || "._-/+".contains(c))).map(|word| word.trim_end_matches('.'))
}

/// The lines that speak to a reader, with their numbers: of a page all, of code the comments. Code in them, between
/// fences or backticks, is left out.
fn prose(path: &str, text: &str) -> Vec<(usize, String)> {
    let mark = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("md") => "",
        Some("yaml") => "#",
        _ => "//",
    };
    let mut lines = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        // A comment behind code is told by the spaces around its mark, so that no URL is taken for one.
        let behind = || line.split_once(&format!(" {mark} ")).map(|(_, comment)| comment);
        let Some(comment) = line.strip_prefix(mark).or_else(behind) else {
            fenced = false;
            continue;
        };
        if comment.trim_start_matches(['/', '!', ' ']).starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((at + 1, comment.split('`').step_by(2).collect::<Vec<_>>().join(" … ")));
        }
    }
    lines
}

/// The headings of a page, with the numbers of their lines.
fn headings(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let lines = page.lines().enumerate().filter(move |(_, line)| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    lines.map(|(at, line)| (at + 1, line.trim_start_matches('#').trim()))
}

/// The fragment by which a heading is linked to.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The targets of links and pictures.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// A path that is written relative to a page, from the root.
fn beside(page: &str, target: &str) -> String {
    let mut path = PathBuf::from(page);
    path.pop();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

/// Every file of these kinds, by its path from the root, with its text.
fn files(extensions: &[&str]) -> BTreeMap<String, String> {
    let (mut folders, mut found) = (vec![root()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "node_modules", "testdata"].contains(&&*name) {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| extensions.iter().any(|one| kind == *one)) {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text);
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
