//! The most memory that the sidecar ever holds in a cluster of this size: while it reads everything, decides for
//! the first time, and writes on each waiting pod why it waits.
//!
//! Pods are created before there is a sidecar, as its webhook would have made them: nothing then stands between
//! the benchmark and the API server, which is the real one and holds every object. One in five runs, the others
//! wait; of those every third is in a gang. What runs is all that its pool may have, so no pod is admitted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use weir_api::condition::Admitted;
use weir_api::names;
use weir_local::Cluster;
use weir_tests::install::{control_plane, namespace};
use weir_tests::sidecar::Sidecar;

use crate::load;
use crate::rounded;

/// Namespaces and leaf pools, each with one part of the pods.
const PARTS: usize = 50;
/// Of thirty pods in a row two run that would be in the gang.
const GANG: usize = 8;
const MIB: f64 = 1024.0 * 1024.0;

/// The peak, in MiB.
pub(crate) async fn measure(nodes: usize, pods: usize, watch: u64) -> Result<Value> {
    let cluster = control_plane().await?;
    populate(&cluster, nodes, pods).await?;
    let sidecar = load::sidecar(&cluster).await?;
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut decided = None;
    let waiting = (pods / PARTS) * PARTS - running(pods);
    loop {
        tick.tick().await;
        let text = sidecar.metrics().await.context("read the sidecar's metrics")?;
        let told = sum(&text, "weir_pending_pods{");
        if sum(&text, "weir_cycle_duration_seconds_count") > 0.0 && decided.is_none() {
            decided = Some(Instant::now());
            say(&sidecar, "decided for the first time", began)?;
        }
        let over = decided.is_some_and(|at| at.elapsed() > Duration::from_secs(watch));
        if over || told >= waiting as f64 {
            say(&sidecar, &format!("wrote on {told} of {waiting} pods why they wait"), began)?;
            break;
        }
        if began.elapsed() > Duration::from_secs(300) && decided.is_none() {
            bail!("it did not decide within 300 s; the end of its log:\n{}", sidecar.process().log_tail());
        }
    }
    Ok(rounded(sidecar.memory()?.1 as f64 / MIB))
}

fn say(sidecar: &Sidecar, what: &str, began: Instant) -> Result<()> {
    let (now, most) = sidecar.memory()?;
    let after = began.elapsed().as_secs_f64();
    eprintln!("{what} after {after:.1} s: holds {:.0} MiB, held {:.0} at most", now as f64 / MIB, most as f64 / MIB);
    Ok(())
}

async fn populate(cluster: &Cluster, nodes: usize, pods: usize) -> Result<()> {
    let client = cluster.client();
    load::nodes(&client, nodes).await?;
    let began = Instant::now();
    for part in 0..PARTS {
        let name = format!("part-{part:02}");
        namespace(&client, &name, json!({})).await?;
        if part.is_multiple_of(10) {
            load::pool(&client, &parent(part), json!({})).await?;
        }
        let held: usize = (0..pods / PARTS).filter(|&at| runs(at)).map(|at| 1 + at % 2).sum();
        let resources = json!([{ "name": "cpu", "limit": held.to_string() }]);
        load::pool(&client, &name, json!({ "parent": parent(part), "resources": resources })).await?;
        load::pods(&client, &name, pods / PARTS, |at| pod(&name, at, nodes)).await?;
    }
    let took = began.elapsed().as_secs_f64();
    eprintln!("created {pods} pods in {took:.0} s, {:.0}/s", pods as f64 / took);
    Ok(())
}

fn parent(part: usize) -> String {
    format!("division-{}", part / 10)
}

/// Whether the pod of this number within its part runs.
const fn runs(at: usize) -> bool {
    at.is_multiple_of(5)
}

fn running(pods: usize) -> usize {
    (0..pods / PARTS).filter(|&at| runs(at)).count() * PARTS
}

/// A pod as the webhook leaves it; one that runs as the sidecar left it.
fn pod(pool: &str, at: usize, nodes: usize) -> Value {
    let mut pod = load::pod(pool, &format!("{pool}-{at:05}"), at);
    pod["spec"]["schedulerName"] = names::SCHEDULER.into();
    pod["metadata"]["labels"][names::POOL] = pool.into();
    pod["metadata"]["annotations"][names::PREEMPTIBLE] = names::TRUE.into();
    if runs(at) {
        pod["metadata"]["annotations"][names::ADMITTED_AS] = Admitted::WithinEntitlement.as_str().into();
        pod["spec"]["nodeName"] = format!("node-{:05}", at % nodes).into();
    } else {
        pod["spec"]["schedulingGates"] = json!([{ "name": names::GATE }]);
        if at.is_multiple_of(3) {
            pod["metadata"]["labels"][names::GANG] = format!("gang-{}", at / 30).into();
            pod["metadata"]["annotations"][names::GANG_SIZE] = GANG.to_string().into();
        }
    }
    pod
}

fn sum(text: &str, series: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(series));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
