//! Ray as it comes: pods that the real KubeRay operator makes, of which none announces a gang.
//!
//! Nobody schedules here: where pods have to run, the test places them and the fake kubelets run them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use weir_checker::is_evicted;
use weir_local::{Checkout, KubeRay, Program, Programs, Progress};
use weir_tests::install::{apply, apply_object};

use crate::giving_back::EAGER;
use crate::history::Record;
use crate::namespace::{TestNamespace, condition, is_admitted, is_gated};
use crate::world::World;

/// The one node: eight cores, and the memory that KubeRay's init containers ask for.
const NODE: &str = "n1";

/// A world with that node, where KubeRay comes later than Weir: a cluster without it works, and nobody has to
/// restart anything.
async fn world(config: &str) -> (World, KubeRay) {
    let world = World::private(config).await;
    world.node(NODE, json!({}), json!({ "cpu": "8", "memory": "64Gi" })).await;
    let (checkout, client) = (Checkout::find().unwrap(), world.cluster.client());
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for file in KubeRay::custom_resources(&checkout).await.unwrap() {
        for name in apply(&client, &file).await.unwrap() {
            await_condition(definitions.clone(), &name, is_crd_established()).await.unwrap();
        }
    }
    let programs = Programs::find(&[Program::RayOperator], &checkout, &Progress::to_stderr()).await.unwrap();
    let operator = KubeRay::start(&world.cluster, &programs).unwrap();
    (world, operator)
}

/// The pool of these tests says that Ray clusters are gangs, and that what runs there may be taken.
async fn research(ns: &TestNamespace<'_>, cores: &str) {
    let defaults = json!({ "gangBy": "ray.io/cluster", "preemptible": true });
    let resources = json!([{ "name": "cpu", "reservation": cores }]);
    ns.pool("research", json!({ "resources": resources, "defaults": defaults })).await;
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

impl TestNamespace<'_> {
    /// Creates an object of KubeRay's, or makes it what it should be.
    async fn ray(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({ "apiVersion": "ray.io/v1", "kind": kind,
            "metadata": { "namespace": self.namespace, "name": name }, "spec": spec });
        apply_object(&self.client, &serde_json::from_value::<DynamicObject>(object).unwrap()).await.unwrap();
    }

    async fn remove_ray(&self, kind: &str, name: &str) {
        let kind = GroupVersionKind::gvk("ray.io", "v1", kind);
        let (resource, _) = kube::discovery::pinned_kind(&self.client, &kind).await.unwrap();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        api.delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// Waits until so many pods are as they should be.
    async fn until_count(&self, what: &str, count: usize, holds: impl Fn(&Pod) -> bool) -> Vec<Pod> {
        self.until(&format!("{count} pods: {what}"), |record| {
            let found: Vec<Pod> = record.pods.values().filter(|pod| holds(pod)).cloned().collect();
            (found.len() == count).then_some(found)
        })
        .await
    }

    /// Places every admitted pod from now on, as a scheduler would; the fake kubelet then runs it.
    fn places_all(&self) {
        let (history, pods) = (self.world.history.clone(), self.pods());
        tokio::spawn(async move {
            let mut placed = BTreeSet::new();
            loop {
                let waits = |pod: &&Pod| {
                    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
                    is_admitted(pod) && !bound && pod.metadata.deletion_timestamp.is_none()
                };
                let next = history.until(|record| {
                    let mut next = record.pods.values().filter(waits).map(|pod| (pod.name_any(), pod.uid().unwrap()));
                    next.find(|(_, uid)| !placed.contains(uid))
                });
                let Some((name, uid)) = next.await else { continue };
                let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "uid": uid },
                    "target": { "apiVersion": "v1", "kind": "Node", "name": NODE } });
                // One that went in between is nobody's concern any more.
                let _: Result<Value, _> =
                    pods.create_subresource("binding", &name, &PostParams::default(), &binding).await;
                placed.insert(uid);
            }
        });
    }

    /// Says on every admitted pod of a cluster what the scheduler says that finds no node for it.
    async fn finds_no_node(&self, pods: &[Pod]) {
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available" });
        let status = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        for pod in pods {
            self.pods().patch_status(&pod.name_any(), &PatchParams::default(), &status).await.unwrap();
        }
    }

    /// Waits until so many pods of Ray were evicted, and returns all that were, each as it was then.
    async fn evicted(&self, at_least: usize) -> Vec<Pod> {
        self.until(&format!("{at_least} pods were evicted"), |record| {
            let evicted = record.past().filter(|pod| is_evicted(pod) && pod.labels().contains_key("ray.io/cluster"));
            let by_uid: BTreeMap<_, _> = evicted.map(|pod| (pod.uid(), pod.clone())).collect();
            (by_uid.len() >= at_least).then(|| by_uid.into_values().collect())
        })
        .await
    }
}

