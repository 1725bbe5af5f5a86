//! Does a run: a control plane, the trace's nodes, a scheduler, and the trace's pods, each at its time.
//!
//! Everything that happens is told as an [`Event`]; what is shown of it is somebody else's. The driver knows
//! how far the run is from the [`Counts`] that come back, so that its end, too, is judged by the API server's
//! watch alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use weir_local::{Cluster, Options, Program, Programs, Scheduler, SchedulerSettings};

use super::metrics::SchedulerFigures;
use super::objects;
use super::observe::Observer;
use super::story::{Counts, Event, Step, StepState};
use super::workload::Workload;

/// How many objects are created at a time: enough that the API server is never idle for want of requests.
const AT_A_TIME: usize = 32;
/// How often the scheduler is asked for its metrics.
const METRICS_EVERY: Duration = Duration::from_millis(500);
/// How long kube-scheduler lets a refused pod wait at most before it tries again. Pods that finish make it try
/// for as long as any run, so that waiting for empty queues alone could take that long.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// How long nothing may happen while pods are undecided.
const PATIENCE: Duration = Duration::from_secs(90);

/// The steps of the set-up whose names are always the same.
const CONTROL_PLANE_STEP: &str = "start the control plane";
const SCHEDULER_STEP: &str = "start weir-scheduler";

/// What a run needs.
pub(super) struct Run {
    pub(super) workload: Workload,
    pub(super) programs: Programs,
    pub(super) options: Options,
    /// The text of the KubeSchedulerConfiguration.
    pub(super) configuration: String,
    /// The folder with the modules.
    pub(super) plugins: PathBuf,
}

/// Where events go, and how far the run is.
#[derive(Clone)]
pub(super) struct Wires {
    pub(super) tell: UnboundedSender<Event>,
    pub(super) counts: watch::Receiver<Counts>,
}

impl Run {
    /// Runs until every pod had its turn; the cluster is still up then.
    pub(super) async fn perform(self, wires: Wires) -> Result<Cluster> {
        let tell = &wires.tell;
        say(tell, Event::Planned(self.workload.plan()));
        let create_nodes = self.create_nodes_step();
        for name in [CONTROL_PLANE_STEP, &create_nodes, SCHEDULER_STEP] {
            say(tell, Event::Step(Step { name: name.to_owned(), state: StepState::Planned }));
        }
        let start = Cluster::start(&self.programs, self.options.clone());
        let cluster = step(tell, CONTROL_PLANE_STEP, Duration::from_secs(4), start).await?;
        let watchers = observe(cluster.client(), tell.clone());
        let work = self.schedule(&cluster, &wires);
        let result = tokio::select! {
            result = work => result,
            death = cluster.death() => Err(anyhow!(death)),
        };
        drop(watchers);
        result.map(|()| cluster)
    }

    async fn schedule(&self, cluster: &Cluster, wires: &Wires) -> Result<()> {
        let tell = &wires.tell;
        let expected = Duration::from_millis(3 * self.workload.nodes.len() as u64);
        step(tell, &self.create_nodes_step(), expected, self.create_nodes(cluster)).await?;
        let settings = SchedulerSettings {
            name: objects::SCHEDULER,
            program: self.programs.path(Program::Scheduler)?,
            configuration: &self.configuration,
            plugins: &self.plugins,
        };
        let start = Scheduler::start(cluster, settings);
        let scheduler = step(tell, SCHEDULER_STEP, Duration::from_secs(1), start).await?;
        say(tell, Event::ReplayStarted);
        tokio::select! {
            result = self.replay(cluster, &scheduler, wires) => result,
            death = scheduler.death() => Err(anyhow!(death)),
        }
    }

    fn create_nodes_step(&self) -> String {
        format!("create {} nodes", self.workload.nodes.len())
    }

