//! Begins a scheduler plugin: the template under another name, and the profile's entry that runs it.
//!
//! The template in `sdk/template` is a crate of the workspace with tests of its own, so that what a plugin begins with
//! always compiles. Nothing is filled in but the name.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The files of the template, as a plugin has them.
const TEMPLATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../template/Cargo.toml")),
    ("README.md", include_str!("../../template/README.md")),
    ("src/lib.rs", include_str!("../../template/src/lib.rs")),
];

/// The template's own name, as its package, in its code, and the line that says what it is for.
const PACKAGE: &str = "plugin-template";
const IN_CODE: &str = "PluginTemplate";
const DESCRIPTION: &str = "description = \"What `make new-plugin NAME=…` begins with\"";

/// Words that the template's code uses as they are: a plugin of that name would not compile.
const USED_IN_CODE: &[&str] = &[
    "Deserialize",
    "FakeHost",
    "Filter",
    "Node",
    "Ok",
    "Plugin",
    "Pod",
    "Self",
    "Settings",
    "Some",
    "Status",
    "String",
];
/// Crates that every build has.
const CRATES: &[&str] = &["alloc", "anyhow", "core", "kube-scheduler-guest", "proc-macro", "serde", "std", "test"];

/// The name of a plugin: small letters, digits and dashes.
///
/// ```
/// let name: new_plugin::Name = "zone-filter".parse()?;
/// assert_eq!(name.in_code(), "ZoneFilter");
/// # Ok::<(), new_plugin::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The name as a type, and as the scheduler's profile has it.
    #[must_use]
    pub fn in_code(&self) -> String {
        let capitalized = self.0.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
        capitalized.collect()
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !text.starts_with(|first: char| first.is_ascii_lowercase()) || !text.split('-').all(is_word) {
            return Err(Error::Malformed);
        }
        let name = Self(text.to_owned());
        if CRATES.contains(&text) || USED_IN_CODE.contains(&&*name.in_code()) {
            return Err(Error::Used(name));
        }
        Ok(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why no plugin was begun.
#[derive(Debug)]
pub enum Error {
    /// The name has other characters than it may.
    Malformed,
    /// The name means something else in the plugin's code.
    Used(Name),
    /// A plugin of that name exists.
    Exists(Name),
    /// A file could not be written; the plugin's folder was removed again.
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("NAME: write small letters, digits and dashes, such as NAME=zone-filter"),
            Self::Used(name) => {
                write!(
                    f,
                    "NAME: {name} means something else in a plugin's code; take two words, such as NAME=zone-filter"
                )
            }
            Self::Exists(name) => write!(f, "plugins/{name} is there already"),
            Self::Write { path, source } => write!(f, "write {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Write { source, .. } => Some(source),
            Self::Malformed | Self::Used(_) | Self::Exists(_) => None,
        }
    }
}

/// Begins the plugin `name` in the folder `plugins`: all of its files or none.
///
/// # Errors
/// When a plugin of that name is there, which stays as it is, or a file cannot be written.
pub fn create(name: &Name, plugins: &Path) -> Result<(), Error> {
    let folder = plugins.join(&name.0);
    match std::fs::create_dir_all(plugins).and_then(|()| std::fs::create_dir(&folder)) {
        Ok(()) => {}
        Err(_) if folder.exists() => return Err(Error::Exists(name.clone())),
        Err(source) => return Err(Error::Write { path: folder, source }),
    }
    let written = files(name).into_iter().try_for_each(|(file, text)| write(folder.join(file), &text));
    if written.is_err() {
        // Half a plugin would keep every crate of the workspace from being built. The first error is the one to tell.
        let _ = std::fs::remove_dir_all(&folder);
    }
    written
}

fn write(path: PathBuf, text: &str) -> Result<(), Error> {
    let written = match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)),
        None => std::fs::write(&path, text),
    };
    written.map_err(|source| Error::Write { path, source })
}

/// What a plugin of this name consists of.
fn files(name: &Name) -> Vec<(&'static str, String)> {
    let rename = |text: &str| text.replace(PACKAGE, &name.0).replace(IN_CODE, &name.in_code());
    let described = |text: &str| text.replace(DESCRIPTION, "description = \"Say here what it is for\"");
    let template = TEMPLATE.iter().map(|(file, text)| (*file, rename(&described(text))));
    template.chain([("profile.yaml", profile(name))]).collect()
}

