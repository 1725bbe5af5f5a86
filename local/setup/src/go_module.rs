//! Building Go programs, once for each state of their module.
//!
//! Programs lie in `.cache/programs/MODULE-KEY`, where the key is a hash over every file of the module and over how it
//! is built: a changed version builds anew, and two states of one checkout do not disturb each other. What Go has
//! compiled before is in Go's own cache.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::children::Children;
use crate::{Checkout, Progress};

/// A Go module and what is built from it.
pub(crate) struct GoModule {
    /// Where it lies in the checkout.
    pub(crate) folder: &'static str,
    /// What is built, for the progress line.
    pub(crate) what: &'static str,
    /// How long that takes from nothing on two cores, beside a build of the programs in Rust.
    pub(crate) expected: Duration,
    /// Its main packages.
    pub(crate) packages: &'static [&'static str],
    /// Flags for the linker.
    pub(crate) linker: &'static str,
}

impl GoModule {
    /// The folder with the module's programs, built if they are not there.
    pub(crate) fn build(&self, checkout: &Checkout, children: &Children, progress: &Progress) -> Result<PathBuf> {
        let source = checkout.root().join(self.folder);
        let slug = self.folder.replace('/', "-");
        let programs = checkout.programs();
        let built = programs.join(format!("{slug}-{:016x}", self.key(&source)?));
        if built.is_dir() {
            return Ok(built);
        }
        std::fs::create_dir_all(&programs).with_context(|| format!("create {}", programs.display()))?;
        progress.step(self.what, self.expected, || {
            // Several test binaries start at once, and each needs the programs.
            let lock = programs.join(format!("{slug}.lock"));
            let lock = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
            lock.lock().with_context(|| format!("lock {slug}"))?;
            if built.is_dir() {
                return Ok(());
            }
            // What an interrupted build left is of no use: Go's own cache has what was compiled.
            let partial = programs.join(format!("{slug}.partial"));
            if partial.exists() {
                std::fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
            }
            std::fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
            children.run(&mut self.go_build(&source, &partial), &checkout.log(&slug))?;
            std::fs::rename(&partial, &built).with_context(|| format!("move the programs to {}", built.display()))
        })?;
        Ok(built)
    }

    /// The build command; Go names the programs after their packages. Without symbols, which only a debugger reads,
    /// linking takes half the time.
    fn go_build(&self, source: &Path, into: &Path) -> Command {
        let mut go = Command::new("go");
        go.args(["build", "-buildvcs=false", &format!("-ldflags=-s -w {}", self.linker)]);
        go.arg("-o").arg(into.join("")).args(self.packages).current_dir(source);
        go
    }

    /// FNV-1a over every file of the module and the way it is built.
    fn key(&self, source: &Path) -> Result<u64> {
        let mut files = Vec::new();
        list(source, &mut files).with_context(|| format!("read the module {}", source.display()))?;
        files.sort();
        let mut hash = Fnv::default();
        for part in self.packages.iter().copied().chain([self.linker, std::env::consts::ARCH]) {
            hash.write(part.as_bytes());
        }
        for file in files {
            let content = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            hash.write(file.strip_prefix(source).unwrap_or(&file).as_os_str().as_bytes());
            hash.write(&content);
        }
        Ok(hash.0)
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            // Go itself does not look into these either.
            if name != "testdata" && !name.as_bytes().starts_with(b".") {
                list(&entry.path(), files)?;
            }
        } else if !name.as_bytes().ends_with(b"_test.go") {
            files.push(entry.path());
        }
    }
    Ok(())
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a field; its length goes first, so that no two lists of fields look alike.
    fn write(&mut self, field: &[u8]) {
        let length = u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes();
        for &byte in length.iter().chain(field) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MODULE: GoModule =
        GoModule { folder: "local/kube", what: "a module", expected: Duration::ZERO, packages: &["."], linker: "" };

    fn key_with(file: &str, content: &str) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("cmd/x")).unwrap();
        fs::write(folder.path().join(file), content).unwrap();
        MODULE.key(folder.path()).unwrap()
    }

    #[test]
    fn another_version_in_go_mod_is_another_key() {
        let [old, new, again] = ["v3.5.20", "v3.5.21", "v3.5.21"].map(|etcd| key_with("go.mod", etcd));
        assert_ne!(old, new);
        assert_eq!(new, again);
    }

    #[test]
    fn a_changed_test_builds_nothing_anew() {
        let [without, with] = ["cmd/x/x_test.go", "cmd/x/y_test.go"].map(|file| key_with(file, "package x"));
        assert_eq!(without, with);
    }

    #[test]
    fn a_failed_build_ends_with_what_the_compiler_said_and_leaves_no_programs() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("local/kube");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("go.mod"), "module broken\n\ngo 1.23\n").unwrap();
        fs::write(source.join("main.go"), "package main\n\nfunc main() { undefined() }\n").unwrap();
        let (checkout, children) = (Checkout::at(folder.path()), Children::new().unwrap());
        for _ in 0..2 {
            let error = MODULE.build(&checkout, &children, &Progress::silent()).unwrap_err();
            assert!(error.to_string().contains("undefined: undefined"), "{error}");
        }
    }
}