    async fn create_nodes(&self, cluster: &Cluster) -> Result<()> {
        let api: Api<Node> = Api::all(cluster.client());
        let create = |node: Node| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &node).await.context("create a node").map(drop) }
        };
        stream::iter(self.workload.nodes.iter().map(objects::node).map(create))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn replay(&self, cluster: &Cluster, scheduler: &Scheduler, wires: &Wires) -> Result<()> {
        // The end is nobody's to say before the last pod has come, so figures and arrivals go on side by side.
        tokio::try_join!(self.arrive(cluster.client()), self.until_decided(scheduler, wires))?;
        Ok(())
    }

    /// Creates each pod at its time.
    async fn arrive(&self, client: Client) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(client, objects::NAMESPACE);
        let room = Arc::new(Semaphore::new(AT_A_TIME));
        let began = tokio::time::Instant::now();
        let mut creations = JoinSet::new();
        for arrival in &self.workload.timeline.arrivals {
            tokio::time::sleep_until(began + arrival.at).await;
            let permit = Arc::clone(&room).acquire_owned().await.context("wait for room")?;
            let (api, pod) = (api.clone(), objects::pod(arrival));
            creations.spawn(async move {
                let created = api.create(&PostParams::default(), &pod).await;
                drop(permit);
                created.map(drop)
            });
            while let Some(created) = creations.try_join_next() {
                created.context("create a pod")?.context("create a pod")?;
            }
        }
        while let Some(created) = creations.join_next().await {
            created.context("create a pod")?.context("create a pod")?;
        }
        Ok(())
    }

    /// Returns when every pod of the trace was seen, is bound or refused, and the scheduler has none left
    /// that it would try without anything happening. Tells the plugins' figures on the way.
    async fn until_decided(&self, scheduler: &Scheduler, wires: &Wires) -> Result<()> {
        let pods = self.workload.timeline.arrivals.len();
        let mut tick = tokio::time::interval(METRICS_EVERY);
        let (mut last, mut since) = (Verdicts::default(), Instant::now());
        loop {
            tick.tick().await;
            let figures = SchedulerFigures::read(&scheduler.metrics().await?);
            for plugin in figures.plugins {
                say(&wires.tell, Event::Plugin(plugin));
            }
            let verdicts = Verdicts::of(*wires.counts.borrow());
            let changed = verdicts != std::mem::replace(&mut last, verdicts);
            // Two looks with nothing in between: a pod that is being tried at this moment is in no queue.
            let tried = figures.to_be_tried == 0 || since.elapsed() > LONGEST_BACK_OFF;
            let settled = verdicts.refused == 0 || (tried && !changed);
            if verdicts.created == pods && verdicts.undecided == 0 && settled {
                return Ok(());
            }
            if changed {
                since = Instant::now();
            } else if verdicts.created == pods && since.elapsed() > PATIENCE {
                bail!(
                    "{} pods are neither bound nor refused, and nothing happened for {} s; the end of the \
                     scheduler's log:\n{}",
                    verdicts.undecided,
                    PATIENCE.as_secs(),
                    scheduler.process().log_tail()
                );
            }
        }
    }
}

/// How far the scheduler is. That pods finish, meanwhile and for long after, changes nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdicts {
    created: usize,
    /// Wait, and were not refused yet.
    undecided: usize,
    /// Wait, and were refused.
    refused: usize,
}

impl Verdicts {
    const fn of(counts: Counts) -> Self {
        let undecided = counts.waiting.saturating_sub(counts.refused);
        Self { created: counts.created, undecided, refused: counts.refused }
    }
}

/// Watches nodes and pods until the result is dropped, and tells what happens to them.
fn observe(client: Client, tell: UnboundedSender<Event>) -> JoinSet<()> {
    let observer = Arc::new(Mutex::new(Observer::new()));
    let mut watchers = JoinSet::new();
    let (nodes, pods): (Api<Node>, Api<Pod>) = (Api::all(client.clone()), Api::namespaced(client, objects::NAMESPACE));
    let (observer_of_nodes, tell_nodes) = (Arc::clone(&observer), tell.clone());
    watchers.spawn(async move {
        // Errors are the watcher's own to mend: it comes back with a new list.
        let mut events = std::pin::pin!(watcher(nodes, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            observer_of_nodes.lock().await.node(&event).into_iter().for_each(|event| say(&tell_nodes, event));
        }
    });
    watchers.spawn(async move {
        let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            observer.lock().await.pod(&event).into_iter().for_each(|event| say(&tell, event));
        }
    });
    watchers
}

/// Does `work` as one step of the set-up and tells about it.
async fn step<T>(
    tell: &UnboundedSender<Event>,
    name: &str,
    expected: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let began = Instant::now();
    let state = |state| say(tell, Event::Step(Step { name: name.to_owned(), state }));
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut work = std::pin::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = tick.tick() => state(StepState::Running { elapsed: began.elapsed(), expected: Some(expected) }),
        }
    };
    match &result {
        Ok(_) => state(StepState::Done { took: began.elapsed() }),
        Err(error) => state(StepState::Failed { why: first_line(&format!("{error:#}")) }),
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
