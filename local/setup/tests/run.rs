//! What the user of `make` sees of a build, with a make and a Go of the test's own in place of compilers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A checkout with nothing in it but the modules' files, and a folder with the programs that are called.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// `make` and `go` are scripts; Go leaves a scheduler where it is told to.
    fn new(make: &str, go: &str) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        for module in ["scheduler", "local/kube"] {
            fs::create_dir_all(bench.path(module)).unwrap();
            fs::write(bench.path(module).join("go.mod"), format!("module {module}\n")).unwrap();
        }
        fs::create_dir(bench.path("bin")).unwrap();
        for (name, script) in [("make", make), ("go", go)] {
            let file = bench.path("bin").join(name);
            let leave = r#"for word; do case "$word" in */*.partial/) : >"$word/weir-scheduler" ;; esac; done"#;
            fs::write(&file, format!("#!/bin/sh\n{script}\n{leave}\n")).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for fifo in ["alive", "go-began"] {
            assert!(Command::new("mkfifo").arg(bench.path(fifo)).status().unwrap().success());
        }
        bench
    }

    fn setup(&self, steps: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-setup"));
        command.args(steps).current_dir(self.folder.path()).env_remove("CARGO_TARGET_DIR").stderr(Stdio::piped());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display())).env("ROOT", self.folder.path());
        command
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }
}

/// The lines of progress without their times, and everything else as it is.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('·'));
    lines
        .map(|line| if line.starts_with(['✓', '✗']) { line.split_once(": ").unwrap().0 } else { line }.to_owned())
        .collect()
}

#[test]
fn every_step_is_a_line_without_a_terminal() {
    let output = Bench::new("", "").setup(&["rust", "plugins"]).output().unwrap();
    assert_eq!((output.status.code(), said(&output)), (Some(0), vec!["✓ programs in Rust".into(), "✓ plugins".into()]));
}

#[test]
fn every_go_module_is_a_line_until_it_is_built() {
    let bench = Bench::new("", "");
    let first = bench.setup(&["programs"]).output().unwrap();
    assert_eq!(first.status.code(), Some(0));
    let lines = said(&first);
    assert!(lines[0].starts_with("✓ kube-apiserver and kube-controller-manager 1."), "{lines:?}");
    assert_eq!(lines[1..], ["✓ weir-scheduler"]);
    assert!(bench.path("target/bin/weir-scheduler").is_file());
    assert_eq!(said(&bench.setup(&["programs"]).output().unwrap()), Vec::<String>::new());
}

#[test]
fn rust_and_go_are_built_at_the_same_time() {
    // Each end of a pipe in the file system is opened when the other one is.
    let bench =
        Bench::new(r#"cat "$ROOT/go-began" >/dev/null"#, r#"[ "$PWD" != "$ROOT/local/kube" ] || : >"$ROOT/go-began""#);
    let output = bench.setup(&["rust", "programs"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_first_error_is_shown_once_and_ends_everything_else() {
    let go = r#"exec 9>"$ROOT/alive"; : >"$ROOT/go-began"; sleep 1000"#;
    let make = r#": <"$ROOT/go-began"; echo 'error: no such type'; echo 'make: *** [step-rust] Error 101' >&2; exit 2"#;
    let bench = Bench::new(make, go);
    let build = bench.setup(&["rust", "plugins", "programs"]).spawn().unwrap();
    // Opened once Go runs, and at its end once nothing of it runs any more.
    let mut alive = File::open(bench.path("alive")).unwrap();
    alive.read_to_end(&mut Vec::new()).unwrap();
    let output = build.wait_with_output().unwrap();
    let log = fs::canonicalize(bench.path(".cache/logs/rust.log")).unwrap();
    let error = format!("make ended with exit status: 2; the end of {}:", log.display());
    assert_eq!(
        (output.status.code(), said(&output)),
        (Some(1), vec!["✗ programs in Rust".into(), error, "error: no such type".into()])
    );
}

#[test]
fn nothing_goes_on_after_the_build_was_killed() {
    let bench = Bench::new(r#"exec 9>"$ROOT/alive"; sleep 1000 & sleep 1000"#, "");
    let mut build = bench.setup(&["rust"]).spawn().unwrap();
    // As above.
    let mut alive = File::open(bench.path("alive")).unwrap();
    build.kill().unwrap();
    alive.read_to_end(&mut Vec::new()).unwrap();
    build.wait().unwrap();
}

#[test]
fn a_step_that_does_not_exist_is_refused() {
    let output = Bench::new("", "").setup(&["rusty"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output)[0].starts_with("weir-setup: rusty is no step; take of rustfmt, "), "{output:?}");
}
