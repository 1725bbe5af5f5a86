//! What `make new-plugin` leaves is a plugin and no draft of one: it is tested, built and run as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use weir_local::Checkout;
use weir_tests::program::{Sandbox, to_its_end};
use weir_tests::setup::built;
use weir_tests::world::room;

/// A checkout with nothing in it but what a plugin needs. It takes what is compiled already for the whole one, and
/// keeps modules to itself: what lies in `target/plugins` runs in every `make run`.
struct Bare {
    whole: PathBuf,
    root: PathBuf,
    target: PathBuf,
}

impl Bare {
    fn new() -> Result<Self> {
        let (whole, shared) = (Checkout::find()?.root().to_owned(), built("")?);
        // Always the same, because cargo compiles anew what lies in another folder than before.
        let folder = shared.join("new-plugin");
        let (root, target) = (folder.join("checkout"), folder.join("target"));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
        }
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&target)?;
        symlink(whole.join("sdk"), root.join("sdk"))?;
        for of_cargo in ["bin", "debug", "plugin", "wasm32-unknown-unknown"] {
            symlink(shared.join(of_cargo), target.join(of_cargo))?;
        }
        for file in ["Cargo.lock", "rust-toolchain.toml"] {
            fs::copy(whole.join(file), root.join(file)).with_context(|| format!("copy {file}"))?;
        }
        fs::write(root.join("Cargo.toml"), workspace(&fs::read_to_string(whole.join("Cargo.toml"))?, &whole)?)?;
        Ok(Self { whole, root, target })
    }

    /// Runs make.
    async fn make(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("make");
        command.arg("--file").arg(self.whole.join("Makefile")).args(arguments);
        // With the flags of the whole checkout, or everything would be compiled again for them.
        command.arg(format!("CURDIR={}", self.whole.display()));
        self.run(command).await
    }

    async fn run(&self, mut command: Command) -> Result<()> {
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).env("CARGO_NET_OFFLINE", "true");
        // It is not a part of the make that may run these tests.
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        let ended = to_its_end(&mut command).await?;
        ensure!(ended.code == Some(0), "{command:?}\n{}{}", ended.stdout, ended.stderr);
        Ok(())
    }
}

/// The workspace of the whole checkout with the plugins as its only members.
fn workspace(whole: &str, root: &Path) -> Result<String> {
    let (before, rest) = whole.split_once("members = [").context("members of the workspace")?;
    let (_, behind) = rest.split_once(']').context("the end of the members")?;
    let elsewhere = format!("path = \"{}/", root.display());
    Ok(format!("{before}members = [\"plugins/*\"]{}", behind.replace("path = \"", &elsewhere)))
}

#[tokio::test]
async fn a_new_plugin_passes_its_tests_is_built_and_decides_in_a_run() -> Result<()> {
    let (sandbox, bare) = (Sandbox::new()?, Bare::new()?);
    bare.make(&["new-plugin", "NAME=zone-filter"]).await?;
    let mut tests = Command::new("cargo");
    tests.args(["test", "--quiet", "--package", "zone-filter"]);
    bare.run(tests).await?;
    bare.make(&["step-plugins"]).await?;

    // As `make run` does with the plugins of a checkout.
    let plugins = sandbox.path().join("plugins");
    fs::create_dir(&plugins)?;
    for folder in [built("plugins/packed")?, bare.target.join("plugins/packed")] {
        for file in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let file = file?;
            fs::copy(file.path(), plugins.join(file.file_name()))?;
        }
    }
    let (_room, mut run) = (room().await?, Command::new(built("bin/weir-demo")?));
    run.args(["--nodes", "12", "--pods", "20", "--plugins"]).arg(plugins).env("TMPDIR", sandbox.path());
    let ended = to_its_end(&mut run).await?;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let last = ended.stdout.lines().last().context("it printed nothing")?;
    let document: Value = serde_json::from_str(last).with_context(|| format!("read the last line: {last}"))?;
    assert!(document["plugins"]["ZoneFilter"]["calls"].as_u64() > Some(0), "{last}");
    assert_eq!(document["violations"], 0, "{last}");
    Ok(())
}
