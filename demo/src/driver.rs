//! Does a run: a control plane with Weir on it, the trace's nodes, and the trace's pods, each at its time.
//!
//! Everything that happens is told to the [`SharedRun`], and how far the run is follows from what the watch told it:
//! the end, too, is judged by the API server's word alone.

mod completion;
pub(crate) mod install;
mod node_load;
mod owners;
pub(crate) mod ray;
mod replay;
pub(crate) mod scope;
mod set_up;
pub(crate) mod shared;
mod steps;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use weir_api::{NodeLoad, PodInfo, names};
use weir_local::{
    Cluster, Death, Identity, KubeRay, Options, Program, Programs, Scheduler, SchedulerSettings, Sidecar,
    SidecarSettings,
};

use crate::run_state::Event;
use crate::scenario::workload::Workload;
use crate::scenario::{objects, pools};
use install::Shipped;
use owners::Owners;
use ray::Ray;
use replay::Replay;
use scope::{AT_A_TIME, Scope};
use set_up::SetUp;
use shared::SharedRun;
use watch::Watch;

/// For how long pods may come without a gate after the sidecar said that it is ready.
const UNTIL_GATED: Duration = Duration::from_secs(30);

/// How the sidecar runs.
const SIDECAR: &str = include_str!("driver/admission.yaml");

/// What a run needs.
pub(crate) struct Run {
    pub(crate) workload: Workload,
    pub(crate) programs: Programs,
    /// The admission sidecar's program.
    pub(crate) sidecar: PathBuf,
    pub(crate) options: Options,
    /// The text of the KubeSchedulerConfiguration.
    pub(crate) configuration: String,
    /// The folder with the modules.
    pub(crate) plugins: PathBuf,
    pub(crate) shipped: Shipped,
    pub(crate) scope: Scope,
    /// KubeRay, where it is installed.
    pub(crate) ray: Option<Ray>,
}

impl Run {
    /// Runs until every pod had its turn; the cluster is still up then.
    pub(crate) async fn perform(self, shared: &SharedRun) -> Result<Cluster> {
        shared.tell(Event::Planned(self.workload.plan()));
        let set_up = SetUp::plan(shared, self.workload.nodes.len(), self.ray.is_some());
        let cluster = set_up.control_plane(Cluster::start(&self.programs, self.options.clone())).await?;
        let result = tokio::select! {
            result = self.on(&cluster, &set_up, shared) => result,
            death = cluster.death() => Err(anyhow!(death)),
        };
        result.map(|()| cluster)
    }

    /// Everything that happens on a control plane that is up.
    async fn on(&self, cluster: &Cluster, set_up: &SetUp<'_>, shared: &SharedRun) -> Result<()> {
        let client = cluster.client();
        let tree = pools::tree(&self.workload.nodes);
        set_up.install(self.shipped.install(&client, &tree)).await?;
        let (gone, lost) = mpsc::unbounded_channel();
        let watch = Watch::begin(&client, self.shipped.special(), shared, gone);
        let owners = Owners::default();
        set_up.nodes(self.create_nodes(&client, shared)).await?;
        let operator = match &self.ray {
            Some(ray) => Some(set_up.ray(ray.install(cluster, &self.programs)).await?),
            None => None,
        };
        let scheduler = set_up.scheduler(self.start_scheduler(cluster)).await?;
        let start_sidecar = async {
            // Before the first pod is admitted: what is judged by was seen from the first round on.
            watch.begun().await?;
            self.start_sidecar(cluster).await
        };
        let sidecar = set_up.sidecar(start_sidecar).await?;
        shared.tell(Event::ReplayStarted);
        let replay = Replay { client: &client, scheduler: &scheduler, watch: &watch, owners: &owners, shared };
        tokio::select! {
            result = replay.play(&self.workload.timeline.arrivals, self.scope) => result?,
            death = scheduler.death() => bail!(death),
            death = sidecar.death() => bail!(death),
            death = death_of(operator.as_ref()) => bail!(death),
            ended = self.keep_reporting(&client, shared) => ended?,
            ended = owners.keep(&client, lost) => ended?,
        }
        // Read once more while it still answers: the last calls count too.
        replay.tell_figures().await.map(drop)
    }

