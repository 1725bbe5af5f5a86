//! Special hardware is kept for the pods that name it; general pods avoid it. `G3` and `V100M32` are special here,
//! as in the list that is shipped, and `V100_32GB` is an alias.

use anyhow::Result;
use weir_tests::namespace::TestNamespace;
use weir_tests::native::{Native, Scores};
use weir_tests::objects::{node, pod, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

const KEPT: &str = "node(s) had special GPUs, which are kept for pods that name them";

/// ```text
/// t4    8 GPUs, general        v100     8 GPUs, special
/// g3    8 GPUs, special        v100-old 8 GPUs, special, labelled with the alias
/// cpu   none
/// ```
async fn one_host_of_each() -> Result<TestNamespace> {
    let ns = World::start().await?.namespace("test").await?;
    for (name, model) in [("t4", "T4"), ("g3", "G3"), ("v100", "V100M32"), ("v100-old", "V100_32GB")] {
        ns.world.add_node(&node(name).gpus(8).model(model)).await?;
    }
    ns.world.add_node(&node("cpu")).await?;
    ns.world.run_scheduler(&Setup::shipped()?).await?;
    Ok(ns)
}

async fn agreed(ns: &TestNamespace) -> Result<()> {
    ns.agrees_with(&Native::shipped()?.with(Scores::default())).await
}

#[tokio::test]
async fn a_general_pod_waits_for_a_general_host_even_when_nothing_else_is_free() -> Result<()> {
    let ns = one_host_of_each().await?;
    assert_eq!(ns.placed(&weir_pod("whole").gpus(8)).await?, "t4");
    let why = ns.unschedulable(&weir_pod("general").gpus(1)).await?;
    assert!(why.contains(&format!("3 {KEPT}")), "{why}");
    let why = ns.unschedulable(&weir_pod("either").gpus(1).accepting_models(&["G3", "T4"])).await?;
    assert!(why.contains(&format!("1 {KEPT}")), "it can do without special hardware, so it goes without: {why}");
    ns.unschedulable(&pod("back-door").gpus(1)).await?;

    ns.delete_pod("whole").await?;
    for name in ["general", "either", "back-door"] {
        assert_eq!(ns.until_bound(name).await?, "t4", "{name}");
    }
    agreed(&ns).await
}

#[tokio::test]
async fn a_pod_that_names_a_special_model_or_an_alias_runs_there_only() -> Result<()> {
    let ns = one_host_of_each().await?;
    assert_eq!(ns.placed(&weir_pod("g3").gpus(1).selecting_model("G3")).await?, "g3");
    assert_eq!(ns.placed(&weir_pod("g3-affinity").gpus(1).accepting_models(&["G3"])).await?, "g3");
    assert_eq!(ns.placed(&weir_pod("v100").gpus(8).selecting_model("V100M32")).await?, "v100");
    // Both names are one model, and upstream's affinity compares letters: the host that says the alias is left.
    let both = weir_pod("v100-both").gpus(4).accepting_models(&["V100M32", "V100_32GB"]);
    assert_eq!(ns.placed(&both).await?, "v100-old");
    assert_eq!(ns.placed(&weir_pod("alias").gpus(4).selecting_model("V100_32GB")).await?, "v100-old");
    // Everything else is free, and still nothing for them.
    ns.unschedulable(&weir_pod("v100-more").gpus(1).selecting_model("V100M32")).await?;
    ns.unschedulable(&weir_pod("alias-more").gpus(1).selecting_model("V100_32GB")).await?;
    assert_eq!(ns.placed(&weir_pod("general").gpus(1)).await?, "t4");
    agreed(&ns).await
}

#[tokio::test]
async fn a_pod_that_names_two_special_models_is_told_to_choose() -> Result<()> {
    let ns = one_host_of_each().await?;
    let why = ns.unschedulable(&weir_pod("either").gpus(1).accepting_models(&["G3", "V100M32"])).await?;
    assert!(why.contains("the pod names several special GPU models (G3, V100M32); name one of them"), "{why}");
    // A special host is a GPU host: naming it does not open it to pods without GPUs.
    ns.unschedulable(&weir_pod("no-gpus").selecting_model("G3")).await?;
    // A pod that belongs to one node passes there, too.
    assert_eq!(ns.placed(&weir_pod("log").tied_to("g3")).await?, "g3");
    agreed(&ns).await
}
