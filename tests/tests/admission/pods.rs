//! Mistakes that stand on a pod: each is a condition with a sentence, an event and a figure; the rest goes on,
//! and once the mistake is corrected the pod is admitted as if it had never been made.

use serde_json::{Value, json};

use crate::namespace::{condition, grounds, is_admitted, is_gated, pod};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_can_never_fit_its_pool_says_which_limit_is_in_its_way() {
    let ns = World::shared().namespace("never-fits").await;
    let limited = |limit: &str| json!({ "resources": [{ "name": "cpu", "reservation": "4", "limit": limit }] });
    ns.pool("never-fits", limited("6")).await;
    ns.create(pod("above-limit").pool("never-fits").preemptible().asks("cpu", "7")).await;
    ns.waits("above-limit", "ExceedsMaxQuota", "pool \"never-fits\" may never have more than 6").await;
    ns.create(pod("not-reserved").pool("never-fits").asks("cpu", "5")).await;
    ns.waits("not-reserved", "ExceedsReservation", "make it preemptible or raise the reservation").await;
    ns.pool("never-fits-small", json!({ "maxWorkload": { "cpu": "2" } })).await;
    ns.create(pod("too-large").pool("never-fits-small").preemptible().asks("cpu", "3")).await;
    ns.waits("too-large", "ExceedsMaxQuota", "takes no pod or gang above").await;
    ns.create(pod("no-host").pool("never-fits").preemptible().asks("example.com/never-fits", "1")).await;
    ns.waits("no-host", "WaitingForPlacement", "0 of 1 would fit if the usable nodes were empty").await;
    ns.create(pod("fits").pool("never-fits")).await;
    ns.admitted("fits").await;
    // Corrected, each in its way.
    ns.change_pool("never-fits", limited("20")).await;
    ns.admitted("above-limit").await;
    ns.change_pool("never-fits-small", json!({ "maxWorkload": { "cpu": "3" } })).await;
    ns.admitted("too-large").await;
    ns.annotate("not-reserved", "preemptible", json!("true")).await;
    ns.admitted("not-reserved").await;
    ns.world.node("never-fits", json!({}), json!({ "cpu": "4", "example.com/never-fits": "1" })).await;
    ns.admitted("no-host").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_a_namespace_may_not_use_takes_its_pods_once_it_may() {
    let ns = World::shared().namespace("stranger").await;
    let selector = json!({ "matchLabels": { "stranger-may": "use" } });
    let reserved = json!([{ "name": "cpu", "reservation": "1" }]);
    ns.pool("stranger", json!({ "namespaceSelector": selector, "resources": reserved })).await;
    ns.create(pod("p").pool("stranger")).await;
    ns.waits("p", "PoolNotAllowed", "does not take pods of namespace \"stranger\" (spec.namespaceSelector)").await;
    ns.rest_goes_on().await;
    ns.label_namespace("stranger-may", "use").await;
    ns.admitted("p").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_sku_waits_until_somebody_has_it() {
    let ns = World::shared().namespace("sku").await;
    ns.pool("sku", json!({})).await;
    ns.create(pod("p").pool("sku").preemptible().model("B200")).await;
    ns.waits("p", "UnknownModel", "GPU model \"B200\" is neither in the special-hardware list nor on a node").await;
    ns.create(pod("known").pool("sku").preemptible().model("T4")).await;
    ns.admitted("known").await;
    let labels = json!({ "gpu-node-label-model": "B200" });
    ns.world.node("sku", labels, json!({ "cpu": "8", "nvidia.com/gpu": "8" })).await;
    ns.admitted("p").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_added_after_the_pod_was_created_tells_it_to_be_created_anew() {
    let ns = World::shared().namespace("alias").await;
    let reserved = json!([{ "name": "sku.weir.dev/SPECIAL", "reservation": "8" }]);
    ns.pool("alias", json!({ "resources": reserved })).await;
    list_special(&ns, json!([])).await;
    ns.create(pod("early").pool("alias").model("special-80g")).await;
    ns.waits("early", "UnknownModel", "GPU model \"special-80g\"").await;
    list_special(&ns, json!(["special-80g"])).await;
    ns.waits("early", "Misconfigured", "the alias special-80g now means SPECIAL").await;
    ns.rest_goes_on().await;
    ns.delete("early").await;
    ns.create(pod("early").pool("alias").model("special-80g")).await;
    let anew = ns.admitted("early").await;
    let selector = anew.spec.unwrap().node_selector.unwrap();
    assert_eq!(selector["gpu-node-label-model"], "SPECIAL");
    ns.end().await;
}

/// Lists SPECIAL as special hardware under these aliases.
async fn list_special(ns: &crate::namespace::TestNamespace<'_>, aliases: Value) {
    let list = json!({ "labelKeys": ["gpu-node-label-model"],
        "models": [{ "model": "SPECIAL", "aliases": aliases, "gpusPerHost": 8 }] });
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "list": list.to_string() },
        "metadata": { "name": "special-hardware", "namespace": "weir-system" } });
    weir_tests::install::apply_object(&ns.client, &serde_json::from_value(map).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn contradicting_annotations_wait_until_one_of_them_is_gone() {
    let ns = World::shared().namespace("contradiction").await;
    ns.pool_of("contradiction", "4").await;
    ns.create(pod("pools").pool("contradiction").annotated("resource-pool", "other")).await;
    ns.waits("pools", "Misconfigured", "keep one of them").await;
    ns.create(pod("no-boolean").pool("contradiction").annotated("preemptible", "yes")).await;
    ns.waits("no-boolean", "Misconfigured", "\"yes\" is neither \"true\" nor \"false\"").await;
    ns.create(pod("size-alone").pool("contradiction").annotated("number-gang-members", "3")).await;
    ns.waits("size-alone", "Misconfigured", "announces 3 members and label weir.dev/gang is missing").await;
    ns.create(pod("foreign").pool("contradiction").with("schedulerName", json!("volcano"))).await;
    ns.waits("foreign", "Misconfigured", "spec.schedulerName").await;
    ns.create(pod("fine").pool("contradiction")).await;
    ns.admitted("fine").await;
    ns.annotate("pools", "resource-pool", Value::Null).await;
    ns.admitted("pools").await;
    ns.annotate("no-boolean", "preemptible", json!("false")).await;
    ns.admitted("no-boolean").await;
    ns.annotate("size-alone", "number-gang-members", Value::Null).await;
    ns.admitted("size-alone").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_any_annotation_go_to_the_default_pool_and_are_told_so() {
    let ns = World::shared().namespace("newcomer").await;
    ns.label_namespace("weir.dev/managed", "true").await;
    let made = ns.create(pod("p")).await;
    assert!(is_gated(&made), "{made:?}");
    let admitted = ns.until_pod("p", "it is told where it is", |pod| {
        condition(pod).is_some_and(|(yes, _, text)| yes == "True" && text.contains("default"))
    });
    let admitted = admitted.await;
    assert!(is_admitted(&admitted), "the gate goes before it is said: {admitted:?}");
    let says = |key: &str| admitted.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
    assert_eq!(says("weir.dev/pool").as_deref(), Some("default"));
    assert_eq!(says("weir.dev/preemptible").as_deref(), Some("true"), "whoever says nothing may be taken back");
    assert!(matches!(grounds(&admitted), Some("WithinEntitlement" | "OnLoan")), "{admitted:?}");
    ns.event("Pod", "p", condition(&admitted).unwrap().1, "default").await;
    ns.world.counts(&["weir_admissions_total{", "pool=\"default\""], 1.0).await;
    ns.end().await;
}
