//! Worlds that the tests of a process share: what no test changes there.
//!
//! A world is started by the first test that asks and ends with the process. It lives in a runtime of its own,
//! because each test has one that ends with the test.

use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow};
use tokio::runtime::Runtime;

use super::World;
use crate::objects::node;
use crate::setup::Setup;

/// The world that places: six nodes, and the scheduler as it is shipped.
///
/// | node | |
/// |---|---|
/// | `cpu-1`, `cpu-2` | no GPU |
/// | `gpu-1`, `gpu-2` | 8 GPUs of model T4 |
/// | `gpu-restarting` | 8 GPUs, none allocatable: its device plugin restarts |
/// | `gpu-undriven` | the label of a model and no GPU at all: its driver is not installed yet |
///
/// # Errors
/// What kept it from starting, the same for all callers.
pub fn placing() -> Result<Arc<World>> {
    static SHARED: Shared = Shared::new();
    SHARED.get(async || {
        let world = World::begin(None).await?;
        let nodes = [
            node("cpu-1").cores(64),
            node("cpu-2").cores(64),
            node("gpu-1").cores(64).gpus(8).model("T4"),
            node("gpu-2").cores(64).gpus(8).model("T4"),
            node("gpu-restarting").cores(64).gpus(8).allocatable_gpus(0),
            node("gpu-undriven").cores(64).model("T4"),
        ];
        for node in nodes {
            world.add_node(&node).await?;
        }
        world.run_scheduler(&Setup::shipped()?).await?;
        Ok(world)
    })
}

/// The world that admits: nodes without end, and sidecar `a` with its defaults.
///
/// | node | |
/// |---|---|
/// | `cpu` | no GPU |
/// | `gpu` | 64 GPUs of model T4 |
/// | `special` | 64 GPUs of model SPECIAL |
///
/// # Errors
/// What kept it from starting, the same for all callers.
pub fn admitting() -> Result<Arc<World>> {
    static SHARED: Shared = Shared::new();
    SHARED.get(async || {
        let world = World::begin(None).await?;
        world.run_sidecar("a", "").await?;
        let nodes = [
            node("cpu").cores(1000),
            node("gpu").cores(1000).gpus(64).model("T4"),
            node("special").cores(1000).gpus(64).model("SPECIAL"),
        ];
        for node in nodes {
            world.add_node(&node).await?;
        }
        Ok(world)
    })
}

/// A world that is started once.
struct Shared(OnceLock<Result<(Arc<World>, Runtime), String>>);

impl Shared {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The first caller starts it, and the others wait meanwhile.
    fn get(&self, start: impl AsyncFnOnce() -> Result<Arc<World>> + Send) -> Result<Arc<World>> {
        let started = self.0.get_or_init(|| in_own_runtime(start).map_err(|error| format!("{error:?}")));
        started.as_ref().map(|(world, _)| Arc::clone(world)).map_err(|error| anyhow!("{error}"))
    }
}

/// A runtime cannot be entered from within another, and the caller is in its test's.
fn in_own_runtime(start: impl AsyncFnOnce() -> Result<Arc<World>> + Send) -> Result<(Arc<World>, Runtime)> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.context("start a runtime for the shared world")?;
        let world = runtime.block_on(start())?;
        Ok((world, runtime))
    };
    std::thread::scope(|scope| scope.spawn(run).join()).map_err(|_| anyhow!("starting the shared world panicked"))?
}
