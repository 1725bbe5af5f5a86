//! Pods that cannot be written, whatever the reason: their trouble is their own (B5c). Each such pod says what the API
//! server says, and everybody else goes on within the same moment.

use anyhow::{Result, bail};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{is_admitted, pod};
use weir_tests::world::shared;

/// How many bytes the annotations of one object may have, keys and values together.
const ANNOTATIONS: usize = 256 * 1024;

/// Another pod of the same pool is admitted, and so is a gang.
async fn others_go_on(ns: &TestNamespace) -> Result<()> {
    ns.create_pod(&pod("other").pool(&ns.name)).await?;
    for at in 0..3 {
        ns.create_pod(&pod(&format!("m{at}")).pool(&ns.name).gang("train", "3")).await?;
    }
    for name in ["other", "m0", "m1", "m2"] {
        ns.until_admitted(name).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_annotations_leave_no_room_for_ours_says_so_and_delays_nobody() -> Result<()> {
    let ns = shared::admitting()?.namespace("stuffed").await?;
    ns.create_pool_of("stuffed", "8").await?;
    // As large as the API server takes it with what the webhook adds.
    let mut size = ANNOTATIONS;
    let created = loop {
        size -= 20;
        let stuffed = pod("p").pool("stuffed").annotated("filler", &"x".repeat(size));
        match ns.create_pod(&stuffed).await {
            Ok(created) => break created,
            Err(_) if size > ANNOTATIONS - 1000 => {}
            Err(error) => return Err(error),
        }
    };
    assert!(size > ANNOTATIONS - 300, "{size} bytes leave room for what is recorded on {created:?}");
    ns.until_waiting("p", "BackingOff", "the API server refuses to remove the gate").await?;
    others_go_on(&ns).await?;
    ns.world.counts(&["weir_gate_removals_total", "outcome=\"Refused\""], 1.0).await?;
    ns.delete_pod("p").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_another_policy_guards_says_so_and_delays_nobody() -> Result<()> {
    let ns = shared::admitting()?.namespace("guarded").await?;
    ns.create_pod(&pod("p").pool("guarded")).await?;
    ns.until_waiting("p", "PoolNotFound", "there is no pool").await?;
    deny_updates_of(&ns, "p").await?;
    ns.create_pool_of("guarded", "8").await?;
    ns.until_waiting("p", "BackingOff", "may not be changed today").await?;
    others_go_on(&ns).await?;
    ns.judge().await
}

/// A policy of the cluster's denies every update of a pod; returns once it does.
async fn deny_updates_of(ns: &TestNamespace, name: &str) -> Result<()> {
    let policy = format!("keep-{}", ns.name);
    ns.apply(&json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": policy },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["UPDATE"], "resources": ["pods"] }] },
            "matchConditions": [{ "name": "here", "expression": format!("request.namespace == '{}'", ns.name) }],
            "validations": [{ "expression": format!("object.metadata.name != '{name}'"),
                "message": "may not be changed today" }] } }))
        .await?;
    ns.apply(&json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": policy }, "spec": { "policyName": policy, "validationActions": ["Deny"] } }))
        .await?;
    // Nothing tells when a policy is in force.
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    for _ in 0..300 {
        tick.tick().await;
        let touch = Patch::Merge(json!({ "metadata": { "annotations": { "touched": "yes" } } }));
        let touched: kube::Result<Value> =
            Api::<k8s_openapi::api::core::v1::Pod>::namespaced(ns.client.clone(), &ns.name)
                .patch(name, &PatchParams { dry_run: true, ..PatchParams::default() }, &touch)
                .await
                .map(|_| Value::Null);
        if touched.is_err() {
            return Ok(());
        }
    }
    bail!("the policy is not in force")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_changes_a_waiting_pod_in_a_loop_delays_nobody_and_goes_when_it_ends() -> Result<()> {
    let ns = shared::admitting()?.namespace("restless").await?;
    let tenant = ns.owner("restless-tenant").await?;
    ns.create_pod_by(&tenant, &pod("p").pool("restless")).await?;
    ns.until_waiting("p", "PoolNotFound", "there is no pool").await?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(tenant, &ns.name);
    let changes = tokio::spawn(async move {
        for at in 0_u64.. {
            let patch = Patch::Merge(json!({ "metadata": { "annotations": { "restless": at.to_string() } } }));
            // The API server may refuse one; the next comes at once.
            let _ = pods.patch("p", &PatchParams::default(), &patch).await;
        }
    });
    ns.create_pool_of("restless", "8").await?;
    others_go_on(&ns).await?;
    changes.abort();
    ns.until_pod("p", "it is admitted", is_admitted).await?;
    ns.judge().await
}
