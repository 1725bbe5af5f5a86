//! The very same modules in the unmodified kube-scheduler-wasm-extension, which hands a guest whole objects
//! and adds nothing to them.

use anyhow::Result;
use weir_tests::native::Native;
use weir_tests::objects::{PodBuilder, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::shared;

/// A profile beside the ones of Weir's scheduler, which serves the shared world as well.
const CONFIGURATION: &str = "
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: '${KUBECONFIG}'}
profiles:
  - schedulerName: unmodified
    plugins: {multiPoint: {enabled: [{name: GPUFilter}]}}
    pluginConfig:
      - name: GPUFilter
        args: {guestURL: 'file://${WEIR_PLUGINS}/gpu-filter.wasm'}
";

fn unmodified(name: &str) -> PodBuilder {
    weir_pod(name).cpu("100m").scheduler("unmodified")
}

#[tokio::test]
async fn the_same_module_decides_the_same_in_the_unmodified_extension() -> Result<()> {
    let ns = shared::placing()?.namespace("unmodified").await?;
    // Stopped at the end, because the shared world goes on.
    let scheduler = Setup::unmodified(CONFIGURATION)?.start(&ns.world.cluster).await?;
    let host = ns.placed(&unmodified("etl")).await?;
    assert!(["cpu-1", "cpu-2"].contains(&host.as_str()), "on {host}");
    let host = ns.placed(&unmodified("train").gpus(1)).await?;
    assert!(["gpu-1", "gpu-2"].contains(&host.as_str()), "on {host}");
    for host in ["gpu-1", "gpu-restarting", "gpu-undriven"] {
        let why = ns.unschedulable(&unmodified(&format!("to-{host}")).selecting_node(host)).await?;
        assert!(why.contains("1 node(s) had GPUs, which are kept for pods that ask for them"), "{host}: {why}");
        assert_eq!(ns.placed(&unmodified(&format!("log-{host}")).tied_to(host)).await?, host);
    }
    ns.agrees_with(&Native::shipped()?).await?;
    scheduler.stop().await
}

#[tokio::test]
async fn a_wrong_setting_stops_the_unmodified_extension_too() -> Result<()> {
    let wrong = CONFIGURATION.replace("gpu-filter.wasm'", "gpu-filter.wasm', guestConfig: '{\"gpuResources\": [5]}'");
    let world = shared::placing()?;
    let Err(error) = Setup::unmodified(&wrong)?.start(&world.cluster).await else {
        anyhow::bail!("it started");
    };
    let error = format!("{error:#}");
    assert!(error.contains("exit status: 1") && error.contains("settings.gpuResources[0]"), "{error}");
    Ok(())
}
