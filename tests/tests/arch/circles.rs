//! Files of a crate that import each other in a circle can only be read all at once; there are none.
//!
//! An arrow leads from a file to each file of its crate that it names by a path, in a `use` or elsewhere. A name that a
//! module re-exports counts for the file that declares it, so `crate::Pod` leads to the file of `Pod` and a module that
//! only gathers names is in no circle. Unit tests do not count: they may look at anything. What is not seen is a name
//! that comes through `*`, and a method of a type that another file declares.

use std::collections::{BTreeMap, BTreeSet};

use super::{body, sources};

/// The segments of a path, or of a module: `["crate", "host", "ask"]`, `["host"]`.
type Path = Vec<String>;

/// The modules of a crate that have files, by their paths below the root.
type Modules = BTreeMap<Path, Module>;

/// The files that a file names, by file.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What a file says of other files.
#[derive(Default)]
struct Module {
    file: String,
    imports: Vec<Import>,
    /// Paths outside of imports.
    paths: Vec<Path>,
}

/// A name that a `use` brings into a file.
struct Import {
    name: String,
    path: Path,
}

/// A path through re-exports that is longer leads round in a circle.
const MOST_STEPS: usize = 16;

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let mut crates: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (path, text) in sources("rs") {
        if let Some((folder, file)) = path.split_once("/src/") {
            crates.entry(folder.to_owned()).or_default().push((file.to_owned(), text));
        }
    }
    for (folder, files) in crates {
        let circles = circles(&arrows(&modules(&files)));
        assert!(circles.is_empty(), "{folder}/src has files that import each other in a circle:\n{circles:#?}");
    }
}

#[test]
fn a_circle_is_found_however_its_imports_are_written() {
    let found = |files: &[(&str, &str)]| {
        let files: Vec<_> = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        circles(&arrows(&modules(&files))).into_keys().collect::<Vec<_>>().join(" ")
    };
    let of =
        |a: &str, b: &str| found(&[("lib.rs", "mod a; mod b; pub use b::{B as C, self};"), ("a.rs", a), ("b.rs", b)]);
    assert_eq!(of("use crate::b::B;", "use super::a::{x, A};"), "a.rs b.rs");
    assert_eq!(of("use crate::C;", "fn f() -> crate::a::A {}"), "a.rs b.rs", "through a re-export");
    assert_eq!(of("use super::{b as c}; fn f() { c::g() }", "use crate::{a};"), "a.rs b.rs");
    assert_eq!(of("use crate::b::B;", "// crate::a::A\nlet x = \"crate::a::A\"; pub(in crate::a) fn f() {}"), "");
    assert_eq!(of("use crate::b::B;", "\n#[cfg(test)]\nmod tests {\nuse crate::a::A; }"), "");
    let child = |text| found(&[("lib.rs", "mod a;"), ("a.rs", "mod b; pub use b::B; pub struct A;"), ("a/b.rs", text)]);
    assert_eq!(child("use super::A;"), "a.rs a/b.rs", "a module and its own child");
    assert_eq!(child("use super::B as Myself;"), "");
}

/// Reads the modules of a crate: its files below `src`, with their texts. Programs in `bin` see the crate from outside.
fn modules(files: &[(String, String)]) -> Modules {
    let has_library = files.iter().any(|(file, _)| file == "lib.rs");
    let root = if has_library { "lib.rs" } else { "main.rs" };
    let in_crate = files.iter().filter(|(file, _)| !file.starts_with("bin/") && (file == root || file != "main.rs"));
    let read = |(file, text): &(String, String)| {
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let path = if file == root { Path::new() } else { module.split('/').map(str::to_owned).collect() };
        (path, Module::read(file, body(text)))
    };
    in_crate.map(read).collect()
}

/// Which file names which.
fn arrows(modules: &Modules) -> Arrows {
    let mut arrows = Arrows::new();
    for (at, Module { file, imports, paths }) in modules {
        let imported = imports.iter().map(|import| &import.path);
        let named = imported.chain(paths).filter_map(|path| declared_in(modules, at, path, MOST_STEPS));
        arrows.insert(file.clone(), named.filter(|named| named != file).collect());
    }
    arrows
}

