//! Ray in the story: KubeRay as it is released, and two RayJobs that Weir is told nothing of.
//!
//! One is there before research fills the cluster, and runs; its priority is the lowest, so it is the first to go.
//! One comes when the cluster is full, and waits. Neither announces a gang: the namespace names the pool, the pool
//! asks for gangs by RayCluster, and the RayCluster says how large its gang is.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use weir_api::names;
use weir_local::{Checkout, Cluster, KubeRay, Manifest, Programs, apply};
use weir_model::dimension::GPU;

use crate::scenario::demand::RESEARCH_POOLS;

/// The namespace of the RayJobs.
const NAMESPACE: &str = "ray";
/// The job that runs.
pub(super) const RUNS: &str = "nightly";
/// The job that waits.
pub(super) const WAITS: &str = "sweep";
/// Workers of a job; a head comes to them.
const WORKERS: usize = 2;
/// The pods of a job's Ray cluster, the one that submits it not among them.
pub(super) const PODS: usize = 1 + WORKERS;
/// The priority of the job that runs: below all others.
const LOWEST: (&str, i32) = ("scavenger", -1000);

/// What KubeRay is installed from.
#[derive(Clone, Debug)]
pub(crate) struct Ray {
    definitions: Vec<Manifest>,
}

impl Ray {
    /// Reads KubeRay's custom resources.
    ///
    /// # Errors
    /// When Go does not have the module, or its files cannot be read.
    pub(crate) async fn read(checkout: &Checkout) -> Result<Self> {
        let files: Vec<PathBuf> = KubeRay::custom_resources(checkout).await?;
        Ok(Self { definitions: files.iter().map(|file| Manifest::read(file)).collect::<Result<_>>()? })
    }

    /// Applies the custom resources and what the jobs need, and starts the operator.
    pub(super) async fn install(&self, cluster: &Cluster, programs: &Programs) -> Result<KubeRay> {
        let client = cluster.client();
        let served: Api<CustomResourceDefinition> = Api::all(client.clone());
        for object in self.definitions.iter().flat_map(Manifest::objects) {
            apply(&client, object, names::CLI).await.with_context(|| format!("apply {}", object.name_any()))?;
            await_condition(served.clone(), &object.name_any(), conditions::is_crd_established()).await?;
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(namespace()).context("make a namespace")?;
        namespaces.create(&PostParams::default(), &namespace).await.context("create a namespace")?;
        let (name, value) = LOWEST;
        let class = json!({ "metadata": { "name": name }, "value": value });
        let class = serde_json::from_value(class).context("make a priority class")?;
        let classes: Api<PriorityClass> = Api::all(client);
        classes.create(&PostParams::default(), &class).await.context("create a priority class")?;
        KubeRay::start(cluster, programs)
    }
}

/// Creates a RayJob whose workers ask for so many GPUs each.
pub(super) async fn submit(client: &Client, name: &str, gpus: i64) -> Result<()> {
    let job: DynamicObject = serde_json::from_value(job(name, gpus)).context("make a RayJob")?;
    apply(client, &job, names::CLI).await.with_context(|| format!("create RayJob {name}"))
}

/// A RayJob whose pods all ask for admission, to the pool that it names.
fn namespace() -> Value {
    json!({ "metadata": { "name": NAMESPACE, "labels": { names::MANAGED: names::TRUE },
        "annotations": { names::POOL: RESEARCH_POOLS[0] } } })
}

fn job(name: &str, gpus: i64) -> Value {
    let template = |resources: Value| {
        let container = json!({ "name": "ray", "image": "ray", "resources": resources });
        let mut spec = json!({ "containers": [container], "terminationGracePeriodSeconds": 0 });
        if name == RUNS {
            spec["priorityClassName"] = LOWEST.0.into();
        }
        json!({ "spec": spec })
    };
    let cpu = || json!({ "requests": { "cpu": "1", "memory": "1Gi" } });
    let gpu = json!({ "requests": { "cpu": "4", "memory": "8Gi" }, "limits": { GPU: gpus.to_string() } });
    let mut submitter = template(cpu());
    submitter["spec"]["restartPolicy"] = "Never".into();
    let workers = json!({ "groupName": "gpu", "replicas": WORKERS, "minReplicas": WORKERS, "maxReplicas": WORKERS,
        "rayStartParams": {}, "template": template(gpu) });
    let head = json!({ "rayStartParams": {}, "template": template(cpu()) });
    json!({ "apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": { "namespace": NAMESPACE, "name": name },
        "spec": { "entrypoint": "python train.py", "submitterPodTemplate": submitter,
            "rayClusterSpec": { "headGroupSpec": head, "workerGroupSpecs": [workers] } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_job_nothing_is_said_of_a_gang_and_only_the_one_that_runs_has_the_lowest_priority() {
        let text = job(RUNS, 8).to_string();
        assert!(!text.contains("gang") && text.contains("\"nvidia.com/gpu\":\"8\""), "{text}");
        let priority = |name| {
            let path = "/spec/rayClusterSpec/headGroupSpec/template/spec/priorityClassName";
            job(name, 8).pointer(path).cloned()
        };
        assert_eq!([priority(RUNS), priority(WAITS)], [Some(json!("scavenger")), None]);
    }
}
