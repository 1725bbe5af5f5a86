//! KubeRay on a local cluster: its custom resources and its operator, as they are released.
//!
//! The custom resources come from the operator's own Go module, so that both are always of one version and
//! twenty thousand lines of KubeRay's schema need not be kept here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Checkout, Cluster, Identity, Process, Program, Programs};

/// The module that the operator is.
const MODULE: &str = "github.com/ray-project/kuberay/ray-operator";

/// KubeRay's operator on a cluster.
#[derive(Debug)]
pub struct KubeRay {
    process: Process,
}

impl KubeRay {
    /// The files with the custom resources, in a folder of Go's cache; apply them before the operator starts.
    ///
    /// # Errors
    /// When Go cannot be run, or the module has no such files.
    pub async fn custom_resources(checkout: &Checkout) -> Result<Vec<PathBuf>> {
        let folder = checkout.root().join("local/ray");
        let output = tokio::process::Command::new("go")
            .args(["list", "-m", "-f", "{{.Dir}}", MODULE])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("run go, which has KubeRay's module; install Go 1.26 or later (go.dev/dl)")?;
        if !output.status.success() {
            bail!("go list in {} failed: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
        }
        let module = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let bases = module.join("config/crd/bases");
        let entries = std::fs::read_dir(&bases).with_context(|| format!("list {}", bases.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        ensure!(!files.is_empty(), "{} holds no custom resources", bases.display());
        files.sort();
        Ok(files)
    }

    /// Starts the operator; it works as soon as it has listed what is there.
    ///
    /// # Errors
    /// When it was not among `programs`, or cannot be started.
    pub fn start(cluster: &Cluster, programs: &Programs) -> Result<Self> {
        let identity = Identity::user("kuberay-operator").in_group("system:masters");
        let arguments = [
            format!("--kubeconfig={}", cluster.kubeconfig_of(&identity)?.display()),
            "--enable-leader-election=false".into(),
            // No test reads either, and a port that is not needed cannot be in use.
            "--metrics-addr=0".into(),
            "--health-probe-bind-address=0".into(),
            // Without it a RayCluster with a suspended worker group is refused.
            "--feature-gates=RayJobDeletionPolicy=true".into(),
        ];
        let program = programs.path(Program::RayOperator)?;
        let process = cluster.run("ray-operator", program, &arguments, &BTreeMap::new())?;
        Ok(Self { process })
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }
}
