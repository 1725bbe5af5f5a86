//! Ray as it comes: pods that the real KubeRay operator makes, of which none announces a gang.
//!
//! No scheduler runs here: where pods have to run, the test places them and the fake kubelets run them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use weir_checker::is_evicted;
use weir_local::{Checkout, KubeRay, Program};
use weir_tests::history::View;
use weir_tests::install::apply_definitions;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{ADMITTED, bound_to, condition, is_admitted, is_gated, node};
use weir_tests::setup::programs_with;
use weir_tests::world::World;

use crate::giving_back::{EAGER, production};

/// The one node.
const NODE: &str = "n1";

/// A namespace with a pool for Ray clusters, and the operator that makes their pods.
struct Ray {
    ns: TestNamespace,
    _operator: KubeRay,
}

impl Ray {
    /// With a sidecar of this configuration and one node: eight cores, and the memory that KubeRay's init containers
    /// ask for. The pool `research` reserves so many cores and says that Ray clusters are gangs, and that what runs
    /// there may be taken.
    ///
    /// KubeRay comes later than Weir: a cluster without it works, and nothing has to be started again.
    async fn start(configuration: &str, cores: &str) -> Result<Self> {
        let world = World::with_sidecar(configuration).await?;
        world.add_node(&node(NODE).cores(8).has("memory", "64Gi")).await?;
        let client = world.client().await?;
        for file in KubeRay::custom_resources(&Checkout::find()?).await? {
            apply_definitions(&client, &file).await?;
        }
        let operator = KubeRay::start(&world.cluster, &programs_with(&[Program::RayOperator]).await?)?;
        let ns = world.namespace("team").await?;
        let defaults = json!({ "gangBy": "ray.io/cluster", "preemptible": true });
        let resources = json!([{ "name": "cpu", "reservation": cores }]);
        ns.create_pool("research", json!({ "resources": resources, "defaults": defaults })).await?;
        Ok(Self { ns, _operator: operator })
    }

    /// Creates an object of KubeRay's, or makes it what it should be.
    async fn apply(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let metadata = json!({ "namespace": self.ns.name, "name": name });
        self.ns.apply(&json!({ "apiVersion": "ray.io/v1", "kind": kind, "metadata": metadata, "spec": spec })).await
    }

    async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        let kind = GroupVersionKind::gvk("ray.io", "v1", kind);
        let (resource, _) = kube::discovery::pinned_kind(&self.ns.client, &kind).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.ns.client.clone(), &self.ns.name, &resource);
        api.delete(name, &DeleteParams::background()).await.context("delete an object of KubeRay's").map(drop)
    }

    /// Waits until so many pods are as they should be.
    async fn until_count(&self, what: &str, count: usize, holds: impl Fn(&Pod) -> bool) -> Result<Vec<Pod>> {
        let what = format!("{count} pods: {what}");
        self.ns
            .until(&what, |seen| {
                let found: Vec<Pod> = seen.pods().filter(|pod| holds(pod)).cloned().collect();
                (found.len() == count).then_some(found)
            })
            .await
    }

    /// Places every admitted pod from now on, as a scheduler would; the fake kubelet then runs it.
    fn place_all(&self) {
        let (world, name, pods) = (Arc::clone(&self.ns.world), self.ns.name.clone(), self.ns.pods());
        tokio::spawn(async move {
            let mut placed = BTreeSet::new();
            let waits =
                |pod: &&Pod| is_admitted(pod) && bound_to(pod).is_none() && pod.metadata.deletion_timestamp.is_none();
            loop {
                let next = world.history.until(|record| {
                    let mut next = record.view(&name).pods().filter(waits).map(|pod| (pod.name_any(), pod.uid()));
                    next.find(|(_, uid)| !placed.contains(uid))
                });
                // The world ends with the test.
                let Ok((name, uid)) = next.await else { return };
                let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "uid": uid },
                    "target": { "apiVersion": "v1", "kind": "Node", "name": NODE } });
                // One that went in between needs no place any more.
                let _: kube::Result<Value> =
                    pods.create_subresource("binding", &name, &PostParams::default(), &binding).await;
                placed.insert(uid);
            }
        });
    }

    /// Says on each of these pods what a scheduler says that finds no node for it.
    async fn finds_no_node(&self, pods: &[Pod]) -> Result<()> {
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available" });
        let status = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        for pod in pods {
            self.ns.pods().patch_status(&pod.name_any(), &PatchParams::default(), &status).await?;
        }
        Ok(())
    }

    /// Waits until so many pods of Ray were evicted, and returns all that were, each as it was then.
    async fn until_evicted(&self, at_least: usize) -> Result<Vec<Pod>> {
        let what = format!("{at_least} pods were evicted");
        self.ns
            .until(&what, |seen| {
                let evicted = seen.past().filter(|pod| is_of_ray(pod) && is_evicted(pod));
                let by_uid: BTreeMap<_, _> = evicted.map(|pod| (pod.uid(), pod.clone())).collect();
                (by_uid.len() >= at_least).then(|| by_uid.into_values().collect())
            })
            .await
    }
}

