//! Control planes for tests: one that all tests of a process share, and private ones.
//!
//! Shared is what no test changes: the control plane, a few nodes and the scheduler as it is shipped. It is
//! started by the first test that asks and ends with the process. It lives in a runtime of its own, because
//! each test has one that ends with the test.

use std::ops::Deref;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};
use weir_local::{Cluster, Options, Program, Scheduler};

use crate::objects::{NodeOf, node};
use crate::setup::{Setup, programs_with};

/// Each takes some 300 MB and, while it starts, a core.
const PRIVATE_AT_A_TIME: usize = 2;

static ROOM: Semaphore = Semaphore::const_new(PRIVATE_AT_A_TIME);

/// A control plane of the test's own; it ends when this is dropped.
pub struct Private {
    cluster: Cluster,
    _room: SemaphorePermit<'static>,
}

impl Private {
    /// Starts one, as soon as fewer than two others run.
    ///
    /// # Errors
    /// Those of [`Cluster::start`].
    pub async fn start() -> Result<Self> {
        let room = room().await?;
        let programs = programs_with(&Program::CONTROL_PLANE).await?;
        Ok(Self { cluster: Cluster::start(&programs, Options::default()).await?, _room: room })
    }
}

impl Deref for Private {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// Room for one more control plane: for tests whose program starts one itself.
///
/// # Errors
/// Never in practice: nobody closes the semaphore.
pub async fn room() -> Result<SemaphorePermit<'static>> {
    ROOM.acquire().await.context("wait for room for a control plane")
}

/// The control plane of all tests of this process.
pub struct Shared {
    /// The control plane.
    pub cluster: Cluster,
    /// The scheduler as it is shipped.
    pub scheduler: Scheduler,
    /// Drives the two above; never dropped, like the static that holds it.
    _runtime: Runtime,
}

/// The nodes of the shared control plane. Two are GPU hosts that do not look it at the moment.
///
/// | node | |
/// |---|---|
/// | `cpu-1`, `cpu-2` | no GPU |
/// | `gpu-1`, `gpu-2` | 8 GPUs of model T4 |
/// | `gpu-restarting` | 8 GPUs, none allocatable: its device plugin restarts |
/// | `gpu-undriven` | the label of a model and no GPU at all: its driver is not installed yet |
#[must_use]
pub fn shared_nodes() -> [NodeOf; 6] {
    [
        node("cpu-1").cores(64),
        node("cpu-2").cores(64),
        node("gpu-1").cores(64).gpus(8).model("T4"),
        node("gpu-2").cores(64).gpus(8).model("T4"),
        node("gpu-restarting").cores(64).gpus(8).allocatable_gpus(0),
        node("gpu-undriven").cores(64).model("T4"),
    ]
}

impl Shared {
    /// The one of this process; whoever asks first waits until it runs, and so does everybody meanwhile.
    ///
    /// # Errors
    /// What kept it from starting, the same for all who ask.
    pub fn get() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Shared, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start().map_err(|error| format!("{error:?}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    fn start() -> Result<Self> {
        // A runtime cannot be entered from within another, and the caller is in its test's.
        let started = std::thread::spawn(|| -> Result<Self> {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let (cluster, scheduler) = runtime.block_on(Self::populate())?;
            Ok(Self { cluster, scheduler, _runtime: runtime })
        });
        started.join().map_err(|_| anyhow!("starting the shared control plane panicked"))?
    }

    async fn populate() -> Result<(Cluster, Scheduler)> {
        let programs = programs_with(&Program::CONTROL_PLANE).await?;
        let cluster = Cluster::start(&programs, Options::default()).await?;
        let nodes: Api<Node> = Api::all(cluster.client());
        for node in shared_nodes() {
            nodes.create(&PostParams::default(), &node.build()?).await.context("create a shared node")?;
        }
        let scheduler = Setup::shipped()?.start(&cluster).await?;
        Ok((cluster, scheduler))
    }
}
