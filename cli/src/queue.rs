//! `kubectl weir queue`: the pods and gangs that wait for admission, in the queue's order, with what they ask for.
//!
//! The order is the sidecar's (priority, then creation, then UID; a gang stands where its first member does),
//! worked out from the objects, so that it is right while the sidecar is down too. The reason for a wait is the one
//! that the pod's condition gives.

mod rows;
#[cfg(test)]
mod tests;
mod view;

use anyhow::Result;
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use weir_api::names;

use crate::amounts::special_models;
use crate::cluster::{Cluster, ClusterArgs, Format, print_json, say};
use crate::draw::Paint;
use crate::gangs::Gangs;
use crate::pools::{self, Tree};

use rows::Queues;

const EXAMPLES: &str = "Examples:
  kubectl weir queue                    every pool's queue, the first 20 of each
  kubectl weir queue research           the queues of a pool and of those below it
  kubectl weir queue -n team --first 0  all that wait in a namespace
  kubectl weir queue -o json | jq '.queues[].waiting[] | select(.reason == \"Misconfigured\")'

Order: priority, then creation, then UID. Others may pass a blocked head until it has waited for the pool's patience.
`kubectl weir explain POD` says more about one of them.";

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct QueueArgs {
    /// Show the queues of this pool and of those below it
    #[arg(value_name = "POOL")]
    pool: Option<String>,
    /// Show this namespace only; the places in the queue stay those among all
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Show this many of each queue, 0 for all; JSON has all of them
    #[arg(long, value_name = "N", default_value_t = 20)]
    first: usize,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(crate) async fn run(args: &QueueArgs) -> Result<()> {
    let cluster = Cluster::of(&args.cluster).await?;
    let objects = pools::all(&cluster).await?;
    let mut pools: Vec<String> = Vec::new();
    if let Some(pool) = &args.pool {
        pools = Tree::of(&objects).below(pool)?.pools.into_iter().map(|row| row.name).collect();
    }
    let pods = waiting(&cluster, &pools).await?;
    let gangs =
        Gangs::of(cluster.list(Api::all(cluster.client.clone()), "gangs.weir.dev", ListParams::default()).await?);
    let mut queues = Queues::of(&pods, &gangs, &special_models(&objects));
    if let Some(namespace) = &args.namespace {
        queues.keep(namespace);
    }
    match args.output {
        Format::Json => print_json(&queues),
        Format::Text => say(&view::draw(&queues, args.first, jiff::Timestamp::now(), Paint::of_stdout())),
    }
}

/// The managed pods of some pools, or of all where none is named. The label that the webhook mirrors the pool to
/// tells them from others.
pub(crate) async fn waiting(cluster: &Cluster, pools: &[String]) -> Result<Vec<Pod>> {
    let selector = match pools {
        [] => names::POOL.to_owned(),
        pools => format!("{} in ({})", names::POOL, pools.join(",")),
    };
    // A bound pod waits for nothing.
    let params = ListParams::default().labels(&selector).fields("spec.nodeName=");
    cluster.list(Api::all(cluster.client.clone()), "pods", params).await
}
