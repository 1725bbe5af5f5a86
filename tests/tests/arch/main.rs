//! The shape of the workspace: which crate may depend on which, which files may import each other (`circles`), where
//! well-known strings stand, how long files are.
//!
//! Each rule is a table or a scan over all that is there, so that a crate or plugin that is added tomorrow is
//! covered by itself; a crate that no row speaks of fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod circles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each part may depend on, by folder. A row that ends in `/` speaks of every folder below.
const ARROWS: &[(&str, &[&str])] = &[
    ("policy/model", &[]),
    ("policy/placement", &["policy/model"]),
    ("policy/entitlement", &["policy/model"]),
    ("policy/bench", &["policy/"]),
    ("policy/queue", &["policy/model", "policy/placement", "policy/entitlement"]),
    ("sdk", &["policy/model"]),
    ("sdk/new-plugin", &[]),
    ("sdk/template", &["sdk"]),
    ("plugins/", &["sdk", "policy/placement", "policy/model"]),
    ("api", &["policy/model"]),
    ("simulator", &["policy/"]),
    ("admission", &["policy/", "api"]),
    ("checker", &["api", "policy/model", "policy/entitlement"]),
    ("agent", &["api", "policy/model"]),
    ("local", &["policy/model", "local/setup"]),
    ("local/setup", &[]),
    ("packer", &[]),
    ("cli", &["policy/", "simulator", "api", "dashboard", "packer"]),
    ("demo", &["policy/model", "api", "checker", "local", "simulator"]),
    ("dashboard", &["policy/", "simulator"]),
    ("tests/agreement", &["sdk", "plugins/"]),
    ("tests", &["policy/", "sdk", "api", "simulator", "admission", "agent", "local", "checker", "cli", "packer"]),
];

/// Where a key of ours may be spelled out: the registry, and the words of dimensions and nodes that the
/// plugins share, which cannot depend on the registry.
const MAY_SPELL_KEYS: &[&str] = &["api/src/", "api/examples/", "policy/model/src/", "sdk/src/export.rs"];

/// The longest file, without its tests.
const LONGEST: usize = 600;

