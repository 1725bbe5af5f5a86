//! Mistakes that stand on a pod: each is a condition with a sentence, an event and a figure; the rest goes on,
//! and once the mistake is corrected the pod is admitted as if it had never been made.

use serde_json::{Value, json};

use crate::row::{condition, grounds, is_admitted, is_gated, pod};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_can_never_fit_its_pool_says_which_limit_is_in_its_way() {
    let row = World::shared().row("never-fits").await;
    let limited = |limit: &str| json!({ "resources": [{ "name": "cpu", "reservation": "4", "limit": limit }] });
    row.pool("never-fits", limited("6")).await;
    row.create(pod("above-limit").pool("never-fits").preemptible().asks("cpu", "7")).await;
    row.waits("above-limit", "ExceedsMaxQuota", "pool \"never-fits\" may never have more than 6").await;
    row.create(pod("not-reserved").pool("never-fits").asks("cpu", "5")).await;
    row.waits("not-reserved", "ExceedsReservation", "make it preemptible or raise the reservation").await;
    row.pool("never-fits-small", json!({ "maxWorkload": { "cpu": "2" } })).await;
    row.create(pod("too-large").pool("never-fits-small").preemptible().asks("cpu", "3")).await;
    row.waits("too-large", "ExceedsMaxQuota", "takes no pod or gang above").await;
    row.create(pod("no-host").pool("never-fits").preemptible().asks("example.com/never-fits", "1")).await;
    row.waits("no-host", "WaitingForPlacement", "0 of 1 would fit if the usable nodes were empty").await;
    row.create(pod("fits").pool("never-fits")).await;
    row.admitted("fits").await;
    // Corrected, each in its way.
    row.change_pool("never-fits", limited("20")).await;
    row.admitted("above-limit").await;
    row.change_pool("never-fits-small", json!({ "maxWorkload": { "cpu": "3" } })).await;
    row.admitted("too-large").await;
    row.annotate("not-reserved", "preemptible", json!("true")).await;
    row.admitted("not-reserved").await;
    row.world.node("never-fits", json!({}), json!({ "cpu": "4", "example.com/never-fits": "1" })).await;
    row.admitted("no-host").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_a_namespace_may_not_use_takes_its_pods_once_it_may() {
    let row = World::shared().row("stranger").await;
    let selector = json!({ "matchLabels": { "stranger-may": "use" } });
    let reserved = json!([{ "name": "cpu", "reservation": "1" }]);
    row.pool("stranger", json!({ "namespaceSelector": selector, "resources": reserved })).await;
    row.create(pod("p").pool("stranger")).await;
    row.waits("p", "PoolNotAllowed", "does not take pods of namespace \"stranger\" (spec.namespaceSelector)").await;
    row.rest_goes_on().await;
    row.label_namespace("stranger-may", "use").await;
    row.admitted("p").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_sku_waits_until_somebody_has_it() {
    let row = World::shared().row("sku").await;
    row.pool("sku", json!({})).await;
    row.create(pod("p").pool("sku").preemptible().model("B200")).await;
    row.waits("p", "UnknownModel", "GPU model \"B200\" is neither in the special-hardware list nor on a node").await;
    row.create(pod("known").pool("sku").preemptible().model("T4")).await;
    row.admitted("known").await;
    let labels = json!({ "gpu-node-label-model": "B200" });
    row.world.node("sku", labels, json!({ "cpu": "8", "nvidia.com/gpu": "8" })).await;
    row.admitted("p").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_added_after_the_pod_was_created_tells_it_to_be_created_anew() {
    let row = World::shared().row("alias").await;
    let reserved = json!([{ "name": "sku.weir.dev/SPECIAL", "reservation": "8" }]);
    row.pool("alias", json!({ "resources": reserved })).await;
    list_special(&row, json!([])).await;
    row.create(pod("early").pool("alias").model("special-80g")).await;
    row.waits("early", "UnknownModel", "GPU model \"special-80g\"").await;
    list_special(&row, json!(["special-80g"])).await;
    row.waits("early", "Misconfigured", "the alias special-80g now means SPECIAL").await;
    row.rest_goes_on().await;
    row.delete("early").await;
    row.create(pod("early").pool("alias").model("special-80g")).await;
    let anew = row.admitted("early").await;
    let selector = anew.spec.unwrap().node_selector.unwrap();
    assert_eq!(selector["gpu-node-label-model"], "SPECIAL");
    row.end().await;
}

/// Lists SPECIAL as special hardware under these aliases.
async fn list_special(row: &crate::row::Row<'_>, aliases: Value) {
    let list = json!({ "labelKeys": ["gpu-node-label-model"],
        "models": [{ "model": "SPECIAL", "aliases": aliases, "gpusPerHost": 8 }] });
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "list": list.to_string() },
        "metadata": { "name": "special-hardware", "namespace": "weir-system" } });
    weir_tests::install::apply_object(&row.client, &serde_json::from_value(map).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn contradicting_annotations_wait_until_one_of_them_is_gone() {
    let row = World::shared().row("contradiction").await;
    row.pool_of("contradiction", "4").await;
    row.create(pod("pools").pool("contradiction").annotated("resource-pool", "other")).await;
    row.waits("pools", "Misconfigured", "keep one of them").await;
    row.create(pod("no-boolean").pool("contradiction").annotated("preemptible", "yes")).await;
    row.waits("no-boolean", "Misconfigured", "\"yes\" is neither \"true\" nor \"false\"").await;
    row.create(pod("size-alone").pool("contradiction").annotated("number-gang-members", "3")).await;
    row.waits("size-alone", "Misconfigured", "announces 3 members and label weir.dev/gang is missing").await;
    row.create(pod("foreign").pool("contradiction").with("schedulerName", json!("volcano"))).await;
    row.waits("foreign", "Misconfigured", "spec.schedulerName").await;
    row.create(pod("fine").pool("contradiction")).await;
    row.admitted("fine").await;
    row.annotate("pools", "resource-pool", Value::Null).await;
    row.admitted("pools").await;
    row.annotate("no-boolean", "preemptible", json!("false")).await;
    row.admitted("no-boolean").await;
    row.annotate("size-alone", "number-gang-members", Value::Null).await;
    row.admitted("size-alone").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_any_annotation_go_to_the_default_pool_and_are_told_so() {
    let row = World::shared().row("newcomer").await;
    row.label_namespace("weir.dev/managed", "true").await;
    let made = row.create(pod("p")).await;
    assert!(is_gated(&made), "{made:?}");
    let admitted = row.until_pod("p", "it is told where it is", |pod| {
        condition(pod).is_some_and(|(yes, _, text)| yes == "True" && text.contains("default"))
    });
    let admitted = admitted.await;
    assert!(is_admitted(&admitted), "the gate goes before it is said: {admitted:?}");
    let says = |key: &str| admitted.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
    assert_eq!(says("weir.dev/pool").as_deref(), Some("default"));
    assert_eq!(says("weir.dev/preemptible").as_deref(), Some("true"), "whoever says nothing may be taken back");
    assert!(matches!(grounds(&admitted), Some("WithinEntitlement" | "OnLoan")), "{admitted:?}");
    row.event("Pod", "p", condition(&admitted).unwrap().1, "default").await;
    row.world.counts(&["weir_admissions_total{", "pool=\"default\""], 1.0).await;
    row.end().await;
}
