//! Does a run: a control plane with Weir on it, the trace's nodes, and the trace's pods, each at its time.
//!
//! Everything that happens is told as an [`Event`]; what is shown of it is somebody else's. The driver knows
//! how far the run is from the [`Counts`] that come back, so that its end, too, is judged by the API server's
//! watch alone.

mod owners;
mod ray;
mod replay;
mod steps;
mod watch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch::Receiver;
use weir_api::{NodeLoad, PodInfo, names};
use weir_local::{
    Cluster, Death, Identity, KubeRay, Options, Program, Programs, Scheduler, SchedulerSettings, Sidecar,
    SidecarSettings,
};

use super::install::Shipped;
use super::load::{self, Loads};
use super::observe::Observer;
use super::run_state::{Counts, Event, SetupState, SetupStep};
use super::workload::Workload;
use super::{objects, pools};
use owners::Owners;
pub(super) use ray::Ray;
use watch::Watch;

/// How many objects are written at a time: enough that the API server is never idle for want of requests.
const AT_A_TIME: usize = 32;
/// For how long pods may come without a gate after the sidecar said that it is ready.
const UNTIL_GATED: Duration = Duration::from_secs(30);

/// How the sidecar runs.
const SIDECAR: &str = include_str!("admission.yaml");

/// The steps of the set-up whose names are always the same.
const CONTROL_PLANE_STEP: &str = "start the control plane";
const INSTALL_STEP: &str = "install Weir and its pools";
const SCHEDULER_STEP: &str = "start weir-scheduler";
const SIDECAR_STEP: &str = "start weir-admission";
const RAY_STEP: &str = "install KubeRay and start its operator";

/// What a run needs.
pub(super) struct Run {
    pub(super) workload: Workload,
    pub(super) programs: Programs,
    /// The admission sidecar's program.
    pub(super) sidecar: PathBuf,
    pub(super) options: Options,
    /// The text of the KubeSchedulerConfiguration.
    pub(super) configuration: String,
    /// The folder with the modules.
    pub(super) plugins: PathBuf,
    pub(super) shipped: Shipped,
    pub(super) scope: Scope,
    /// KubeRay, where it is installed.
    pub(super) ray: Option<Ray>,
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The trace, and then the steps.
    TraceAndStory,
    /// The same, with two RayJobs in it.
    WithRay,
    /// The trace.
    TraceOnly,
}

/// Where events go, and how far the run is.
#[derive(Clone)]
pub(super) struct Wires {
    pub(super) tell: UnboundedSender<Event>,
    pub(super) counts: Receiver<Counts>,
}

impl Run {
    /// Runs until every pod had its turn; the cluster is still up then.
    pub(super) async fn perform(self, wires: Wires) -> Result<Cluster> {
        let tell = &wires.tell;
        say(tell, Event::Planned(self.workload.plan()));
        let create_nodes = self.create_nodes_step();
        let ray = self.ray.is_some().then_some(RAY_STEP);
        let first = [CONTROL_PLANE_STEP, INSTALL_STEP, &create_nodes];
        for name in first.into_iter().chain(ray).chain([SCHEDULER_STEP, SIDECAR_STEP]) {
            say(tell, Event::SetUp(SetupStep { name: name.to_owned(), state: SetupState::Planned }));
        }
        let start = Cluster::start(&self.programs, self.options.clone());
        let cluster = setup_step(tell, CONTROL_PLANE_STEP, Duration::from_secs(4), start).await?;
        let work = self.on(&cluster, &wires);
        let result = tokio::select! {
            result = work => result,
            death = cluster.death() => Err(anyhow!(death)),
        };
        result.map(|()| cluster)
    }

