//! What a machine lacks is found before anything is built: `local/preflight` on machines that are made of scripts.
//!
//! Each machine has a `PATH` of its own with the shell's usual tools and a rustup, a Go and a C compiler that do what
//! the test says. Their checkout is one of its own too, so that a new version here changes no sentence there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the scripts need to run at all.
const TOOLS: &[&str] = &[
    "awk", "bash", "basename", "cat", "dirname", "env", "git", "head", "make", "mkdir", "mktemp", "rm", "sed", "sh",
    "sort", "tail", "touch", "uname",
];

/// Says whether it was called to build, and behaves as its machine has it. `$HAS` is a folder with a file for each
/// thing that is installed.
const RUSTC: &str = r#"
[ -e "$HAS/rust" ] || { echo "error: toolchain '1.95.0-x86_64-unknown-linux-gnu' is not installed" >&2; exit 1; }
case "$*" in
--version) echo "rustc $(cat "$HAS/rust") (59807616e 2026-04-14)" ;;
*wasm32-unknown-unknown*--crate-type*-) [ -e "$HAS/wasm" ] || { echo "error[E0463]: can't find crate for core" >&2; exit 1; } ;;
*) touch "$HAS/built" ;;
esac
"#;
const CARGO: &str = r#"
[ -e "$HAS/rust" ] || exit 1
case "$*" in
--version) ;;
"fmt --version") [ -e "$HAS/rustfmt" ] ;;
"clippy --version") [ -e "$HAS/clippy" ] ;;
*) touch "$HAS/built" ;;
esac
"#;
const RUSTUP: &str = r#"
echo "$*" >>"$HAS/asked"
[ ! -e "$HAS/no-network" ] || { echo "info: downloading component" >&2; echo "error: could not download file" >&2; exit 1; }
case "$*" in
"toolchain install"*) echo 1.95.0 >"$HAS/rust"; touch "$HAS/wasm" "$HAS/rustfmt" "$HAS/clippy" ;;
"target add"*) [ -e "$HAS/damaged" ] || touch "$HAS/wasm" ;;
"component add"*) shift 2; for name; do touch "$HAS/$name"; done ;;
esac
"#;
const GO: &str = r#"
case "$*" in
"env GOVERSION")
    if [ -e "$HAS/go-fetches" ] && [ "${GOTOOLCHAIN:-}" != local ]; then echo go1.26.0; else echo "go$(cat "$HAS/go")"; fi ;;