#[test]
fn every_arrow_points_the_way_the_layout_says() {
    let packages = packages();
    let mut wrong = Vec::new();
    for (folder, package) in &packages {
        let row = ARROWS.iter().find(|(row, _)| covers(row, folder));
        let (_, may) = row.unwrap_or_else(|| panic!("{folder} has no row in ARROWS: say what it may depend on"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(path) = dependency["path"].as_str() else { continue };
            let target = relative(Path::new(path));
            // A dev-dependency is in no program; tests may look at anything but another plugin.
            let only_in_tests = dependency["kind"] == "dev" && !target.starts_with("plugins/");
            if !only_in_tests && !may.iter().any(|may| covers(may, &target)) {
                wrong.push(format!("{folder} → {target}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn policy_knows_no_client_no_runtime_and_no_log() {
    for (folder, package) in packages() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let io = ["kube", "k8s-openapi", "tokio", "futures", "tracing", "log", "reqwest", "rand", "jiff"];
            let thinks = folder.starts_with("policy/") && dependency["kind"] != "dev";
            assert!(!(thinks && io.contains(&name)), "{folder} depends on {name}; decide in policy, act elsewhere");
        }
    }
}

#[test]
fn there_is_one_crypto_provider() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(!lock.contains("name = \"aws-lc-sys\""), "rustls panics at run time when two providers are linked");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    // The SDK alone may be unsafe, so its manifest lists the same lints without that one.
    for folder in packages().keys().filter(|folder| *folder != "sdk") {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder}/Cargo.toml does not take the lints");
    }
}

#[test]
fn nothing_is_unsafe_outside_the_sdk() {
    for (path, text) in sources("rs").filter(|(path, _)| !path.starts_with("sdk/")) {
        let marks = [word(&["uns", "afe {"]), word(&["uns", "afe fn"]), word(&["allow(uns", "afe_code"])];
        let line = code(&text).find(|line| marks.iter().any(|mark| line.contains(mark.as_str())));
        assert_eq!(line, None, "{path}");
    }
}

#[test]
fn every_file_is_named_by_a_module() {
    for (path, _) in sources("rs") {
        let path = Path::new(&path);
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let folder = path.parent().unwrap();
        let in_crate = path.iter().any(|part| part == "src") && !path.iter().any(|part| part == "bin");
        if !in_crate || ["lib", "main", "build"].contains(&stem) {
            continue;
        }
        let (module, above) = if stem == "mod" { (folder, folder.parent().unwrap()) } else { (path, folder) };
        let name = module.file_stem().unwrap().to_str().unwrap();
        let inline = above.with_extension("rs");
        let parents = ["lib.rs", "main.rs", "mod.rs"].map(|file| above.join(file)).into_iter().chain([inline]);
        let named = parents
            .filter_map(|parent| fs::read_to_string(root().join(parent)).ok())
            .any(|text| text.lines().any(|line| line.trim_end().ends_with(&format!("mod {name};"))));
        assert!(named, "{} is not compiled: no module names it", path.display());
    }
}

#[test]
fn well_known_keys_stand_in_the_registry_alone() {
    for (path, text) in sources("rs") {
        let exempt = MAY_SPELL_KEYS.iter().any(|prefix| path.starts_with(prefix));
        let is_test = path.starts_with("tests/")
            || path.contains("/tests/")
            || path.contains("/benches/")
            || path.ends_with("/tests.rs");
        if exempt || is_test {
            continue;
        }
        // A sentence may mention a key; a literal that begins with one is used as one.
        let spelled = code(&text).find(|line| line.contains(&word(&["\"weir", ".dev/"])));
        assert_eq!(spelled, None, "{path} spells a key out; take it from weir_api::names or policy/model");
    }
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [word(&["TO", "DO"]), word(&["FIX", "ME"]), word(&["unimplement", "ed!"]), word(&["to", "do!"])];
    for extension in ["rs", "go", "toml", "yaml", "sh", "ts", "js", "md"] {
        for (path, text) in sources(extension) {
            let found = marks.iter().find(|mark| text.contains(mark.as_str()));
            assert_eq!(found, None, "{path}");
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for (path, text) in sources("rs").chain(sources("go").filter(|(path, _)| !path.ends_with("_test.go"))) {
        let lines = body(&text).lines().count();
        assert!(lines <= LONGEST, "{path} has {lines} lines without its tests; at most {LONGEST}");
    }
}

#[test]
fn every_plugin_is_built_by_make_plugins_and_configured() {
    let plan = Command::new("make").args(["-n", "step-plugins"]).current_dir(root()).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    // What is shipped stands in a profile; what was just begun, beside its source, from where `make run` takes it.
    let speaks = |path: &str| path.starts_with("scheduler-config/") || path.ends_with("/profile.yaml");
    let settings: String = sources("yaml").filter(|(path, _)| speaks(path)).map(|f| f.1).collect();
    for (folder, package) in packages().into_iter().filter(|(folder, _)| folder.starts_with("plugins/")) {
        let name = folder.trim_start_matches("plugins/");
        assert_eq!(package["name"].as_str(), Some(name), "the package of {folder} has another name than its folder");
        assert!(
            plan.split_whitespace().any(|word| word == format!("-p{name}") || word == name),
            "{folder} is not built"
        );
        let loaded = settings.is_empty() || settings.contains(&format!("{name}.wasm"));
        assert!(loaded, "no profile in scheduler-config/ and no {folder}/profile.yaml loads {name}.wasm");
    }
}

/// The workspace's own packages by folder.
fn packages() -> BTreeMap<String, serde_json::Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array_mut().unwrap().drain(..);
    packages
        .map(|package| (relative(Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap()), package))
        .collect()
}

/// Every file of this kind, by its path from the root, with its text.
fn sources(extension: &'static str) -> impl Iterator<Item = (String, String)> {
    let mut folders = vec![root()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files.into_iter().filter_map(|path| Some((relative(&path), fs::read_to_string(&path).ok()?)))
}

/// A file without its unit tests, which stand last. Tests in a file of their own are named at the top.
fn body(text: &str) -> &str {
    let begins_tests =
        |(at, mark): &(usize, &str)| text[at + mark.len()..].lines().next().is_some_and(|name| name.ends_with('{'));
    text.match_indices("\n#[cfg(test)]\nmod ").find(begins_tests).map_or(text, |(at, _)| &text[..at])
}

/// The lines of a file that are compiled into a program: no tests, no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    body(text).lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Whether a row of [`ARROWS`] speaks of a folder.
fn covers(row: &str, folder: &str) -> bool {
    if row.ends_with('/') { folder.starts_with(row) } else { folder == row }
}

/// A word in pieces, so that this file does not contain it.
fn word(pieces: &[&str]) -> String {
    pieces.concat()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
