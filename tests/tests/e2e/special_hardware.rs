//! Special hardware is kept for the pods that name it; general pods avoid it. `G3` and `V100M32` are special here,
//! as in the list that is shipped, and `V100_32GB` is an alias.

use anyhow::Result;
use weir_tests::native::{Native, Scores};
use weir_tests::objects::{node, pod};
use weir_tests::scene::Scene;
use weir_tests::setup::Setup;

const KEPT: &str = "node(s) had special GPUs, which are kept for pods that name them";

/// ```text
/// t4    8 GPUs, general        v100     8 GPUs, special
/// g3    8 GPUs, special        v100-old 8 GPUs, special, labelled with the alias
/// cpu   none
/// ```
async fn one_host_of_each() -> Result<Scene> {
    let mut scene = Scene::private().await?;
    for (name, model) in [("t4", "T4"), ("g3", "G3"), ("v100", "V100M32"), ("v100-old", "V100_32GB")] {
        scene.add_node(&node(name).gpus(8).model(model)).await?;
    }
    scene.add_node(&node("cpu")).await?;
    scene.schedule(&Setup::shipped()?).await?;
    Ok(scene)
}

async fn agreed(scene: &Scene) -> Result<()> {
    scene.agrees_with(&Native::shipped()?.with(Scores::default())).await
}

#[tokio::test]
async fn a_general_pod_waits_for_a_general_host_even_when_nothing_else_is_free() -> Result<()> {
    let scene = one_host_of_each().await?;
    assert_eq!(scene.placed(&pod("whole").gpus(8)).await?, "t4");
    let why = scene.refused(&pod("general").gpus(1)).await?;
    assert!(why.contains(&format!("3 {KEPT}")), "{why}");
    let why = scene.refused(&pod("either").gpus(1).accepting_models(&["G3", "T4"])).await?;
    assert!(why.contains(&format!("1 {KEPT}")), "it can do without special hardware, so it goes without: {why}");
    scene.refused(&pod("back-door").gpus(1).any_scheduler()).await?;

    scene.remove_pod("whole").await?;
    for name in ["general", "either", "back-door"] {
        assert_eq!(scene.bound(name).await?, "t4", "{name}");
    }
    agreed(&scene).await
}

#[tokio::test]
async fn a_pod_that_names_a_special_model_or_an_alias_runs_there_only() -> Result<()> {
    let scene = one_host_of_each().await?;
    assert_eq!(scene.placed(&pod("g3").gpus(1).selecting_model("G3")).await?, "g3");
    assert_eq!(scene.placed(&pod("g3-affinity").gpus(1).accepting_models(&["G3"])).await?, "g3");
    assert_eq!(scene.placed(&pod("v100").gpus(8).selecting_model("V100M32")).await?, "v100");
    // Both names are one model, and upstream's affinity compares letters: the host that says the alias is left.
    let both = pod("v100-both").gpus(4).accepting_models(&["V100M32", "V100_32GB"]);
    assert_eq!(scene.placed(&both).await?, "v100-old");
    assert_eq!(scene.placed(&pod("alias").gpus(4).selecting_model("V100_32GB")).await?, "v100-old");
    // Everything else is free, and still nothing for them.
    scene.refused(&pod("v100-more").gpus(1).selecting_model("V100M32")).await?;
    scene.refused(&pod("alias-more").gpus(1).selecting_model("V100_32GB")).await?;
    assert_eq!(scene.placed(&pod("general").gpus(1)).await?, "t4");
    agreed(&scene).await
}

#[tokio::test]
async fn a_pod_that_names_two_special_models_is_told_to_choose() -> Result<()> {
    let scene = one_host_of_each().await?;
    let why = scene.refused(&pod("either").gpus(1).accepting_models(&["G3", "V100M32"])).await?;
    assert!(why.contains("the pod names several special GPU models (G3, V100M32); name one of them"), "{why}");
    // A special host is a GPU host: naming it does not open it to pods without GPUs.
    scene.refused(&pod("no-gpus").selecting_model("G3")).await?;
    // Who belongs to one node passes there, too.
    assert_eq!(scene.placed(&pod("log").tied_to("g3")).await?, "g3");
    agreed(&scene).await
}
