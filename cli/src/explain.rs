//! `kubectl weir explain`: everything about one pod or gang: where it stands, why, on what it was decided and
//! what would have to change.
//!
//! `read` takes the `facts` from objects alone, `advice` turns a reason into what to do, `answer` is both, `view`
//! draws it. Nothing is decided here: the reasons are those in the pod's conditions.

mod advice;
mod answer;
mod facts;
mod read;
#[cfg(test)]
mod tests;
mod view;

use anyhow::{Result, bail};
use clap::Args;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::ListParams;
use weir_api::{Gang, PodInfo, names};

use crate::amounts::special_models;
use crate::cluster::{Cluster, ClusterArgs, Format, print_json, say};
use crate::draw::Paint;
use crate::pools::{self, Tree};
use answer::Explained;
use read::Seen;

const EXAMPLES: &str = "Examples:
  kubectl weir explain train-0 -n team         a pod, or a gang of that name
  kubectl weir explain gang/train -n team      the gang, where a pod has the same name
  kubectl weir explain pod/train-0 -o json | jq .whatToDo";

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// A pod or a gang; pod/NAME and gang/NAME say which
    #[arg(value_name = "POD|GANG")]
    name: String,
    /// Its namespace; default: that of the context
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(crate) async fn run(args: &ExplainArgs) -> Result<()> {
    let cluster = Cluster::of(&args.cluster).await?;
    let namespace = args.namespace.as_ref().unwrap_or(&cluster.namespace);
    let objects = pools::all(&cluster).await?;
    let seen = look(&cluster, namespace, &args.name).await?;
    let explained = Explained::of(&seen, &Tree::of(&objects), &special_models(&objects));
    match args.output {
        Format::Json => print_json(&explained),
        Format::Text => say(&view::draw(&explained, jiff::Timestamp::now(), Paint::of_stdout())),
    }
}

/// Finds the pod, or the gang with its members.
async fn look(cluster: &Cluster, namespace: &str, name: &str) -> Result<Seen> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let (kind, name) = match name.split_once('/') {
        Some((kind @ ("pod" | "pods" | "gang" | "gangs"), name)) => (Some(kind.trim_end_matches('s')), name),
        Some((kind, _)) => bail!("{kind}/…: only pods and gangs are explained; say pod/NAME or gang/NAME"),
        None => (None, name),
    };
    if kind != Some("gang")
        && let Some(pod) = cluster.find(&pods, "pods", name).await?
    {
        let (mut gang, mut siblings) = (None, Vec::new());
        if let Some(name) = gang_of(&pod) {
            gang = gang_object(cluster, namespace, name).await?;
            siblings = members_of(cluster, namespace, name).await?;
        }
        let events = events_of(cluster, namespace, &pod).await?;
        return Ok(Seen::Pod { pod: Box::new(pod), gang, siblings, events });
    }
    let object = if kind == Some("pod") { None } else { gang_object(cluster, namespace, name).await? };
    let members = if kind == Some("pod") { Vec::new() } else { members_of(cluster, namespace, name).await? };
    if object.is_none() && members.is_empty() {
        let what = kind.unwrap_or("pod or gang");
        bail!("namespace {namespace} has no {what} {name:?}; name another with -n, or see `kubectl weir queue`");
    }
    let events = match read::representative(&members) {
        Some(pod) => events_of(cluster, namespace, pod).await?,
        None => Vec::new(),
    };
    Ok(Seen::Gang { namespace: namespace.to_owned(), name: name.to_owned(), object, members, events })
}

/// The gang that a pod announces, or that its RayCluster may be.
fn gang_of(pod: &Pod) -> Option<&str> {
    let info = PodInfo::of(pod);
    info.gang().map(|gang| gang.name).or_else(|| info.ray_cluster())
}

/// A gang's label may be written with any of the accepted keys, and a selector cannot say "or".
async fn members_of(cluster: &Cluster, namespace: &str, gang: &str) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let mut managed = cluster.list(pods, "pods", ListParams::default().labels(names::POOL)).await?;
    managed.retain(|pod| gang_of(pod) == Some(gang));
    Ok(managed)
}

async fn gang_object(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Box<Gang>>> {
    let gangs: Api<Gang> = Api::namespaced(cluster.client.clone(), namespace);
    Ok(cluster.find(&gangs, "gangs.weir.dev", name).await?.map(Box::new))
}

async fn events_of(cluster: &Cluster, namespace: &str, pod: &Pod) -> Result<Vec<Event>> {
    let Some(uid) = &pod.metadata.uid else { return Ok(Vec::new()) };
    let events = Api::namespaced(cluster.client.clone(), namespace);
    cluster.list(events, "events", ListParams::default().fields(&format!("involvedObject.uid={uid}"))).await
}
