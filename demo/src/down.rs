//! `weir-demo down`: ends the clusters that `weir-demo --keep` left up.

use std::process::ExitCode;

use weir_local::{KeptCluster, kept_clusters};

/// Ends every kept cluster of this user and says which.
pub(crate) fn main() -> ExitCode {
    let kept = kept_clusters();
    if kept.is_empty() {
        eprintln!("no cluster was kept");
    }
    let mut code = ExitCode::SUCCESS;
    for cluster in kept {
        let kubeconfig = cluster.kubeconfig().display().to_string();
        match KeptCluster::end(cluster) {
            Ok(()) => eprintln!("ended the cluster of {kubeconfig}"),
            Err(error) => {
                eprintln!("weir-demo down: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
