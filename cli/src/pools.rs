//! `kubectl weir pools`: the tree of pools as the cluster reports it.
//!
//! Reads `ResourcePool` objects and shows their figures; computes no entitlement. `rows` turns objects into
//! figures, `view` into a drawing, and the JSON answer is the rows themselves.

mod rows;
#[cfg(test)]
mod tests;
mod view;

use anyhow::Result;
use clap::Args;
use kube::Api;
use kube::api::ListParams;
use weir_api::ResourcePool;

use crate::cluster::{Cluster, ClusterArgs, Format, print_json, say};
use crate::draw::Paint;

pub(crate) use rows::{PoolRow, Tree};

/// What the API calls pools.
pub(crate) const POOLS: &str = "resourcepools.weir.dev";

const EXAMPLES: &str = "Examples:
  kubectl weir pools                        the whole tree, resource by resource
  kubectl weir pools research               one pool with what is below it
  kubectl weir pools -r nvidia.com/gpu      GPUs only
  kubectl weir pools -o json | jq '.pools[] | select(.pending > 0).name'

Columns: what a pool reserves, what it is entitled to now, what its pods use, what its waiting pods ask for (demand),
and how much of the entitlement is borrowed. All pools of a resource are drawn on one scale. In JSON, amounts are whole
numbers in the resource's base unit (milli-CPU, bytes, devices).";

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PoolsArgs {
    /// Show this pool and what is below it
    #[arg(value_name = "POOL")]
    pool: Option<String>,
    /// Show this resource only; may be given several times
    #[arg(short, long, value_name = "NAME")]
    resource: Vec<String>,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(crate) async fn run(args: &PoolsArgs) -> Result<()> {
    let cluster = Cluster::of(&args.cluster).await?;
    let mut tree = Tree::of(&all(&cluster).await?);
    if let Some(pool) = &args.pool {
        tree = tree.below(pool)?;
    }
    tree.keep(&args.resource)?;
    match args.output {
        Format::Json => print_json(&tree),
        Format::Text => say(&view::draw(&tree, Paint::of_stdout())),
    }
}

/// All pools of a cluster.
pub(crate) async fn all(cluster: &Cluster) -> Result<Vec<ResourcePool>> {
    cluster.list(Api::all(cluster.client.clone()), POOLS, ListParams::default()).await
}
