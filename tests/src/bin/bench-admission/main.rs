//! What admission costs: `make bench-admission`. Sentences on stderr, one line of JSON on stdout.
//!
//! | file | measures |
//! |---|---|
//! | `gates` | gates removed per second, against a bare patch loop with as many writers in the same run |
//! | `webhook` | how long the webhook takes to answer while many clients create pods |
//! | `relay` | stands between API server and webhook for it, with a clock |
//! | `memory` | the most that the sidecar ever holds in a large cluster |
//! | `load` | the sidecars, nodes, pools and pods of all three |
//!
//! Nothing fails on time here: only a reader of the figures knows the machine. Sizes are flags, so that a developer
//! can look at one of them in seconds; what is left out is null.

mod gates;
mod load;
mod memory;
mod relay;
mod webhook;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

/// Time admission on a real API server.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench-admission")]
struct Sizes {
    /// Measure these only; may be given several times
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// How many gates are removed in one go
    #[arg(long, default_value_t = 4000)]
    gates: usize,
    /// How often Weir and the bare loop take turns
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// How many clients create pods at once
    #[arg(long, default_value_t = 20)]
    clients: usize,
    /// How many pods each of them creates, one after the other
    #[arg(long, default_value_t = 500)]
    pods_per_client: usize,
    /// How many nodes the large cluster has
    #[arg(long, default_value_t = 5000)]
    nodes: usize,
    /// How many pods it has
    #[arg(long, default_value_t = 100_000)]
    pods: usize,
    /// How long the memory is watched at most once the sidecar decides, in seconds
    #[arg(long, default_value_t = 120)]
    watch: u64,
}

/// One of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Gates,
    Webhook,
    Memory,
}

fn main() -> Result<()> {
    let sizes = Sizes::parse();
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let report = runtime.block_on(report(&sizes))?;
    println!("{report}");
    Ok(())
}

async fn report(sizes: &Sizes) -> Result<Value> {
    let wanted = |part| sizes.only.is_empty() || sizes.only.contains(&part);
    let (mut gates, mut webhook, mut memory) = (Value::Null, Value::Null, Value::Null);
    if wanted(Part::Gates) {
        gates = gates::measure(sizes.gates, sizes.pairs).await.context("gates")?;
    }
    if wanted(Part::Webhook) {
        webhook = webhook::measure(sizes.clients, sizes.pods_per_client).await.context("webhook")?;
    }
    if wanted(Part::Memory) {
        memory = memory::measure(sizes.nodes, sizes.pods, sizes.watch).await.context("memory")?;
    }
    Ok(json!({ "gates_per_s": gates, "webhook": webhook, "rss_mib": memory }))
}

/// A figure as it is printed: two digits behind the point say more than is known.
fn rounded(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}
