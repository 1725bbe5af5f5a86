//! Gates removed per second: by the sidecar, from the moment at which a pool is opened to the last gate, and by a
//! loop that does nothing but patch, with as many requests under way, as the same user, on the same API server.
//!
//! Both remove the gates of equal pods that have been told why they wait, and both are timed by the same watch.
//! While the bare loop runs no sidecar does, because it would write beside it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use weir_api::{condition, names};
use weir_local::Cluster;
use weir_tests::install::{control_plane, namespace};
use weir_tests::sidecar::account;

use crate::load::{self, AT_A_TIME};
use crate::rounded;

const NAMESPACE: &str = "gates";

/// `{"weir": …, "bare": …, "conditions_lag_s": …}`: the medians; the lag is from the last gate of a round to the last
/// condition that says so.
pub(crate) async fn measure(count: usize, pairs: usize) -> Result<Value> {
    let cluster = control_plane().await?;
    let client = cluster.client();
    namespace(&client, NAMESPACE, json!({})).await?;
    // Each pod takes up to two of a node's 192 cores.
    load::nodes(&client, count.div_ceil(90)).await?;
    let seen = follow(client);
    let (mut weir, mut bare, mut lags) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        // The second finds a warmer API server; so they take turns in that too.
        let first = pair.is_multiple_of(2);
        for weir_now in [first, !first] {
            let Run { rate, lag } = once(&cluster, &seen, count, weir_now).await?;
            if weir_now {
                weir.push(rate)
            } else {
                bare.push(rate)
            }
            lags.extend(lag);
        }
        let [weir, bare, lag] = [&weir, &bare, &lags].map(|figures| figures[pair]);
        eprintln!(
            "{count} gates: weir {weir:.0}/s, bare loop {bare:.0}/s, {:.2} of it; all conditions stand {lag:.1} s later",
            weir / bare
        );
    }
    Ok(
        json!({ "weir": rounded(median(weir)), "bare": rounded(median(bare)), "conditions_lag_s": rounded(median(lags)) }),
    )
}

/// What one of the two did.
struct Run {
    /// Gates per second.
    rate: f64,
    /// How much later all conditions stood, in seconds; the bare loop writes none.
    lag: Option<f64>,
}

/// Makes the pods, lets them wait, and removes all gates.
async fn once(cluster: &Cluster, seen: &watch::Receiver<Seen>, count: usize, weir: bool) -> Result<Run> {
    let client = cluster.client();
    let name = if weir { "by-weir" } else { "by-hand" };
    let spec = |state: &str| {
        json!({ "state": state, "resources": [{ "name": "cpu", "reservation": (2 * count).to_string() },
            { "name": "memory", "reservation": format!("{}Gi", 2 * count) }] })
    };
    let sidecar = load::sidecar(cluster).await?;
    load::pool(&client, name, spec("Hold")).await?;
    load::pods(&client, NAMESPACE, count, |at| load::pod(name, &format!("p{at:06}"), at)).await?;
    until(seen, "all pods were told that they wait", |seen| seen.waiting() == count).await?;
    let began = Instant::now();
    if weir {
        load::change_pool(&client, name, spec("Active")).await?;
    } else {
        sidecar.process().kill().await?;
        patch_all(&cluster.client_of(&account()).await?, count).await?;
    }
    until(seen, "all gates are gone", |seen| seen.open() == count).await?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let mut lag = None;
    if weir {
        let behind = Instant::now();
        until(seen, "all pods were told that they were admitted", |seen| seen.told() == count).await?;
        lag = Some(behind.elapsed().as_secs_f64());
        sidecar.process().kill().await?;
    }
    clear(&client, seen, name).await?;
    Ok(Run { rate, lag })
}

/// The bare loop.
async fn patch_all(client: &Client, count: usize) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": { "schedulingGates": null } }));
    load::each(count, AT_A_TIME, |at| {
        let (pods, patch) = (pods.clone(), patch.clone());
        async move {
            let name = format!("p{at:06}");
            // As lean as it can be: the answer is not needed.
            pods.patch_metadata(&name, &PatchParams::default(), &patch).await.context("remove a gate").map(drop)
        }
    })
    .await
}

/// Deletes the pods, and the pool with them: its finalizer is the sidecar's, which does not run.
async fn clear(client: &Client, seen: &watch::Receiver<Seen>, pool: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    until(seen, "all pods are gone", |seen| seen.pods.is_empty()).await?;
    let pools: Api<weir_api::ResourcePool> = Api::all(client.clone());
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    pools.patch(pool, &PatchParams::default(), &free).await.context("free the pool")?;
    pools.delete(pool, &DeleteParams::default()).await.context("delete the pool").map(drop)
}

/// What the watch showed of each pod: whether it has its gate, and the status of its condition.
#[derive(Debug, Default)]
struct Seen {
    pods: BTreeMap<String, (bool, Option<bool>)>,
}

impl Seen {
    fn waiting(&self) -> usize {
        self.pods.values().filter(|&&(gated, told)| gated && told == Some(false)).count()
    }

    fn open(&self) -> usize {
        self.pods.values().filter(|(gated, _)| !gated).count()
    }

    fn told(&self) -> usize {
        self.pods.values().filter(|&&(gated, told)| !gated && told == Some(true)).count()
    }
}

fn follow(client: Client) -> watch::Receiver<Seen> {
    let (tell, seen) = watch::channel(Seen::default());
    tokio::spawn(async move {
        let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
        let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            tell.send_modify(|seen| match event {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                    let gates = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
                    let gated = gates.into_iter().any(|gate| gate.name == names::GATE);
                    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
                    let told = conditions.into_iter().find(|one| one.type_ == condition::ADMITTED);
                    let told = told.map(|one| one.status == "True");
                    seen.pods.insert(pod.metadata.name.unwrap_or_default(), (gated, told));
                }
                watcher::Event::Delete(pod) => drop(seen.pods.remove(&pod.metadata.name.unwrap_or_default())),
                watcher::Event::Init | watcher::Event::InitDone => {}
            });
        }
    });
    seen
}

/// Waits until the watch shows it, and gives up where nothing is heard any more.
async fn until(seen: &watch::Receiver<Seen>, what: &str, holds: impl Fn(&Seen) -> bool) -> Result<()> {
    let mut seen = seen.clone();
    let patience = Duration::from_secs(300);
    let waited = tokio::time::timeout(patience, seen.wait_for(|seen| holds(seen))).await;
    waited
        .with_context(|| format!("waited {} s in vain until {what}", patience.as_secs()))?
        .context("the watch ended")?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
