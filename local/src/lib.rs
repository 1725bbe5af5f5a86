//! A Kubernetes control plane on a laptop: etcd, kube-apiserver, kube-controller-manager and kwok as plain
//! processes, without Docker, without root and without kubectl.
//!
//! [`Programs`] finds the binaries or builds them from the Go modules beside this crate; [`Cluster`] starts
//! them on free ports and sees to it that nothing stays behind, however its owner ends. What runs on the
//! cluster is its owner's business: this crate creates no nodes and no pods. A [`Scheduler`] and a [`Sidecar`]
//! can be run on it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use weir_local::{Cluster, Options, Programs, Progress, Checkout};
//! let progress = Progress::to_stderr();
//! let programs = Programs::of_control_plane(&Checkout::find()?, &progress).await?;
//! let cluster = Cluster::start(&programs, Options::default()).await?;
//! println!("KUBECONFIG={}", cluster.kubeconfig().display());
//! cluster.stop().await
//! # }
//! ```

mod cluster;
mod identity;
mod kept;
mod kuberay;
mod manifest;
mod port;
mod processes;
mod program;
mod scheduler;
mod sidecar;

pub use cluster::{Cluster, Options};
pub use identity::Identity;
pub use kept::{KeptCluster, kept_clusters};
pub use kuberay::KubeRay;
pub use manifest::{Manifest, apply};
pub use port::{Port, ReservedPort};
pub use processes::{Death, Process};
pub use program::Programs;
pub use scheduler::{Scheduler, SchedulerSettings};
pub use sidecar::{Sidecar, SidecarSettings};
pub use weir_setup::{Checkout, Program, Progress};

/// A pod with this annotation, a duration such as `1.5s`, ends as Succeeded that long after it began to run;
/// without it, it runs until it is deleted. Read by the fake kubelets (`kube/kwok-stages.yaml`).
pub const RUN_FOR_ANNOTATION: &str = "local.weir.dev/run-for";

/// How to watch a [`Cluster`] when no state may be missed: the API server tells what is there and what follows in
/// one answer.
///
/// With a list first, the watch behind it may come too late for a kind that is served only since a moment ago
/// ("too old resource version"): what came and went until the next list is never told then.
#[must_use]
pub fn every_state() -> kube::runtime::watcher::Config {
    kube::runtime::watcher::Config::default().streaming_lists()
}
