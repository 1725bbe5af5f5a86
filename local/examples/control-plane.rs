//! Starts a control plane, prints where its kubeconfig is, and stops it at Ctrl-C.

use anyhow::Result;
use weir_local::{Checkout, Cluster, Options, Programs, Progress};

#[tokio::main]
async fn main() -> Result<()> {
    let progress = Progress::to_stderr();
    let programs = Programs::of_control_plane(&Checkout::find()?, &progress).await?;
    let cluster = Cluster::start(&programs, Options::default()).await?;
    println!("KUBECONFIG={}", cluster.kubeconfig().display());
    tokio::select! {
        death = cluster.death() => return Err(death.into()),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    cluster.stop().await
}
