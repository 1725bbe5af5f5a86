//! Settings in a ConfigMap: what is edited there is in force without a restart, and the scheduler says which revision.

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use weir_tests::install::apply_shipped;
use weir_tests::objects::{node, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

const MODULE: &str = "guestURL: file://${WEIR_PLUGINS}/sku-exclusion-filter.wasm\n";

#[tokio::test]
async fn special_hardware_that_is_edited_is_in_force_for_the_pods_that_wait() -> Result<()> {
    let ns = World::start().await?.namespace("test").await?;
    ns.world.add_node(&node("g3").gpus(8).model("G3")).await?;
    apply_shipped(&ns.client, "scheduler-config/special-hardware.yaml").await?;
    let followed = format!("{MODULE}          guestConfigMap: weir-system/special-hardware\n");
    ns.world.run_scheduler(&Setup::shipped()?.replacing(MODULE, &followed)?).await?;
    let why = ns.unschedulable(&weir_pod("general").gpus(1)).await?;
    assert!(why.contains("special GPUs"), "{why}");

    let lists: Api<ConfigMap> = Api::namespaced(ns.client.clone(), "weir-system");
    let list = r#"{"labelKeys": ["gpu-node-label-model"], "models": [{"model": "V100M32", "gpusPerHost": 8}]}"#;
    let edit = Patch::Merge(json!({ "data": { "special-hardware.json": list } }));
    let edited = lists.patch("special-hardware", &PatchParams::default(), &edit).await?;
    let began = std::time::Instant::now();
    assert_eq!(ns.until_bound("general").await?, "g3");
    println!("the pod that waited was bound {:?} after the edit", began.elapsed());

    let revision = edited.metadata.resource_version.unwrap_or_default();
    let metrics = ns.world.scheduler_metrics().await?;
    let in_force = metrics.lines().find(|line| line.starts_with("weir_plugin_config_info{")).unwrap_or_default();
    assert!(in_force.contains(&format!("revision=\"{revision}\"")), "{in_force}");
    Ok(())
}
