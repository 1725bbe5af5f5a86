//! Starts a control plane, says where its kubeconfig is, and ends it at Ctrl-C.

use anyhow::Result;
use weir_local::{Checkout, Cluster, Options, Programs, Progress};

#[tokio::main]
async fn main() -> Result<()> {
    let progress = Progress::to_stderr();
    let programs = Programs::of_control_plane(&Checkout::find()?, &progress).await?;
    let start = Cluster::start(&programs, Options::default());
    let cluster = progress.step("start the control plane", std::time::Duration::from_secs(5), start).await?;
    println!("KUBECONFIG={}", cluster.kubeconfig().display());
    tokio::select! {
        death = cluster.death() => return Err(death.into()),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    cluster.stop().await
}
