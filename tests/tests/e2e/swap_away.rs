//! The API server goes away for a while: the last good version works on, and what is pushed later is taken.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use weir_tests::objects::weir_pod;
use weir_tests::program::Stopped;

use crate::swap::{Swapping, packed};

/// How often the API server is asked, 3 s each time, until it has been away for a minute.
const ASKED_IN_VAIN: usize = 20;

#[tokio::test]
async fn while_the_api_server_is_away_for_a_minute_the_last_good_version_stays_in_force() -> Result<()> {
    let swapping = Swapping::start(packed("", "0")?).await?;
    swapping.ns.placed(&weir_pod("before")).await?;
    let before = swapping.report().await?;
    {
        let _away = Stopped::named("kube-apiserver", swapping.ns.world.cluster.folder())?;
        let (nodes, params) = (Api::<Node>::all(swapping.ns.client.clone()), ListParams::default());
        let ask = || tokio::time::timeout(Duration::from_secs(3), nodes.list(&params));
        let mut in_vain = 0;
        while in_vain < ASKED_IN_VAIN {
            // On a busy machine it answers once more before it stands still.
            in_vain = if let Ok(Ok(_)) = ask().await { 0 } else { in_vain + 1 };
        }
    }
    swapping.ns.placed(&weir_pod("after")).await?;
    let after = swapping.report().await?;
    assert_eq!((&after["digest"], &after["since"]), (&before["digest"], &before["since"]));
    let pushed = swapping.push(&packed("", "1")?, &[]).await?;
    assert_eq!(pushed.code, Some(0), "{}{}", pushed.stdout, pushed.stderr);
    swapping.ns.placed(&weir_pod("with-the-new-one")).await?;
    Ok(())
}