    async fn start_scheduler(&self, cluster: &Cluster) -> Result<Scheduler> {
        let settings = SchedulerSettings {
            name: names::SCHEDULER,
            program: self.programs.path(Program::Scheduler)?,
            configuration: &self.configuration,
            plugins: &self.plugins,
        };
        Scheduler::start(cluster, settings).await
    }

    /// Starts the sidecar, and returns when the API server asks it about pods.
    async fn start_sidecar(&self, cluster: &Cluster) -> Result<Sidecar> {
        let user = format!("system:serviceaccount:{}:{}", names::NAMESPACE, names::ADMISSION);
        let identity = Identity::user(&user);
        let settings = SidecarSettings {
            name: names::ADMISSION,
            program: &self.sidecar,
            configuration: SIDECAR,
            identity: &identity,
        };
        let (client, sidecar) = (cluster.client(), Sidecar::start(cluster, settings).await?);
        tokio::select! {
            gated = self.until_gated(&client) => gated?,
            death = sidecar.death() => bail!(death),
            () = tokio::time::sleep(UNTIL_GATED) => bail!(
                "pods still come without a gate {} s after it was ready; the end of its log:\n{}",
                UNTIL_GATED.as_secs(),
                sidecar.process().log_tail()
            ),
        }
        Ok(sidecar)
    }

    /// Tries, without creating anything, what becomes of a pod, until it carries the gate. The API server follows its
    /// webhooks by a watch of its own and does not say when it has seen one.
    async fn until_gated(&self, client: &Client) -> Result<()> {
        let Some(first) = self.workload.timeline.arrivals.first() else { return Ok(()) };
        let api: Api<Pod> = Api::namespaced(client.clone(), objects::NAMESPACE);
        let only_try = PostParams { dry_run: true, ..PostParams::default() };
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            match api.create(&only_try, &objects::pod(first)).await {
                Ok(pod) if PodInfo::of(&pod).waits() => return Ok(()),
                // Refused by the policy because the webhook was not asked yet.
                Ok(_) | Err(kube::Error::Api(_)) => {}
                Err(error) => return Err(error).context("try to create a pod"),
            }
        }
    }

    /// Creates the nodes and the first report of the load of each that reports one.
    async fn create_nodes(&self, client: &Client, shared: &SharedRun) -> Result<()> {
        let api: Api<Node> = Api::all(client.clone());
        let create = |node: Node| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &node).await.context("create a node").map(drop) }
        };
        let all = stream::iter(self.workload.nodes.iter().map(objects::node).map(create));
        all.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        let reports = node_load::hosts(&self.workload.nodes).map(|host| report(client, shared, host));
        stream::iter(reports).buffer_unordered(AT_A_TIME).try_collect().await
    }

    /// Reports the load of every host anew within each window, one after the other, as agents do that were not started
    /// in the same moment. Ends with an error only.
    async fn keep_reporting(&self, client: &Client, shared: &SharedRun) -> Result<()> {
        let hosts: Vec<&str> = node_load::hosts(&self.workload.nodes).collect();
        if hosts.is_empty() {
            std::future::pending::<()>().await;
        }
        let window = Duration::from_secs(node_load::WINDOW.unsigned_abs().into());
        let mut tick = tokio::time::interval(window / u32::try_from(hosts.len()).unwrap_or(u32::MAX));
        for host in hosts.iter().cycle() {
            tick.tick().await;
            report(client, shared, host).await?;
        }
        Ok(())
    }
}

/// Returns once the operator ended by itself; never where there is none.
async fn death_of(operator: Option<&KubeRay>) -> Death {
    match operator {
        Some(operator) => operator.process().death().await,
        None => std::future::pending().await,
    }
}

/// Writes what the agent of a host would.
async fn report(client: &Client, shared: &SharedRun, host: &str) -> Result<()> {
    let api: Api<NodeLoad> = Api::all(client.clone());
    let load = shared.ask(|cluster| node_load::report(cluster, host, Timestamp::now()));
    let params = PatchParams::apply(names::CLI).force();
    api.patch(host, &params, &Patch::Apply(&load)).await.context("report the load of a host").map(drop)
}
