//! The programs of a local cluster, for callers that must not hold up their runtime.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use weir_setup::{Checkout, Program, Progress, find_programs};

/// Programs that are there, each with its path.
#[derive(Clone, Debug)]
pub struct Programs {
    paths: BTreeMap<Program, PathBuf>,
}

impl Programs {
    /// The programs of a control plane, built where they are missing.
    ///
    /// # Errors
    /// When a build fails.
    pub async fn of_control_plane(checkout: &Checkout, progress: &Progress) -> Result<Self> {
        Self::find(&Program::CONTROL_PLANE, checkout, progress).await
    }

    /// These programs, built where they are missing.
    ///
    /// # Errors
    /// When a build fails; the error ends with what the compiler said.
    pub async fn find(programs: &[Program], checkout: &Checkout, progress: &Progress) -> Result<Self> {
        let (wanted, checkout, progress) = (programs.to_vec(), checkout.clone(), progress.clone());
        let (found, finding) = tokio::sync::oneshot::channel();
        // No task of the runtime: it would wait for the build when it ends, but a build ends with the process.
        std::thread::spawn(move || {
            // The caller may have given up.
            let _ = found.send(find_programs(&wanted, &checkout, &progress));
        });
        Ok(Self { paths: finding.await.context("find the programs of a cluster")?? })
    }

    /// The path of a program.
    ///
    /// # Errors
    /// When it is not among these.
    pub fn path(&self, program: Program) -> Result<&Path> {
        let path = self.paths.get(&program).map(PathBuf::as_path);
        path.with_context(|| format!("{} was not asked for when the programs were looked up", program.name()))
    }
}
