//! The sidecars that are measured, and the nodes, pools and pods in their clusters.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use weir_api::{ResourcePool, names};
use weir_local::Cluster;
use weir_tests::sidecar::Sidecar;
use weir_tests::world::SHORT_LEASE;

/// How many requests are under way at a time: as many as the sidecar has writers.
pub(crate) const AT_A_TIME: usize = 32;

/// Starts the sidecar as it is shipped, but with a lease that is over soon: it is started several times.
pub(crate) async fn sidecar(cluster: &Cluster) -> Result<Sidecar> {
    Sidecar::start(cluster, "weir-admission", SHORT_LEASE).await
}

/// Starts the sidecar with a relay on this port between the API server and its webhook.
pub(crate) async fn sidecar_behind(cluster: &Cluster, port: u16) -> Result<Sidecar> {
    let configuration = format!("{SHORT_LEASE}\nwebhook: {{url: 'https://127.0.0.1:{port}'}}");
    Sidecar::start(cluster, "weir-admission", &configuration).await
}

/// A pool that reserves this, on hold or not.
pub(crate) async fn pool(client: &Client, name: &str, spec: Value) -> Result<()> {
    let pool = ResourcePool::new(name, serde_json::from_value(spec)?);
    Api::all(client.clone()).create(&PostParams::default(), &pool).await.context("create a pool").map(drop)
}

/// Changes a pool.
pub(crate) async fn change_pool(client: &Client, name: &str, spec: Value) -> Result<()> {
    let pools: Api<ResourcePool> = Api::all(client.clone());
    let patch = Patch::Merge(json!({ "spec": spec }));
    pools.patch(name, &PatchParams::default(), &patch).await.context("change a pool").map(drop)
}

/// Does this for each number below `count`, many at a time.
pub(crate) async fn each<F>(count: usize, at_a_time: usize, work: impl Fn(usize) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    stream::iter((0..count).map(work)).buffer_unordered(at_a_time).try_collect().await
}

/// Creates nodes that are ready and large enough for anything.
pub(crate) async fn nodes(client: &Client, count: usize) -> Result<()> {
    let began = Instant::now();
    let api: Api<Node> = Api::all(client.clone());
    each(count, AT_A_TIME, |at| {
        let (api, node) = (api.clone(), node(at));
        async move {
            let node: Node = serde_json::from_value(node)?;
            api.create(&PostParams::default(), &node).await.context("create a node").map(drop)
        }
    })
    .await?;
    eprintln!("created {count} nodes in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// A node of the size that Nodes of real clusters have: 40 labels and 50 images, some 12 KB.
fn node(at: usize) -> Value {
    let labels: serde_json::Map<String, Value> = (0..40)
        .map(|label| (format!("example.com/label-{label}"), json!(format!("value-{label}-of-node-{at}"))))
        .collect();
    let images: Vec<Value> = (0..50)
        .map(|image| {
            json!({ "names": [format!("example.com/team/image-{image}@sha256:{image:064x}"),
            format!("example.com/team/image-{image}:v1.{image}")], "sizeBytes": 100_000_000 + image })
        })
        .collect();
    let resources = json!({ "cpu": "192", "memory": "2Ti", "ephemeral-storage": "4Ti", "pods": "250" });
    json!({ "metadata": { "name": format!("node-{at:05}"), "labels": labels },
        "status": { "capacity": resources, "allocatable": resources, "images": images,
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }] } })
}

/// A pod of a pool that asks for a core or two.
pub(crate) fn pod(pool: &str, name: &str, at: usize) -> Value {
    let asks = json!({ "cpu": (1 + at % 2).to_string(), "memory": "2Gi" });
    let environment: Vec<Value> = (0..10)
        .map(|one| json!({ "name": format!("SETTING_{one}"), "value": format!("the value of setting {one}") }))
        .collect();
    json!({ "metadata": { "name": name, "labels": { "app": format!("train-{}", at % 50) },
            "annotations": { names::POOL: pool } },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "example.com/train:1",
            "command": ["python", "train.py", "--epochs", "10"], "env": environment,
            "resources": { "requests": asks, "limits": asks } }] } })
}

/// Creates pods in a namespace.
pub(crate) async fn pods(client: &Client, namespace: &str, count: usize, pod: impl Fn(usize) -> Value) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    each(count, AT_A_TIME, |at| {
        let (api, pod) = (api.clone(), pod(at));
        async move {
            let pod: Pod = serde_json::from_value(pod)?;
            api.create(&PostParams::default(), &pod).await.context("create a pod").map(drop)
        }
    })
    .await
}