/// The plugin's entry in the `pluginConfig` of a scheduler's profile.
fn profile(name: &Name) -> String {
    let in_code = name.in_code();
    format!(
        "\
# How a scheduler's profile runs this plugin: its entry in pluginConfig. `make run` adds it to the profile
# weir-scheduler; to ship the plugin, copy it to scheduler-config/weir.yaml and add its name to `enabled` there.
name: {in_code}
args:
  guestURL: file://${{WEIR_PLUGINS}}/{name}.wasm
  guestConfig: '{{\"zoneLabel\": \"topology.kubernetes.io/zone\"}}'
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn refused(name: &str) -> String {
        name.parse::<Name>().unwrap_err().to_string()
    }

    #[test]
    fn every_word_of_a_name_is_capitalized_in_code() {
        for (name, in_code) in [("zone", "Zone"), ("zone-filter", "ZoneFilter"), ("a100-2nd-choice", "A1002ndChoice")] {
            assert_eq!(name.parse::<Name>().unwrap().in_code(), in_code);
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in
            ["", "-", "Zone", "zone_filter", "zone--filter", "-zone", "zone-", "2-zones", "zöne", "../zone", "a b"]
        {
            assert_eq!(
                refused(name),
                "NAME: write small letters, digits and dashes, such as NAME=zone-filter",
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_that_the_code_of_a_plugin_uses_is_refused() {
        for name in ["filter", "pod", "settings", "fake-host", "std", "serde"] {
            let said = format!(
                "NAME: {name} means something else in a plugin's code; take two words, such as NAME=zone-filter"
            );
            assert_eq!(refused(name), said);
        }
    }

    #[test]
    fn the_template_names_every_type_that_a_plugin_must_not_be_called() {
        let code = TEMPLATE[2].1;
        let types = |line: &str| -> Vec<String> {
            let words = line.split(|c: char| !c.is_alphanumeric());
            words.filter(|word| word.starts_with(|c: char| c.is_uppercase())).map(str::to_owned).collect()
        };
        for word in code.lines().filter(|line| line.trim_start().starts_with("use ")).flat_map(types) {
            let of_tests = word == "ToString";
            assert!(of_tests || USED_IN_CODE.contains(&word.as_str()), "{word}");
        }
    }

    #[test]
    fn a_plugin_has_the_files_of_the_template_and_a_profile_under_its_own_name() {
        let plugins = tempfile::tempdir().unwrap();
        create(&"zone-filter".parse().unwrap(), plugins.path()).unwrap();
        let read = |file: &str| fs::read_to_string(plugins.path().join("zone-filter").join(file)).unwrap();
        assert!(read("Cargo.toml").starts_with(
            "[package]\nname = \"zone-filter\"\ndescription = \"Say here what it is for\"\nversion.workspace = true\n"
        ));
        assert!(read("README.md").starts_with("# zone-filter\n\nA scheduler plugin (`ZoneFilter`): "));
        assert!(read("src/lib.rs").contains("export!(pure ZoneFilter: Filter);"));
        for file in ["Cargo.toml", "README.md", "src/lib.rs", "profile.yaml"] {
            let text = read(file);
            assert!(!text.contains(PACKAGE) && !text.contains(IN_CODE) && !text.contains("make new-plugin"), "{text}");
        }
        let profile = "\
# How a scheduler's profile runs this plugin: its entry in pluginConfig. `make run` adds it to the profile
# weir-scheduler; to ship the plugin, copy it to scheduler-config/weir.yaml and add its name to `enabled` there.
name: ZoneFilter
args:
  guestURL: file://${WEIR_PLUGINS}/zone-filter.wasm
  guestConfig: '{\"zoneLabel\": \"topology.kubernetes.io/zone\"}'
";
        assert_eq!(read("profile.yaml"), profile);
    }

    #[test]
    fn a_plugin_that_is_there_stays_as_it_is() {
        let plugins = tempfile::tempdir().unwrap();
        let name: Name = "zone-filter".parse().unwrap();
        create(&name, plugins.path()).unwrap();
        let code = plugins.path().join("zone-filter/src/lib.rs");
        fs::write(&code, "my own").unwrap();
        assert_eq!(create(&name, plugins.path()).unwrap_err().to_string(), "plugins/zone-filter is there already");
        assert_eq!(fs::read_to_string(code).unwrap(), "my own");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        fs::write(&plugins, "a file").unwrap();
        let error = create(&"zone-filter".parse().unwrap(), &plugins).unwrap_err().to_string();
        assert!(error.starts_with(&format!("write {}: ", plugins.join("zone-filter").display())), "{error}");
    }
}
