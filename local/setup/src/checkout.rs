//! Where the sources are: the programs are built from Go modules, and so need a checkout of the project.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A checkout of the project, with its ignored folder for built programs.
#[derive(Clone, Debug)]
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// The checkout that the current folder lies in, or else the one this crate was compiled from.
    ///
    /// # Errors
    /// When neither exists any more.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("find the current folder")?;
        here.ancestors()
            .chain(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors())
            .find(|folder| folder.join("local/kube/go.mod").is_file())
            .map(Self::at)
            .context("find a checkout of Weir: run this inside one, the programs are built from its Go modules")
    }

    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where built programs are kept, ignored by git.
    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join(".cache/programs")
    }

    /// Where a step's output goes, ignored by git.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.root.join(format!(".cache/logs/{step}.log"))
    }
}
