//! Holds our effective requests against what kube-scheduler's own `PodRequests` says about random pods.
//!
//! The vectors are written by `go run ./internal/vectors` in `scheduler/`. The pods here implement the traits as
//! the admission sidecar does for its typed objects.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_model::requests::{Place, PodRequestsError, asks_for, pod_request, pod_requests};
use weir_model::{Amount, ContainerShape, PodShape, QuantityError, RequestError, Resources};

type List = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Vector {
    spec: Spec,
    #[serde(default)]
    allocated: Vec<Option<List>>,
    requests: BTreeMap<String, i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    overhead: List,
    resources: Requirements,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirements {
    requests: Option<List>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    restart_policy: String,
    resources: Requirements,
    allocated: List,
}

fn listed(list: &List) -> impl Resources<'_> {
    list.iter().map(|(name, quantity)| (name.as_str(), quantity.as_str()))
}

impl ContainerShape for &Container {
    fn requests(&self) -> impl Resources<'_> {
        self.resources.requests.iter().flat_map(listed)
    }

    fn allocated(&self) -> impl Resources<'_> {
        listed(&self.allocated)
    }

    fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

impl PodShape for Spec {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        self.containers.iter()
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        self.init_containers.iter()
    }

    fn overhead(&self) -> impl Resources<'_> {
        listed(&self.overhead)
    }

    fn pod_level(&self) -> impl Resources<'_> {
        self.resources.requests.iter().flat_map(listed)
    }
}

#[test]
fn a_pod_takes_from_a_node_what_kube_scheduler_counts() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/requests.json")).unwrap();
    assert_eq!(vectors.len(), 500);
    for (at, Vector { mut spec, allocated, requests }) in vectors.into_iter().enumerate() {
        for (container, allocated) in spec.containers.iter_mut().zip(allocated) {
            container.allocated = allocated.unwrap_or_default();
        }
        let ours: BTreeMap<_, _> =
            pod_requests(&spec).unwrap().into_iter().map(|(name, amount)| (name, amount.units())).collect();
        assert_eq!(ours, requests, "vector {at}");
    }
}

/// A pod from JSON, as short as a test wants it.
fn pod(json: &str) -> Spec {
    serde_json::from_str(json).unwrap()
}

#[test]
fn an_init_container_counts_alone_and_a_sidecar_counts_from_its_turn() {
    // a: 4   b (sidecar): 1   c: 4   then d + e: 1 + 2   →   max(4, 1, 1 + 4, 1 + 3)
    let pod = pod(r#"{
        "initContainers": [
            {"resources": {"requests": {"cpu": "4"}}},
            {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            {"resources": {"requests": {"cpu": "4"}}}
        ],
        "containers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"requests": {"cpu": "2"}}}]
    }"#);
    assert_eq!(pod_request(&pod, "cpu"), Ok(Amount::new(5000)));
}

#[test]
fn what_no_container_mentions_is_nothing() {
    assert_eq!(pod_request(&pod(r#"{"containers": [{}]}"#), "nvidia.com/gpu"), Ok(Amount::ZERO));
}

#[test]
fn a_pod_asks_for_what_any_of_its_containers_asks_for() {
    let in_init = pod(r#"{"initContainers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}"#);
    let zero = pod(r#"{"containers": [{"resources": {"requests": {"nvidia.com/gpu": "0"}}}]}"#);
    let asks = |pod| asks_for(pod, |name| name == "nvidia.com/gpu");
    assert_eq!((asks(&in_init), asks(&zero)), (Ok(true), Ok(false)));
}

#[test]
fn a_quantity_that_does_not_parse_is_named_with_its_place() {
    let pod = pod(r#"{"containers": [{}, {"resources": {"requests": {"memory": "1GB"}}}]}"#);
    let error = pod_request(&pod, "memory").unwrap_err();
    assert_eq!(
        error,
        RequestError {
            place: Place::Container(1),
            resource: "memory".into(),
            source: QuantityError::Character { at: 2 }
        }
    );
    assert_eq!(
        error.to_string(),
        "spec.containers[1].resources.requests[memory]: a quantity has an unexpected character at byte 2"
    );
    assert_eq!(pod_request(&pod, "cpu"), Ok(Amount::ZERO), "other resources are not touched by it");
}

#[test]
fn of_more_names_than_a_pod_may_list_no_more_are_read() {
    let listing = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!(r#""example.com/r{at}": "1""#)).collect();
        pod(&format!(r#"{{"containers": [{{"resources": {{"requests": {{{}}}}}}}]}}"#, names.join(", ")))
    };
    assert_eq!(pod_requests(&listing(64)).unwrap().len(), 64);
    assert_eq!(pod_requests(&listing(10_000)), Err(PodRequestsError::TooManyNames));
}