/// The file that declares what a path names in a module; none for other crates.
fn declared_in(modules: &Modules, at: &[String], path: &[String], steps: usize) -> Option<String> {
    let steps = steps.checked_sub(1)?;
    let mut at = at.to_vec();
    let mut rest = path;
    let mut here = false;
    while let [first, later @ ..] = rest
        && ["crate", "super", "self"].contains(&first.as_str())
    {
        match first.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            _ => {}
        }
        (rest, here) = (later, true);
    }
    while let [first, later @ ..] = rest {
        let child = [&at[..], std::slice::from_ref(first)].concat();
        if modules.contains_key(&child) {
            (at, rest, here) = (child, later, true);
            continue;
        }
        let module = modules.get(&at)?;
        let import = module.imports.iter().find(|import| import.name == *first && import.path != path);
        return match import {
            Some(import) => declared_in(modules, &at, &[&import.path[..], later].concat(), steps),
            None => here.then(|| module.file.clone()),
        };
    }
    modules.get(&at).map(|module| module.file.clone())
}

/// The arrows of files that are in circles or between them: all others are taken away, from both ends.
fn circles(arrows: &Arrows) -> Arrows {
    let mut left = arrows.clone();
    loop {
        let named: BTreeSet<String> = left.values().flatten().cloned().collect();
        let files: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|file, to| {
            to.retain(|to| files.contains(to));
            !to.is_empty() && named.contains(file)
        });
        if left.len() == before {
            return left;
        }
    }
}

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let mut module = Self { file: file.to_owned(), ..Self::default() };
        let tokens = tokens(text);
        let mut rest = &tokens[..];
        while let [token, later @ ..] = rest {
            rest = later;
            if token == "use" {
                let end = rest.iter().position(|token| token == ";").unwrap_or(rest.len());
                module.import(&Path::new(), &rest[..end]);
                rest = &rest[end..];
            } else if is_name(token) {
                let (path, later) = path(token, rest);
                rest = later;
                if path.len() > 1 {
                    module.paths.push(path);
                }
            } else if token == "(" && rest.first().is_some_and(|next| next == "in") {
                // How far something is visible is no arrow.
                rest = &rest[rest.iter().position(|token| token == ")").unwrap_or(0)..];
            }
        }
        module
    }

    /// Takes in the tree of a `use`, below a path.
    fn import(&mut self, below: &[String], tree: &[String]) {
        let [first, rest @ ..] = tree else { return };
        if first == "{" {
            let mut depth = 0;
            let inner = tree.get(1..tree.len() - 1).unwrap_or_default();
            let branches = inner.split(|token| {
                depth += i32::from(token == "{") - i32::from(token == "}");
                depth == 0 && token == ","
            });
            branches.for_each(|branch| self.import(below, branch));
            return;
        }
        let (mut path, rest) = path(first, rest);
        path.splice(0..0, below.iter().cloned());
        let path = match path.as_slice() {
            [module @ .., last] if (last == "self" && !module.is_empty()) || last == "*" => module.to_vec(),
            _ => path,
        };
        match rest {
            [colons, tree @ ..] if colons == "::" => self.import(&path, tree),
            [word, name] if word == "as" => self.imports.push(Import { name: name.clone(), path }),
            _ => self.imports.extend(path.last().cloned().map(|name| Import { name, path })),
        }
    }
}

/// The path that begins with this name, and what follows it.
fn path<'a>(first: &str, mut rest: &'a [String]) -> (Path, &'a [String]) {
    let mut path = vec![first.to_owned()];
    while let [colons, next, later @ ..] = rest
        && colons == "::"
        && (is_name(next) || next == "*")
    {
        path.push(next.clone());
        rest = later;
    }
    (path, rest)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The names and marks of a text without its comments and strings.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => string_length(rest),
            // A quote between apostrophes begins no string.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\\"'") => 4,
            _ if first.is_alphabetic() || first == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let raw = rest[length..].starts_with("#\"") && &rest[..length] == "r";
                if raw {
                    rest[length + 2..].find("\"#").map_or(rest.len(), |end| length + end + 4)
                } else {
                    tokens.push(rest[..length].to_owned());
                    length
                }
            }
            _ if rest.starts_with("::") => {
                tokens.push("::".to_owned());
                2
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push(first.to_string());
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}