/// A pod template of pool `research` that asks for one core and says nothing of a gang.
fn template() -> Value {
    let container = json!({ "name": "ray", "image": "ray", "resources": { "requests": { "cpu": "1" } } });
    json!({ "metadata": { "annotations": { "weir.dev/pool": "research" } }, "spec": { "containers": [container] } })
}

/// A worker group of at most twenty workers, with what else is said of it.
fn group(name: &str, said: Value) -> Value {
    let mut group = json!({ "groupName": name, "minReplicas": 0, "maxReplicas": 20, "rayStartParams": {},
        "template": template() });
    for (key, value) in said.as_object().unwrap() {
        group[key] = value.clone();
    }
    group
}

/// What a Ray cluster of a head and these groups says.
fn spec<const N: usize>(groups: [Value; N]) -> Value {
    json!({ "headGroupSpec": { "rayStartParams": {}, "template": template() }, "workerGroupSpecs": groups.to_vec() })
}

fn workers(replicas: u32) -> Value {
    spec([group("cpu", json!({ "replicas": replicas }))])
}

fn is_of_ray(pod: &Pod) -> bool {
    pod.labels().contains_key("ray.io/cluster")
}

fn of(pod: &Pod, cluster: &str) -> bool {
    pod.labels().get("ray.io/cluster").is_some_and(|name| name == cluster)
}

fn waits_for(pod: &Pod, reason: &str) -> bool {
    is_gated(pod) && condition(pod, ADMITTED).is_some_and(|told| told.reason() == reason)
}

/// With how many others a pod was admitted in one decision, itself included.
fn decided_with(pod: &Pod) -> i64 {
    let record = pod.annotations().get("weir.dev/decided-on").map_or("null", String::as_str);
    serde_json::from_str::<Value>(record).unwrap()["pods"].as_i64().unwrap_or(0)
}

