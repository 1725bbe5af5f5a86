//! Which programs a local cluster is made of, and where to find them.
//!
//! A program that the user already has is taken when its version fits (`KUBEBUILDER_ASSETS`, then `PATH`); otherwise it
//! is built from its Go module, once, and kept until the module changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::children::Children;
use crate::go_module::GoModule;
use crate::{Checkout, Progress};

/// A program of a local cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// Namespaces, service accounts, garbage collection, disruption budgets, jobs, node lifecycle.
    ControllerManager,
    /// The fake kubelets.
    Kwok,
    /// Weir's scheduler: upstream's command with a host for plugins that are WebAssembly modules.
    Scheduler,
    /// The unmodified scheduler of kube-scheduler-wasm-extension, for comparison.
    ExtensionScheduler,
    /// KubeRay's operator, which makes pods of RayClusters and RayJobs.
    RayOperator,
}

/// The control plane: one module, so that what its programs share is compiled once.
const KUBE: GoModule = GoModule {
    folder: "local/kube",
    what: "kube-apiserver and kube-controller-manager 1.37.2, etcd 3.7.0, kwok 0.8.0",
    expected: Duration::from_secs(360),
    packages: &["./cmd/kube-apiserver", "./cmd/kube-controller-manager", "./cmd/etcd", "sigs.k8s.io/kwok/cmd/kwok"],
    linker: KUBE_1_37,
};
const SCHEDULER: GoModule = GoModule {
    folder: "scheduler",
    what: "weir-scheduler",
    expected: Duration::from_secs(60),
    packages: &["./cmd/weir-scheduler"],
    linker: KUBE_1_37,
};
const EXTENSION: GoModule = GoModule {
    folder: "tests/extension",
    what: "the unmodified kube-scheduler-wasm-extension",
    expected: Duration::from_secs(230),
    packages: &["sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/cmd/scheduler"],
    linker: KUBE_1_32,
};
const RAY: GoModule = GoModule {
    folder: "local/ray",
    what: "the KubeRay operator 1.4.2",
    expected: Duration::from_secs(120),
    packages: &["github.com/ray-project/kuberay/ray-operator"],
    linker: "",
};
// Without these the binaries call themselves v0.0.0, which clients refuse to compare.
const KUBE_1_37: &str = "-X k8s.io/component-base/version.gitVersion=v1.37.2 \
                         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37";
const KUBE_1_32: &str = "-X k8s.io/component-base/version.gitVersion=v1.32.13 \
                         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=32";

impl Program {
    /// The programs of a control plane.
    pub const CONTROL_PLANE: [Self; 4] = [Self::ApiServer, Self::ControllerManager, Self::Etcd, Self::Kwok];

    /// The name of the binary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kwok => "kwok",
            Self::Scheduler => "weir-scheduler",
            Self::ExtensionScheduler => "scheduler",
            Self::RayOperator => "ray-operator",
        }
    }

    const fn module(self) -> &'static GoModule {
        match self {
            Self::Etcd | Self::ApiServer | Self::ControllerManager | Self::Kwok => &KUBE,
            Self::Scheduler => &SCHEDULER,
            Self::ExtensionScheduler => &EXTENSION,
            Self::RayOperator => &RAY,
        }
    }

    /// What `--version` of a binary that the user has must contain for it to be taken.
    ///
    /// A controller manager may not be newer than its API server. Schedulers are never taken from elsewhere:
    /// they are what is developed here. Nor is KubeRay's operator, which comes with its custom resources and does
    /// not say its version.
    const fn versions_that_fit(self) -> &'static [&'static str] {
        match self {
            Self::Etcd => &["etcd Version: 3.6.", "etcd Version: 3.7."],
            Self::ApiServer | Self::ControllerManager => &["Kubernetes v1.37."],
            Self::Kwok => &["kwok version v0.8.", "kwok version 0.8."],
            Self::Scheduler | Self::ExtensionScheduler | Self::RayOperator => &[],
        }
    }

    fn users_own(self) -> Option<PathBuf> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates = assets.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(self.name()));
        candidates.filter(|file| !self.versions_that_fit().is_empty() && file.is_file()).find(|file| {
            let Ok(output) = std::process::Command::new(file).arg("--version").output() else { return false };
            let version = String::from_utf8_lossy(&output.stdout).into_owned();
            self.versions_that_fit().iter().any(|fits| version.contains(fits))
        })
    }
}

/// Finds these programs, and builds those that are missing. A build ends with this process.
///
/// # Errors
/// When a build fails; the error ends with what the compiler said.
pub fn find_programs(
    wanted: &[Program],
    checkout: &Checkout,
    progress: &Progress,
) -> Result<BTreeMap<Program, PathBuf>> {
    find(wanted, checkout, &Children::new()?, progress)
}

/// As [`find_programs`], one module after the other, because a Go build keeps all cores busy by itself, and two would
/// fight for memory.
pub(crate) fn find(
    wanted: &[Program],
    checkout: &Checkout,
    children: &Children,
    progress: &Progress,
) -> Result<BTreeMap<Program, PathBuf>> {
    let find = |&program: &Program| {
        let path = match program.users_own() {
            Some(path) => path,
            None => program.module().build(checkout, children, progress)?.join(program.name()),
        };
        Ok((program, path))
    };
    wanted.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_built_by_its_module() {
        let others = [Program::Scheduler, Program::ExtensionScheduler, Program::RayOperator];
        let all = [Program::CONTROL_PLANE.as_slice(), &others].concat();
        for program in all {
            let packages = program.module().packages;
            let built = packages.iter().any(|package| package.rsplit('/').next() == Some(program.name()));
            assert!(built, "{program:?} is not built from {packages:?}");
        }
    }
}