"env GOCACHE") echo "$HOME/cache/build" ;;
"env GOMODCACHE") echo "$HOME/cache/modules" ;;
*) touch "$HAS/built" ;;
esac
"#;
const DF: &str = r#"
for folder; do :; done
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
case "$folder" in
*/cache | */cache/*) echo "/dev/b 500000000 1 $(cat "$HAS/disk-b") 50% /cache" ;;
*) echo "/dev/a 500000000 1 $(cat "$HAS/disk-a") 50% /" ;;
esac
"#;
const CC: &str = r#"[ -e "$HAS/headers" ] || { echo "fatal error: stdlib.h: No such file or directory" >&2; exit 1; }"#;

/// A machine with a checkout in which `scheduler` asks for Go 1.24.0 and `local/kube` for Go 1.26.0.
struct Machine {
    folder: tempfile::TempDir,
}

/// What a command answered.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    lines: Vec<String>,
}

impl Machine {
    /// One that has all that is needed, installed by rustup, and where nothing was built yet.
    fn complete() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for folder in ["has", "bin", "checkout/.ci", "checkout/local/kube", "checkout/scheduler", "cache"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        for file in ["local/preflight", "Makefile", ".ci/run"] {
            fs::copy(source.join(file), machine.path("checkout").join(file)).unwrap();
        }
        machine.write("checkout/rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n");
        machine.write("checkout/scheduler/go.mod", "module weir.dev/scheduler\n\ngo 1.24.0\n");
        let kube = "module weir.dev/local/kube\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/kubernetes v1.37.2\n)\n";
        machine.write("checkout/local/kube/go.mod", kube);
        for tool in TOOLS {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file());
            symlink(found.unwrap(), machine.path("bin").join(tool)).unwrap();
        }
        let scripts = [("rustc", RUSTC), ("cargo", CARGO), ("rustup", RUSTUP), ("go", GO), ("cc", CC), ("df", DF)];
        for (name, script) in scripts {
            let file = machine.path("bin").join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}")).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let disks = machine.has("disk-a", "100000000").has("disk-b", "100000000");
        let rust = disks.has("rust", "1.95.0").has("wasm", "").has("rustfmt", "").has("clippy", "");
        rust.has("go", "1.26.8").has("headers", "")
    }

    fn has(self, what: &str, text: &str) -> Self {
        self.write(&format!("has/{what}"), text);
        self
    }

    fn lacks(self, what: &str) -> Self {
        fs::remove_file(self.path("has").join(what)).unwrap();
        self
    }

    fn without(self, program: &str) -> Self {
        fs::remove_file(self.path("bin").join(program)).unwrap();
        self
    }

    /// Runs the preflight of a build.
    fn before_a_build(&self) -> Answer {
        self.run(&mut Command::new(self.path("checkout/local/preflight")))
    }

    /// Runs the preflight of `make lint`.
    fn before_lint(&self) -> Answer {
        self.run(Command::new(self.path("checkout/local/preflight")).arg("lint"))
    }

    /// Runs a command, which must build nothing and print nothing but errors.
    fn run(&self, command: &mut Command) -> Answer {
        let Output { status, stdout, stderr } = command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.folder.path())
            .env("HAS", self.path("has"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(stdout).unwrap(), "");
        assert!(!self.path("has/built").exists(), "something was built");
        Answer { code: status.code(), lines: String::from_utf8(stderr).unwrap().lines().map(str::to_owned).collect() }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).unwrap();
    }
}

impl Answer {
    fn passes<const N: usize>(lines: [&str; N]) -> Self {
        Self { code: Some(0), lines: lines.map(str::to_owned).to_vec() }
    }

    fn fails<const N: usize>(lines: [&str; N]) -> Self {
        Self { code: Some(1), lines: lines.map(str::to_owned).to_vec() }
    }
}

#[test]
fn a_complete_machine_passes_without_a_word() {
    let machine = Machine::complete();
    assert_eq!(machine.before_a_build(), Answer::passes([]));
    assert_eq!(machine.before_lint(), Answer::passes([]));
}

#[test]
fn a_distributions_rust_that_compiles_modules_needs_no_rustup() {
    let machine = Machine::complete().without("rustup").has("rust", "1.96.0");
    assert_eq!(machine.before_lint(), Answer::passes([]));
}

#[test]
fn rustup_installs_a_missing_toolchain() {
    let machine = Machine::complete().lacks("rust").lacks("wasm").lacks("rustfmt").lacks("clippy");
    assert_eq!(
        machine.before_lint(),
        Answer::passes(["preflight: installing Rust 1.95.0 (rustup toolchain install 1.95.0 --no-self-update \
             --profile minimal --component rustfmt --component clippy --target wasm32-unknown-unknown)"])
    );
}

#[test]
fn rustup_installs_a_missing_target() {
    assert_eq!(
        Machine::complete().lacks("wasm").before_a_build(),
        Answer::passes(["preflight: installing the target wasm32-unknown-unknown \
             (rustup target add wasm32-unknown-unknown)"])
    );
}

#[test]
fn rustup_installs_missing_components_for_lint_alone() {
    let machine = Machine::complete().lacks("rustfmt").lacks("clippy");
    assert_eq!(machine.before_a_build(), Answer::passes([]));
    assert_eq!(
        machine.before_lint(),
        Answer::passes(["preflight: installing rustfmt clippy (rustup component add rustfmt clippy)"])
    );
    assert_eq!(machine.before_lint(), Answer::passes([]));
}

#[test]
fn without_a_network_a_missing_target_is_a_sentence() {
    assert_eq!(
        Machine::complete().lacks("wasm").has("no-network", "").before_a_build(),
        Answer::fails([
            "preflight: installing the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)",
            "preflight: rustup could not install the target wasm32-unknown-unknown (could not download file): see that \
             the network works and type `rustup target add wasm32-unknown-unknown`",
        ])
    );
}

#[test]
fn without_a_network_a_missing_toolchain_is_a_sentence() {
    let install = "rustup toolchain install 1.95.0 --no-self-update --profile minimal --component rustfmt \
                   --component clippy --target wasm32-unknown-unknown";
    assert_eq!(
        Machine::complete().lacks("rust").has("no-network", "").before_a_build(),
        Answer::fails([
            &format!("preflight: installing Rust 1.95.0 ({install})"),
            &format!(
                "preflight: rustup could not install Rust 1.95.0 (could not download file): see that the network works \
                 and type `{install}`"
            ),
        ])
    );
}

#[test]
fn a_target_whose_files_are_gone_is_a_sentence() {
    assert_eq!(
        Machine::complete().lacks("wasm").has("damaged", "").before_a_build(),
        Answer::fails([
            "preflight: installing the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)",
            "preflight: Rust 1.95.0 has the target wasm32-unknown-unknown, but files of it are missing: type \
             `rustup toolchain uninstall 1.95.0` and start again",
        ])
    );
}

#[test]
fn no_rust_at_all_is_a_sentence() {
    assert_eq!(
        Machine::complete().without("rustup").without("rustc").without("cargo").before_a_build(),
        Answer::fails([&format!("preflight: Rust 1.95.0 is missing: type `{INSTALL_RUSTUP}`")])
    );
}

#[test]
fn a_distributions_rust_that_is_too_old_is_a_sentence() {
    assert_eq!(
        Machine::complete().without("rustup").has("rust", "1.63.0").before_a_build(),
        Answer::fails([&format!("preflight: Rust is 1.63.0 and Weir is built with 1.95.0: type `{INSTALL_RUSTUP}`")])
    );
}

#[test]
fn a_distributions_rust_without_the_target_is_a_sentence() {
    assert_eq!(
        Machine::complete().without("rustup").lacks("wasm").before_a_build(),
        Answer::fails([&format!(
            "preflight: Rust 1.95.0 cannot compile for wasm32-unknown-unknown, which the plugins are built for: type \
             `{INSTALL_RUSTUP}`"
        )])
    );
}

#[test]
fn a_distributions_rust_without_clippy_is_a_sentence_for_lint_alone() {
    let machine = Machine::complete().without("rustup").lacks("clippy");
    assert_eq!(machine.before_a_build(), Answer::passes([]));
    assert_eq!(
        machine.before_lint(),
        Answer::fails([&format!(
            "preflight: Rust 1.95.0 lacks clippy, which `make lint` runs: type `{INSTALL_RUSTUP}`"
        )])
    );
}

#[test]
fn a_missing_go_is_a_sentence_with_the_highest_version_that_a_module_asks_for() {
    assert_eq!(
        Machine::complete().without("go").before_a_build(),
        Answer::fails([&format!("preflight: Go 1.26.0 is missing: type `{}`", install_go())])
    );
}

#[test]
fn a_go_that_is_too_old_is_a_sentence() {
    assert_eq!(
        Machine::complete().has("go", "1.24.4").before_a_build(),
        Answer::fails([&format!(
            "preflight: Go is 1.24.4 and local/kube/go.mod asks for 1.26.0: type `{}`",
            install_go()
        )])
    );
}

#[test]
fn a_go_that_may_fetch_a_newer_one_passes_and_says_so() {
    assert_eq!(
        Machine::complete().has("go", "1.24.4").has("go-fetches", "").before_a_build(),
        Answer::passes(["preflight: Go 1.24.4 fetched Go 1.26.0, which local/kube/go.mod asks for"])
    );
}

#[test]
fn a_missing_c_compiler_or_one_without_headers_is_a_sentence() {
    let sentence = "preflight: a C compiler is missing: type `sudo apt-get install gcc libc6-dev` (Debian, Ubuntu) or \
                    `sudo dnf install gcc glibc-devel` (Fedora)";
    assert_eq!(Machine::complete().without("cc").before_a_build(), Answer::fails([sentence]));
    assert_eq!(Machine::complete().lacks("headers").before_a_build(), Answer::fails([sentence]));
}

#[test]
fn too_little_disk_is_a_sentence() {
    assert_eq!(
        Machine::complete().has("disk-a", "15500000").before_a_build(),
        Answer::fails([
            "preflight: / has 15 GB free and this build needs 16 GB there: make room, or build on another \
             disk with `export CARGO_TARGET_DIR=/ANOTHER/DISK/target`"
        ])
    );
    assert_eq!(
        Machine::complete().has("disk-b", "8000000").before_a_build(),
        Answer::fails(["preflight: /cache has 8 GB free and this build needs 9 GB there: make room, or build on \
             another disk with `export CARGO_TARGET_DIR=/ANOTHER/DISK/target`"])
    );
}

#[test]
fn what_was_built_before_needs_little_disk() {
    let machine = Machine::complete().has("disk-a", "3000000").has("disk-b", "1000000");
    for folder in ["checkout/target/bin", "checkout/.cache/programs", "cache/modules/k8s.io/kubernetes@v1.37.2"] {
        fs::create_dir_all(machine.path(folder)).unwrap();
    }
    machine.write("checkout/target/bin/weir", "");
    assert_eq!(machine.before_a_build(), Answer::passes([]));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    assert_eq!(
        Machine::complete().without("rustup").without("rustc").without("go").without("cc").before_a_build().lines.len(),
        3
    );
}

#[test]
fn every_make_target_that_builds_asks_first() {
    let machine = Machine::complete().without("go");
    let sentence = format!("preflight: Go 1.26.0 is missing: type `{}`", install_go());
    let makefile = fs::read_to_string(machine.path("checkout/Makefile")).unwrap();
    let explained = makefile.lines().filter(|line| line.contains(": ") && line.contains(" ## "));
    let targets: Vec<_> = explained.filter_map(|line| line.split_once(':')).map(|(target, _)| target).collect();
    assert!(targets.contains(&"run"));
    for target in targets.into_iter().filter(|target| !["help", "clean"].contains(target)) {
        let answer = machine
            .run(Command::new("make").args(["--no-print-directory", "-C"]).arg(machine.path("checkout")).arg(target));
        assert_eq!((answer.code, &answer.lines[0]), (Some(2), &sentence), "make {target}");
    }
}

#[test]
fn ci_asks_first() {
    let machine = Machine::complete().without("go").lacks("clippy").has("no-network", "");
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-C"];
        let said = Command::new("git").args(who).arg(machine.path("checkout")).args(arguments).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "all"]);
    let answer = machine.run(&mut Command::new(machine.path("checkout/.ci/run")));
    assert_eq!(answer.code, Some(2));
    assert_eq!(
        answer.lines[..3],
        [
            "preflight: installing clippy (rustup component add clippy)".to_owned(),
            "preflight: rustup could not install clippy (could not download file): see that the network works and type \
             `rustup component add clippy`"
                .to_owned(),
            format!("preflight: Go 1.26.0 is missing: type `{}`", install_go()),
        ]
    );
}

const INSTALL_RUSTUP: &str =
    "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env";

fn install_go() -> String {
    let machine = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    format!(
        "mkdir -p ~/.go-1.26.0 && curl -sSfL https://go.dev/dl/go1.26.0.linux-{machine}.tar.gz | tar -xz -C ~/.go-1.26.0 \
         --strip-components=1 && export PATH=~/.go-1.26.0/bin:$PATH"
    )
}