    /// Everything that happens on a control plane that is up.
    async fn on(&self, cluster: &Cluster, wires: &Wires) -> Result<()> {
        let tell = &wires.tell;
        let client = cluster.client();
        let tree = pools::tree(&self.workload.nodes);
        let install = self.shipped.install(&client, &tree);
        setup_step(tell, INSTALL_STEP, Duration::from_secs(1), install).await?;
        let observer = Observer::new(self.shipped.special(), Loads::of(&self.workload.nodes));
        let (gone, lost) = mpsc::unbounded_channel();
        let (watch, owners) = (Watch::begin(&client, tell, gone, observer), Owners::default());
        let expected = Duration::from_millis(3 * self.workload.nodes.len() as u64);
        setup_step(tell, &self.create_nodes_step(), expected, self.create_nodes(&client, &watch)).await?;
        let operator = match &self.ray {
            Some(ray) => {
                let install = ray.install(cluster, &self.programs);
                Some(setup_step(tell, RAY_STEP, Duration::from_secs(3), install).await?)
            }
            None => None,
        };
        let scheduler = setup_step(tell, SCHEDULER_STEP, Duration::from_secs(1), self.start_scheduler(cluster)).await?;
        let start_sidecar = async {
            // Before the first pod is admitted: what is judged by was seen from the first round on.
            watch.begun().await?;
            self.start_sidecar(cluster).await
        };
        let sidecar = setup_step(tell, SIDECAR_STEP, Duration::from_secs(1), start_sidecar).await?;
        say(tell, Event::ReplayStarted);
        tokio::select! {
            result = self.replay(&client, &scheduler, &watch, &owners, wires) => result?,
            death = scheduler.death() => bail!(death),
            death = sidecar.death() => bail!(death),
            death = death_of(operator.as_ref()) => bail!(death),
            ended = self.keep_reporting(&client, &watch) => ended?,
            ended = owners.keep(&client, lost) => ended?,
        }
        // Read once more while it still answers: the last calls count too.
        replay::tell_figures(&scheduler, tell).await.map(drop)
    }

    async fn start_scheduler(&self, cluster: &Cluster) -> Result<Scheduler> {
        let settings = SchedulerSettings {
            name: objects::SCHEDULER,
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

    /// Tries, without creating anything, what becomes of a pod, until it carries the gate. The API server follows
    /// its webhooks by a watch of its own and tells nobody when it has seen one.
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

    fn create_nodes_step(&self) -> String {
        format!("create {} nodes", self.workload.nodes.len())
    }

    /// Creates the nodes and the first report of the load of each that reports one.
    async fn create_nodes(&self, client: &Client, watch: &Watch) -> Result<()> {
        let api: Api<Node> = Api::all(client.clone());
        let create = |node: Node| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &node).await.context("create a node").map(drop) }
        };
        let all = stream::iter(self.workload.nodes.iter().map(objects::node).map(create));
        all.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        let hosts = Loads::of(&self.workload.nodes);
        let reports = stream::iter(hosts.hosts().map(|host| report(client, watch, host)));
        reports.buffer_unordered(AT_A_TIME).try_collect().await
    }

    /// Reports the load of every host anew within each window, one after the other, as agents do that nobody
    /// started in the same moment. Ends with an error only.
    async fn keep_reporting(&self, client: &Client, watch: &Watch) -> Result<()> {
        let hosts = Loads::of(&self.workload.nodes);
        let hosts: Vec<&str> = hosts.hosts().collect();
        if hosts.is_empty() {
            std::future::pending::<()>().await;
        }
        let window = Duration::from_secs(load::WINDOW.unsigned_abs().into());
        let mut tick = tokio::time::interval(window / u32::try_from(hosts.len()).unwrap_or(u32::MAX));
        for host in hosts.iter().cycle() {
            tick.tick().await;
            report(client, watch, host).await?;
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
async fn report(client: &Client, watch: &Watch, host: &str) -> Result<()> {
    let api: Api<NodeLoad> = Api::all(client.clone());
    let load = watch.observer().await.load(host, Timestamp::now());
    let params = PatchParams::apply(names::CLI).force();
    api.patch(host, &params, &Patch::Apply(&load)).await.context("report the load of a host").map(drop)
}

/// Does `work` as one step of the set-up and tells about it.
async fn setup_step<T>(
    tell: &UnboundedSender<Event>,
    name: &str,
    expected: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let began = Instant::now();
    let state = |state| say(tell, Event::SetUp(SetupStep { name: name.to_owned(), state }));
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut work = std::pin::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = tick.tick() => state(SetupState::Running { elapsed: began.elapsed(), expected: Some(expected) }),
        }
    };
    match &result {
        Ok(_) => state(SetupState::Done { took: began.elapsed() }),
        Err(error) => state(SetupState::Failed { why: first_line(&format!("{error:#}")) }),
    }
    result.with_context(|| name.to_owned())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Nobody listens any more only when the run is being given up.
fn say(tell: &UnboundedSender<Event>, event: Event) {
    let _ = tell.send(event);
}