/// Size, created and admitted members of a gang.
fn gang(seen: View<'_>, name: &str) -> Option<(i32, i32, i32)> {
    let gang = seen.gang(name)?;
    let status = gang.status.as_ref()?;
    Some((gang.spec.size, status.created, status.admitted))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ray_cluster_is_one_gang_of_its_head_and_clamped_groups_that_waits_and_goes_as_a_whole() -> Result<()> {
    let ray = Ray::start("", "8").await?;
    // 1 + clamp(5, 0, 2) + clamp(1, 1, 4) × 2 hosts + a group that is asleep.
    let groups = [
        group("clamped", json!({ "replicas": 5, "maxReplicas": 2 })),
        group("hosts", json!({ "replicas": 1, "minReplicas": 1, "maxReplicas": 4, "numOfHosts": 2 })),
        group("asleep", json!({ "replicas": 3, "suspend": true })),
    ];
    ray.apply("RayCluster", "small", spec(groups)).await?;
    let whole = |pod: &Pod| of(pod, "small") && is_admitted(pod) && decided_with(pod) == 5;
    ray.until_count("head and workers were admitted in one decision", 5, whole).await?;
    ray.ns.until("the gang has all of its five", |seen| gang(seen, "small").filter(|gang| *gang == (5, 5, 5))).await?;

    // Nine cores are more than there are: all of it waits, and says why in numbers.
    ray.apply("RayCluster", "large", workers(8)).await?;
    let told = |pod: &Pod| of(pod, "large") && waits_for(pod, "WaitingForPlacement");
    ray.until_count("head and workers wait", 9, told).await?;
    // While it waits its size follows what the RayCluster says. KubeRay takes any six workers away, some of which may
    // have been admitted by then; others of them take their place.
    ray.apply("RayCluster", "large", workers(2)).await?;
    ray.ns
        .until("what is left of it is admitted", |seen| {
            let left: Vec<_> = seen.pods().filter(|pod| of(pod, "large")).collect();
            let all = left.len() == 3 && left.iter().all(|pod| is_admitted(pod));
            (all && gang(seen, "large") == Some((3, 3, 3))).then_some(())
        })
        .await?;
    ray.ns.world.judge().await
}

/// ```text
/// cluster        1 host × 8 cores
/// ├─ production  reserves 7
/// └─ research    borrows
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn workers_above_the_minimum_go_first_one_host_group_at_a_time_and_below_it_the_cluster_goes_whole() -> Result<()>
{
    let ray = Ray::start(EAGER, "0").await?;
    ray.ns.create_pool_of("production", "7").await?;
    ray.place_all();
    // It needs its head and one worker of two hosts; two more workers are elastic.
    let mut grows = spec([group("hosts", json!({ "replicas": 3, "minReplicas": 1, "numOfHosts": 2 }))]);
    grows["enableInTreeAutoscaling"] = true.into();
    grows["autoscalerOptions"] = json!({ "resources": { "requests": { "cpu": "0" }, "limits": { "cpu": "1" } } });
    ray.apply("RayCluster", "grows", grows).await?;
    let needed = |pod: &Pod| of(pod, "grows") && bound_to(pod).is_some() && decided_with(pod) == 3;
    ray.until_count("the head and its one worker, in one decision", 3, needed).await?;
    let elastic = |pod: &Pod| of(pod, "grows") && bound_to(pod).is_some() && decided_with(pod) == 2;
    ray.until_count("two more workers, each with both its hosts", 4, elastic).await?;

    // One core is free. A pod that asks for two gets the hosts of one worker, and KubeRay makes them again, to wait.
    ray.ns.create_pod(&production("one", "2")).await?;
    ray.ns.until_admitted("one").await?;
    let first = ray.until_evicted(2).await?;
    assert!(
        first.len() == 2 && first.iter().all(|pod| decided_with(pod) == 2),
        "one worker with both hosts: {first:?}"
    );
    ray.until_count("they are made again and wait", 2, |pod| of(pod, "grows") && is_gated(pod)).await?;
    ray.ns.create_pod(&production("two", "3")).await?;
    ray.ns.until_admitted("two").await?;
    let second = ray.until_evicted(4).await?;
    assert!(second.len() == 4 && second.iter().all(|pod| decided_with(pod) == 2), "{second:?}");

    // Nothing elastic is left: what remains could not work with less, so all of it goes.
    ray.ns.create_pod(&production("three", "2")).await?;
    ray.ns.until_admitted("three").await?;
    let all = ray.until_evicted(7).await?;
    let heads = all.iter().filter(|pod| pod.labels()["ray.io/node-type"] == "head").count();
    assert_eq!((all.len(), heads), (7, 1), "head and workers");
    ray.until_count("all of it is made again and waits", 7, |pod| of(pod, "grows") && is_gated(pod)).await?;
    // It comes back as it first came.
    ray.ns.delete_pod("two").await?;
    ray.until_count("what it needs is back, in one decision", 3, needed).await?;
    ray.ns.world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_that_submits_a_ray_job_is_outside_its_gang_and_the_job_is_named_on_pods_and_gang() -> Result<()> {
    let ray = Ray::start("", "8").await?;
    ray.place_all();
    let mut submitter = template();
    submitter["spec"]["restartPolicy"] = "Never".into();
    let job =
        json!({ "entrypoint": "python train.py", "rayClusterSpec": workers(1), "submitterPodTemplate": submitter });
    ray.apply("RayJob", "nightly", job).await?;
    let named = |pod: &Pod| {
        let job = pod.labels().get("weir.dev/job").map(String::as_str);
        is_of_ray(pod) && bound_to(pod).is_some() && decided_with(pod) == 2 && job == Some("nightly")
    };
    let cluster = ray.until_count("head and worker were admitted together and name the job", 2, named).await?;
    let cluster = cluster[0].labels()["ray.io/cluster"].clone();
    let by_job = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.kind == "Job");
    let submits = |pod: &Pod| by_job(pod) && is_admitted(pod) && decided_with(pod) == 1;
    ray.until_count("the cluster is ready, and the pod that submits the job was admitted alone", 1, submits).await?;
    let complete = |seen: View<'_>| {
        let all: Vec<_> = seen.gangs().collect();
        let [only] = all[..] else { return None };
        let job = only.labels().get("weir.dev/job").map(String::as_str);
        (only.name_any() == cluster && job == Some("nightly") && gang(seen, &cluster) == Some((2, 2, 2))).then_some(())
    };
    ray.ns.until("there is one gang, without the submitter, and it names the job", complete).await?;

    // What serves is a Ray cluster like any other.
    ray.delete("RayJob", "nightly").await?;
    ray.apply("RayService", "answers", json!({ "rayClusterConfig": workers(2) })).await?;
    let serves = |pod: &Pod| {
        let cluster = pod.labels().get("ray.io/cluster").is_some_and(|name| name.starts_with("answers-"));
        cluster && is_admitted(pod) && decided_with(pod) == 3 && !pod.labels().contains_key("weir.dev/job")
    };
    ray.until_count("head and workers of the service were admitted together", 3, serves).await?;
    ray.ns.world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn kuberay_makes_killed_pods_again_and_they_wait_longer_each_time() -> Result<()> {
    let config = "cycle: {adoptionGrace: 0s, placementTimeout: 2s, schedulerPatience: 30s, backOffFirst: 5s}";
    let ray = Ray::start(config, "8").await?;
    ray.apply("RayJob", "lost", json!({ "entrypoint": "python train.py", "rayClusterSpec": workers(1) })).await?;
    let says = |pod: &Pod, reason: &str, words: &str| {
        let told = condition(pod, ADMITTED);
        is_of_ray(pod) && is_gated(pod) && told.is_some_and(|told| told.says(reason, words))
    };
    let admitted = |pod: &Pod| is_of_ray(pod) && is_admitted(pod);
    let first = ray.until_count("head and worker were admitted", 2, admitted).await?;
    ray.finds_no_node(&first).await?;
    ray.ns
        .until_event("RayJob", "lost", "PlacementTimeout", "0 of 2 placed: killed to give the resources back")
        .await?;
    let once = |pod: &Pod| says(pod, "PlacementTimeout", "the one before was not placed in time");
    ray.until_count("they were killed, made again and wait", 2, once).await?;

    let second = ray.until_count("their time is over", 2, admitted).await?;
    ray.finds_no_node(&second).await?;
    let twice = |pod: &Pod| says(pod, "BackingOff", "2 times its owner's pods were not placed in time");
    ray.until_count("they were killed again and wait for longer", 2, twice).await?;
    let made: BTreeSet<Option<String>> =
        ray.ns.now(|seen| seen.past().filter(|pod| is_of_ray(pod)).map(ResourceExt::uid).collect());
    let killed = ray.until_evicted(4).await?;
    assert_eq!((made.len(), killed.len()), (6, 4), "three times two were made, and two times two killed");
    ray.ns.world.judge().await
}
