//! How long the webhook takes to answer while many clients create managed pods at once.
//!
//! The time is what passes between the first byte of a request and the last byte of its answer, at a relay between
//! API server and webhook (see `relay`): exact for each request, with the network, TLS and the queue in front of the
//! webhook. It is not what a whole creation takes, and not what the API server counts of the webhook either, which
//! has the API server's own work in it (writing the review, reading the answer, and its goroutines' waiting for a
//! processor, of which the clients and etcd leave none on a small machine). Both are told beside it; the API server
//! counts in buckets of up to 400 ms, so that its figure is an interpolation.
//!
//! A pod is lost when it was refused, or made without its gate because the webhook did not answer in time.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use weir_api::names;
use weir_local::Identity;
use weir_tests::install::{control_plane, namespace};

use crate::load;
use crate::relay::Relay;
use crate::rounded;

const NAMESPACE: &str = "webhook";
const SERIES: &str = "apiserver_admission_webhook_admission_duration_seconds_bucket{";

/// `{"requests": n, "lost": n, "p50_ms": x, "p99_ms": x, "api_server_p99_ms": x}`; the last is what the API server
/// counts, interpolated.
pub(crate) async fn measure(clients: usize, each: usize) -> Result<Value> {
    let cluster = control_plane().await?;
    let client = cluster.client();
    namespace(&client, NAMESPACE, json!({})).await?;
    load::nodes(&client, 1).await?;
    load::pool(&client, "webhook", json!({ "state": "Hold" })).await?;
    let relay = Relay::listen()?;
    let sidecar = load::sidecar_behind(&cluster, relay.port()).await?;
    let notes = relay.pass_on_to(sidecar.webhook_port());
    let mut connections = Vec::new();
    for at in 0..clients {
        let user = Identity::user(&format!("client-{at}")).in_group("system:masters");
        connections.push(cluster.client_of(&user).await?);
    }
    let before = buckets(&client).await?;
    let began = Instant::now();
    let created =
        try_join_all(connections.into_iter().enumerate().map(|(at, client)| create(client, at, each))).await?;
    let took = began.elapsed();
    let after = buckets(&client).await?;
    let lost: usize = created.iter().map(|(lost, _)| lost).sum();
    let mut slowest: Vec<f64> = created.into_iter().flat_map(|(_, times)| times).collect();
    slowest.sort_by(f64::total_cmp);
    let requests = clients * each;
    let whole = |share: f64| slowest.get((slowest.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN) * 1000.0;
    eprintln!(
        "{requests} pods by {clients} clients in {:.1} s; a whole creation took {:.0} ms, 1 in 100 more than {:.0} ms",
        took.as_secs_f64(),
        whole(0.5),
        whole(0.99)
    );
    let waited = Histogram::between(&before, &after);
    eprintln!("the API server called the webhook {} times: {:?}", waited.total(), waited.0);
    let (mut answers, connections) = notes.taken();
    answers.sort();
    let slow = |share: f64| {
        let at = (answers.len() as f64 * share) as usize;
        answers.get(at).map_or(f64::NAN, |taken| taken.as_secs_f64() * 1000.0)
    };
    eprintln!(
        "{} answers over {connections} connections: half within {:.1} ms, 99 of 100 within {:.1} ms, all within {:.1} ms; \
         the API server's own figures are {:.0} and {:.0} ms",
        answers.len(),
        slow(0.5),
        slow(0.99),
        answers.last().map_or(f64::NAN, |taken| taken.as_secs_f64() * 1000.0),
        waited.quantile(0.5) * 1000.0,
        waited.quantile(0.99) * 1000.0,
    );
    Ok(json!({ "requests": requests, "lost": lost, "p50_ms": rounded(slow(0.5)), "p99_ms": rounded(slow(0.99)),
        "api_server_p99_ms": rounded(waited.quantile(0.99) * 1000.0) }))
}

/// How many of a client's pods were lost, and how long each creation took.
async fn create(client: Client, at: usize, count: usize) -> Result<(usize, Vec<f64>)> {
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let (mut lost, mut times) = (0, Vec::new());
    for number in 0..count {
        let pod: Pod = serde_json::from_value(load::pod("webhook", &format!("c{at}-{number}"), number))?;
        let began = Instant::now();
        let created = pods.create(&PostParams::default(), &pod).await;
        times.push(began.elapsed().as_secs_f64());
        let gates = created.ok().and_then(|pod| pod.spec?.scheduling_gates).unwrap_or_default();
        lost += usize::from(!gates.iter().any(|gate| gate.name == names::GATE));
    }
    Ok((lost, times))
}

/// Upper bounds in seconds, and how many were at most so long.
type Buckets = Vec<(f64, f64)>;

/// What the API server counts of calls of our webhook.
async fn buckets(client: &Client) -> Result<Buckets> {
    let request = http::Request::get("/metrics").body(Vec::new()).context("ask for /metrics")?;
    let text = client.request_text(request).await.context("read the API server's metrics")?;
    let ours = |line: &&str| {
        line.starts_with(SERIES) && line.contains("operation=\"CREATE\"") && line.contains("admission.weir.dev")
    };
    let mut sums: Buckets = Vec::new();
    for line in text.lines().filter(ours) {
        let bound =
            line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).context("a bucket without a bound")?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().context("read a bound")? };
        let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).context("read a count")?;
        match sums.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => sums.push((bound, count)),
        }
    }
    sums.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(sums)
}

/// Cumulative counts by upper bound.
struct Histogram(Buckets);

impl Histogram {
    fn between(before: &Buckets, after: &Buckets) -> Self {
        let was = |bound: f64| before.iter().find(|(known, _)| *known == bound).map_or(0.0, |(_, count)| *count);
        Self(after.iter().map(|&(bound, count)| (bound, count - was(bound))).collect())
    }

    fn total(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The time that this share of calls did not exceed, in seconds.
    fn quantile(&self, share: f64) -> f64 {
        let rank = self.total() * share;
        let mut below = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= rank && count > below.1 {
                // How long those took that are in the last bucket is not known.
                let width = if bound.is_finite() { bound - below.0 } else { 0.0 };
                return below.0 + width * (rank - below.1) / (count - below.1);
            }
            below = (bound, count);
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket_as_much_as_its_rank_does() {
        let histogram = Histogram(vec![(0.005, 50.0), (0.025, 90.0), (0.1, 100.0), (f64::INFINITY, 100.0)]);
        assert_eq!(histogram.quantile(0.5), 0.005);
        assert_eq!(histogram.quantile(0.7), 0.015);
        assert!((histogram.quantile(0.95) - 0.0625).abs() < 1e-9);
    }
}
