//! Building Go programs, once for each state of their module.
//!
//! Programs lie in `.cache/programs/MODULE-KEY`, where the key is a hash over every file of the module and
//! over how it is built: a changed version builds anew, and two checkouts of different age do not disturb
//! each other. What Go has compiled before is in Go's own cache.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{Checkout, Progress};

/// A Go module and what is built from it.
pub(crate) struct Module {
    /// Where it lies in the checkout.
    pub(crate) folder: &'static str,
    /// What is built, for the progress line.
    pub(crate) what: &'static str,
    /// How long that takes from nothing on two cores.
    pub(crate) expected: Duration,
    /// Its main packages.
    pub(crate) packages: &'static [&'static str],
    /// Flags for the linker.
    pub(crate) linker: &'static str,
}

/// The folder with the module's programs, built if they are not there.
pub(crate) async fn build(module: &Module, checkout: &Checkout, progress: &Progress) -> Result<PathBuf> {
    let folder = checkout.root().join(module.folder);
    let key = key(module, &folder)?;
    let slug = module.folder.replace('/', "-");
    let programs = checkout.programs();
    let built = programs.join(format!("{slug}-{key:016x}"));
    if built.is_dir() {
        return Ok(built);
    }
    std::fs::create_dir_all(&programs).with_context(|| format!("create {}", programs.display()))?;
    let what = format!("build {}", module.what);
    progress
        .step(&what, module.expected, build_locked(module, &folder, &built, programs.join(format!("{slug}.lock"))))
        .await?;
    Ok(built)
}

/// Builds under a lock: several test binaries start at once, and each needs the programs.
async fn build_locked(module: &Module, folder: &Path, built: &Path, lock: PathBuf) -> Result<()> {
    let locked = tokio::task::spawn_blocking(move || -> Result<File> {
        let file = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
        file.lock().with_context(|| format!("lock {}", lock.display()))?;
        Ok(file)
    });
    let _lock = locked.await.context("wait for another build")??;
    if built.is_dir() {
        return Ok(());
    }
    let partial = built.with_extension(format!("{}.partial", std::process::id()));
    std::fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
    let result = go_build(module, folder, &partial).await;
    if let Err(error) = result {
        // The error that matters is the build's.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, built).with_context(|| format!("move the programs to {}", built.display()))
}

async fn go_build(module: &Module, folder: &Path, into: &Path) -> Result<()> {
    let output = tokio::process::Command::new("go")
        .arg("build")
        .args(flags(module))
        .arg("-o")
        .arg(named_output(module, folder, into))
        .args(module.packages)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("run go, which builds {}; install Go 1.26 or later (go.dev/dl)", module.what))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    bail!("go build in {} ended with {}:\n{tail}", folder.display(), output.status)
}

/// Symbols are of no use in programs that nobody debugs here, and leaving them out halves the linking.
fn flags(module: &Module) -> [String; 2] {
    ["-buildvcs=false".to_owned(), format!("-ldflags=-s -w {}", module.linker)]
}

/// A module whose root is the program is named after its folder; the others after their packages, for which
/// Go wants a folder.
fn named_output(module: &Module, folder: &Path, into: &Path) -> PathBuf {
    match (module.packages, folder.file_name()) {
        (["."], Some(name)) => into.join(name),
        _ => into.join(""),
    }
}

/// FNV-1a over every file of the module and the way it is built.
fn key(module: &Module, folder: &Path) -> Result<u64> {
    let mut files = Vec::new();
    list(folder, &mut files).with_context(|| format!("read the module {}", folder.display()))?;
    files.sort();
    let mut hash = Fnv::default();
    for part in module.packages.iter().copied().chain([module.linker, std::env::consts::ARCH]) {
        hash.write(part.as_bytes());
    }
    for file in files {
        let content = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        hash.write(file.strip_prefix(folder).unwrap_or(&file).as_os_str().as_bytes());
        hash.write(&content);
    }
    Ok(hash.0)
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

    const MODULE: Module =
        Module { folder: "local/etcd", what: "a module", expected: Duration::ZERO, packages: &["."], linker: "" };

    fn module_with(file: &str, content: &str) -> (tempfile::TempDir, u64) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("cmd/x")).unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        let key = key(&MODULE, folder.path()).unwrap();
        (folder, key)
    }

    #[test]
    fn another_version_in_go_mod_is_another_key() {
        let (_a, old) = module_with("go.mod", "require etcd v3.5.20");
        let (_b, new) = module_with("go.mod", "require etcd v3.5.21");
        let (_c, again) = module_with("go.mod", "require etcd v3.5.21");
        assert_ne!(old, new);
        assert_eq!(new, again);
    }

    #[test]
    fn a_changed_test_builds_nothing_anew() {
        let (_a, without) = module_with("cmd/x/x_test.go", "package x");
        let (_b, with) = module_with("cmd/x/y_test.go", "package y");
        assert_eq!(without, with);
    }

    #[tokio::test]
    async fn a_failed_build_ends_with_what_the_compiler_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("go.mod"), "module broken\n\ngo 1.23\n").unwrap();
        std::fs::write(folder.path().join("main.go"), "package main\n\nfunc main() { undefined() }\n").unwrap();
        let error = go_build(&MODULE, folder.path(), folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("undefined: undefined"), "{error}");
    }
}