fn of(pod: &Pod, cluster: &str) -> bool {
    pod.labels().get("ray.io/cluster").is_some_and(|name| name == cluster)
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

fn waits_for(pod: &Pod, reason: &str) -> bool {
    is_gated(pod) && condition(pod).is_some_and(|(_, said, _)| said == reason)
}

/// With how many others a pod was admitted in one decision, itself included.
fn decided_with(pod: &Pod) -> i64 {
    let record = pod.annotations().get("weir.dev/decided-on").map_or("null", String::as_str);
    serde_json::from_str::<Value>(record).unwrap()["pods"].as_i64().unwrap_or(0)
}

/// Size, created and admitted members of a gang.
fn gang(record: &Record, name: &str) -> Option<(i32, i32, i32)> {
    let gang = record.gangs.get(&("team".to_owned(), name.to_owned()))?;
    let status = gang.status.as_ref()?;
    Some((gang.spec.size, status.created, status.admitted))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ray_cluster_is_one_gang_of_its_head_and_clamped_groups_that_waits_and_goes_as_a_whole() {
    let (world, _operator) = world("").await;
    let ns = world.namespace("team").await;
    research(&ns, "8").await;
    // 1 + clamp(5, 0, 2) + clamp(1, 1, 4) × 2 hosts + a group that is asleep.
    let groups = [
        group("clamped", json!({ "replicas": 5, "maxReplicas": 2 })),
        group("hosts", json!({ "replicas": 1, "minReplicas": 1, "maxReplicas": 4, "numOfHosts": 2 })),
        group("asleep", json!({ "replicas": 3, "suspend": true })),
    ];
    ns.ray("RayCluster", "small", spec(groups)).await;
    let whole = |pod: &Pod| of(pod, "small") && is_admitted(pod) && decided_with(pod) == 5;
    ns.until_count("head and workers were admitted in one decision", 5, whole).await;
    ns.until("the gang has all of its five", |record| gang(record, "small").filter(|gang| *gang == (5, 5, 5))).await;

    // Nine cores are more than there are: all of it waits, and says why in numbers.
    ns.ray("RayCluster", "large", workers(8)).await;
    let told = |pod: &Pod| of(pod, "large") && waits_for(pod, "WaitingForPlacement");
    ns.until_count("head and workers wait", 9, told).await;
    // While it waits its size follows what the RayCluster says. KubeRay takes any six workers away, some of which may
    // have been admitted by then; others of them take their place.
    ns.ray("RayCluster", "large", workers(2)).await;
    ns.until("what is left of it is admitted", |record| {
        let left: Vec<_> = record.pods.values().filter(|pod| of(pod, "large")).collect();
        let all = left.len() == 3 && left.iter().all(|pod| is_admitted(pod));
        (all && gang(record, "large") == Some((3, 3, 3))).then_some(())
    })
    .await;
    world.end().await;
}

/// ```text
/// cluster        1 host × 8 cores
/// ├─ production  reserves 7
/// └─ research    borrows
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn workers_above_the_minimum_go_first_one_host_group_at_a_time_and_below_it_the_cluster_goes_whole() {
    let (world, _operator) = world(EAGER).await;
    let ns = world.namespace("team").await;
    research(&ns, "0").await;
    ns.pool_of("production", "7").await;
    ns.places_all();
    // It needs its head and one worker of two hosts; two more workers are elastic.
    let mut grows = spec([group("hosts", json!({ "replicas": 3, "minReplicas": 1, "numOfHosts": 2 }))]);
    grows["enableInTreeAutoscaling"] = true.into();
    grows["autoscalerOptions"] = json!({ "resources": { "requests": { "cpu": "0" }, "limits": { "cpu": "1" } } });
    ns.ray("RayCluster", "grows", grows).await;
    let needed = |pod: &Pod| of(pod, "grows") && is_bound(pod) && decided_with(pod) == 3;
    ns.until_count("the head and its one worker, in one decision", 3, needed).await;
    let elastic = |pod: &Pod| of(pod, "grows") && is_bound(pod) && decided_with(pod) == 2;
    ns.until_count("two more workers, each with both its hosts", 4, elastic).await;

    // One core is free. Who asks for two gets the hosts of one worker, and KubeRay makes them again, to wait.
    ns.claims("one", "2").await;
    ns.admitted("one").await;
    let first = ns.evicted(2).await;
    assert!(
        first.len() == 2 && first.iter().all(|pod| decided_with(pod) == 2),
        "one worker with both hosts: {first:?}"
    );
    ns.until_count("they are made again and wait", 2, |pod| of(pod, "grows") && is_gated(pod)).await;
    ns.claims("two", "3").await;
    ns.admitted("two").await;
    let second = ns.evicted(4).await;
    assert!(second.len() == 4 && second.iter().all(|pod| decided_with(pod) == 2), "{second:?}");

    // Nothing elastic is left: what remains could not work with less, so all of it goes.
    ns.claims("three", "2").await;
    ns.admitted("three").await;
    let all = ns.evicted(7).await;
    let heads = all.iter().filter(|pod| pod.labels()["ray.io/node-type"] == "head").count();
    assert_eq!((all.len(), heads), (7, 1), "head and workers");
    ns.until_count("all of it is made again and waits", 7, |pod| of(pod, "grows") && is_gated(pod)).await;
    // It comes back as it first came.
    ns.delete("two").await;
    ns.until_count("what it needs is back, in one decision", 3, needed).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_that_submits_a_ray_job_is_outside_its_gang_and_the_job_is_named_on_pods_and_gang() {
    let (world, _operator) = world("").await;
    let ns = world.namespace("team").await;
    research(&ns, "8").await;
    ns.places_all();
    let mut submitter = template();
    submitter["spec"]["restartPolicy"] = "Never".into();
    let job =
        json!({ "entrypoint": "python train.py", "rayClusterSpec": workers(1), "submitterPodTemplate": submitter });
    ns.ray("RayJob", "nightly", job).await;
    let named = |pod: &Pod| {
        let job = pod.labels().get("weir.dev/job").map(String::as_str);
        pod.labels().contains_key("ray.io/cluster") && is_bound(pod) && decided_with(pod) == 2 && job == Some("nightly")
    };
    let cluster = ns.until_count("head and worker were admitted together and name the job", 2, named).await;
    let cluster = cluster[0].labels()["ray.io/cluster"].clone();
    let by_job = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.kind == "Job");
    let submits = |pod: &Pod| by_job(pod) && is_admitted(pod) && decided_with(pod) == 1;
    ns.until_count("the cluster is ready, and who submits the job was admitted alone", 1, submits).await;
    let complete = |record: &Record| {
        let all: Vec<_> = record.gangs.values().filter(|gang| gang.namespace().as_deref() == Some("team")).collect();
        let [only] = all[..] else { return None };
        let job = only.labels().get("weir.dev/job").map(String::as_str);
        (only.name_any() == cluster && job == Some("nightly") && gang(record, &cluster) == Some((2, 2, 2)))
            .then_some(())
    };
    ns.until("there is one gang, without the submitter, and it names the job", complete).await;

    // What serves is a Ray cluster like any other.
    ns.remove_ray("RayJob", "nightly").await;
    ns.ray("RayService", "answers", json!({ "rayClusterConfig": workers(2) })).await;
    let serves = |pod: &Pod| {
        let cluster = pod.labels().get("ray.io/cluster").is_some_and(|name| name.starts_with("answers-"));
        cluster && is_admitted(pod) && decided_with(pod) == 3 && !pod.labels().contains_key("weir.dev/job")
    };
    ns.until_count("head and workers of the service were admitted together", 3, serves).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kuberay_makes_killed_pods_again_and_they_wait_longer_each_time() {
    let config = "cycle: {adoptionGrace: 0s, placementTimeout: 2s, schedulerPatience: 30s, backOffFirst: 5s}";
    let (world, _operator) = world(config).await;
    let ns = world.namespace("team").await;
    research(&ns, "8").await;
    ns.ray("RayJob", "lost", json!({ "entrypoint": "python train.py", "rayClusterSpec": workers(1) })).await;
    let ray = |pod: &Pod| pod.labels().contains_key("ray.io/cluster");
    let says = |pod: &Pod, reason: &str, words: &str| {
        ray(pod) && waits_for(pod, reason) && condition(pod).is_some_and(|(_, _, text)| text.contains(words))
    };
    let first = ns.until_count("head and worker were admitted", 2, |pod| ray(pod) && is_admitted(pod)).await;
    ns.finds_no_node(&first).await;
    ns.event("RayJob", "lost", "PlacementTimeout", "0 of 2 placed: killed to give the resources back").await;
    let once = |pod: &Pod| says(pod, "PlacementTimeout", "the one before was not placed in time");
    ns.until_count("they were killed, made again and wait", 2, once).await;

    let second = ns.until_count("their time is over", 2, |pod| ray(pod) && is_admitted(pod)).await;
    ns.finds_no_node(&second).await;
    let twice = |pod: &Pod| says(pod, "BackingOff", "2 times its owner's pods were not placed in time");
    ns.until_count("they were killed again and wait for longer", 2, twice).await;
    let made: BTreeSet<Option<String>> =
        world.history.now(|record| record.past().filter(|pod| ray(pod)).map(|pod| pod.uid()).collect());
    assert_eq!((made.len(), ns.evicted(4).await.len()), (6, 4), "three times two were made, and two times two killed");
    world.end().await;
}
