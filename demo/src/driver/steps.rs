//! The steps of the story, on the cluster as the trace leaves it: research fills it, production's demand arrives and is
//! given what it reserves, a node is emptied for maintenance.
//!
//! Only what users and administrators do is done here: pods are created, a node is cordoned and its pods evicted. Which
//! pods are admitted, and which have to go for them, is the sidecar's to decide. Each step begins when the watch has
//! told that the one before came to its end; a step that stands still for [`PATIENCE`] says so, and the run goes on.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{EvictParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::Instant;

use super::owners::Owners;
use super::ray;
use super::scope::{AT_A_TIME, Scope};
use super::shared::SharedRun;
use super::watch::Watch;
use crate::cluster_state::ClusterState;
use crate::cluster_state::free::{FreeHost, free_gpus, general_gpus, largest_host, unclaimed};
use crate::cluster_state::progress::{Progress, host_of, is_up_to_date};
use crate::run_state::Event;
use crate::run_state::steps::{Step, StepState};
use crate::scenario::demand::{self, PRODUCTION_POOL, RESEARCH_POOLS};
use crate::scenario::objects;
use crate::scenario::role::Role;

/// How long a step may stand still: longer than any decision takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long evicted pods may be missing before they are there again.
const MADE_AGAIN: Duration = Duration::from_secs(2);

/// The answer to an eviction that a budget does not allow now.
const TOO_MANY: u16 = 429;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Done,
    Cut,
}

/// What the steps are played with.
pub(super) struct Steps<'a> {
    pub(super) client: &'a Client,
    pub(super) watch: &'a Watch,
    pub(super) owners: &'a Owners,
    pub(super) shared: &'a SharedRun,
    pub(super) scope: Scope,
}

impl Steps<'_> {
    /// Plays one step after the other. From the first one on research takes whatever is free, also what the trace's
    /// pods leave that end meanwhile.
    pub(super) async fn play(&self) -> Result<()> {
        if self.shared.ask(free_gpus) == 0 {
            self.note("no GPU is free on hosts that take general pods, so nothing is borrowed and given back");
            return Ok(());
        }
        let ray = self.scope == Scope::WithRay && self.ray_runs().await? == Course::Done;
        tokio::select! {
            played = self.steps(ray) => played,
            ended = self.keep_full() => ended,
        }
    }

    /// The steps; with a RayJob that runs, also those in which another one waits and it has to go itself.
    async fn steps(&self, ray: bool) -> Result<()> {
        if self.fill().await? == Course::Cut {
            return Ok(());
        }
        if ray {
            self.ray_waits().await?;
        }
        let (left, host) = self.shared.ask(|cluster| (left(cluster, PRODUCTION_POOL), largest_host(cluster)));
        let production = demand::production(left, host);
        if production.is_empty() {
            self.note("production has nothing left of what it reserves, so nothing is given back");
            return Ok(());
        }
        let count = production.len();
        if self.give_back(production).await? == Course::Cut {
            return Ok(());
        }
        if ray {
            self.ray_goes().await?;
        }
        match self.shared.ask(|cluster| host_of(cluster, Role::Production).map(str::to_owned)) {
            Some(node) => self.drain(&node, count).await.map(drop),
            None => {
                self.note("production runs nowhere, so no node is drained");
                Ok(())
            }
        }
    }

    /// Lets research ask for everything that is free and that no pod of it asks for. Ends with an error only.
    async fn keep_full(&self) -> Result<()> {
        let mut heard = self.watch.heard();
        // Whole hosts first, while no smaller pod can have taken a part of one.
        let whole = |cluster: &ClusterState| -> Vec<FreeHost> {
            unclaimed(cluster).into_iter().filter(|host| host.whole).collect()
        };
        let mut brought = self.bring_research(&self.shared.ask(whole), 0).await?;
        self.told(|cluster| Progress::of_role(cluster, Role::Research).is_settled()).await;
        loop {
            brought = self.bring_research(&self.shared.ask(unclaimed), brought).await?;
            heard.changed().await.context("watch what is free")?;
        }
    }

    /// Brings research for these hosts, after so many pods of it, and says how many were brought then.
    async fn bring_research(&self, hosts: &[FreeHost], before: usize) -> Result<usize> {
        let pods = demand::research(hosts, before);
        let brought = before + pods.len();
        if !pods.is_empty() {
            self.bring(pods).await?;
            // Until the watch has told of all of them, the same hosts would be asked for again.
            self.seen(brought).await;
        }
        Ok(brought)
    }

    /// Waits until so many pods of research are there; for no longer than it takes to make evicted ones again.
    async fn seen(&self, pods: usize) {
        let all = move |cluster: &ClusterState| Progress::of_role(cluster, Role::Research).all >= pods;
        let _ = tokio::time::timeout(MADE_AGAIN, self.told(all)).await;
    }

    /// Research takes what is free.
    async fn fill(&self) -> Result<Course> {
        let named = |pools: &[&str]| pools.iter().map(|&pool| pool.to_owned()).collect();
        let step = Step::Fill { research: named(&RESEARCH_POOLS), production: named(&[PRODUCTION_POOL]) };
        self.step(step, async {
            let done = |cluster: &ClusterState| {
                let (free, progress) = (free_gpus(cluster), Progress::of_role(cluster, Role::Research));
                let full = free * 100 <= general_gpus(cluster) || (progress.told > 0 && progress.is_settled());
                // The pools say what their pods use a moment after those run.
                full && is_up_to_date(cluster, &RESEARCH_POOLS)
            };
            let stands = |cluster: &ClusterState| {
                let progress = running(Progress::of_role(cluster, Role::Research));
                format!("{} GPUs are free, {progress}", free_gpus(cluster))
            };
            Ok(self.until(done, stands).await)
        })
        .await
    }

    /// Production's demand arrives.
    async fn give_back(&self, pods: Vec<Pod>) -> Result<Course> {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), objects::NAMESPACE);
        budgets.create(&PostParams::default(), &demand::budget(pods.len())).await.context("create a budget")?;
        self.step(Step::Return { pool: PRODUCTION_POOL.to_owned() }, async {
            let count = pods.len();
            self.bring(pods).await?;
            let done = |cluster: &ClusterState| {
                let all = Progress::of_role(cluster, Role::Production).running == count;
                all && is_up_to_date(cluster, &[PRODUCTION_POOL]) && is_up_to_date(cluster, &RESEARCH_POOLS)
            };
            Ok(self.until(done, |cluster| running(Progress::of_role(cluster, Role::Production))).await)
        })
        .await
    }

    /// A RayJob comes while there is room.
    async fn ray_runs(&self) -> Result<Course> {
        let done = |cluster: &ClusterState| Progress::of_ray_job(cluster, ray::RUNS).running == ray::PODS;
        self.step(Step::RayRuns { job: ray::RUNS.to_owned() }, async {
            ray::submit(self.client, ray::RUNS, self.shared.ask(largest_host)).await?;
            Ok(self.until(done, |cluster| running(Progress::of_ray_job(cluster, ray::RUNS))).await)
        })
        .await
    }

    /// A RayJob comes when the cluster is full.
    async fn ray_waits(&self) -> Result<Course> {
        self.step(Step::RayWaits { job: ray::WAITS.to_owned() }, async {
            ray::submit(self.client, ray::WAITS, self.shared.ask(largest_host)).await?;
            Ok(self.until_whole(ray::WAITS).await)
        })
        .await
    }

    /// The RayJob that ran had to go for production, and its operator made its pods again.
    async fn ray_goes(&self) -> Result<Course> {
        let step = Step::RayGoes { job: ray::RUNS.to_owned() };
        self.step(step, async { Ok(self.until_whole(ray::RUNS).await) }).await
    }

    /// Waits until all of a RayJob's cluster is there, and waits.
    async fn until_whole(&self, job: &str) -> StepState {
        let all_wait = Progress { all: ray::PODS, running: 0, told: ray::PODS };
        let done = |cluster: &ClusterState| Progress::of_ray_job(cluster, job) == all_wait;
        self.until(done, |cluster| running(Progress::of_ray_job(cluster, job))).await
    }

    /// A node is emptied, as `kubectl drain` does it, and production runs elsewhere.
    async fn drain(&self, node: &str, count: usize) -> Result<Course> {
        self.step(Step::Drain { node: node.to_owned() }, async {
            let nodes: Api<Node> = Api::all(self.client.clone());
            let taint = json!({ "key": objects::MAINTENANCE, "effect": "NoSchedule" });
            let cordon = Patch::Strategic(json!({ "spec": { "unschedulable": true, "taints": [taint] } }));
            nodes.patch(node, &PatchParams::default(), &cordon).await.context("cordon a node")?;
            let names = |cluster: &ClusterState| cluster.pods_on(node).map(|pod| pod.pod.name.clone()).collect();
            let pods: Vec<String> = self.shared.ask(names);
            for pod in pods {
                if let Some(cut) = self.evict(&pod).await? {
                    return Ok(cut);
                }
            }
            let done = |cluster: &ClusterState| {
                let empty = cluster.pods_on(node).next().is_none();
                empty && Progress::of_role(cluster, Role::Production).running == count
            };
            let stands = |cluster: &ClusterState| {
                let progress = running(Progress::of_role(cluster, Role::Production));
                format!("{} pods are on it, {progress}", cluster.pods_on(node).count())
            };
            Ok(self.until(done, stands).await)
        })
        .await
    }

    /// Evicts a pod, as soon as its budget allows it; why it did not go, if it did not.
    async fn evict(&self, pod: &str) -> Result<Option<StepState>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), objects::NAMESPACE);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), objects::NAMESPACE);
        let allows = |budget: Option<&PodDisruptionBudget>| {
            let status = budget.and_then(|budget| budget.status.as_ref());
            status.and_then(|status| status.disruptions_allowed).is_some_and(|allowed| allowed > 0)
        };
        let budget = demand::budget(1).name_any();
        let evicted = tokio::time::timeout(PATIENCE, async {
            loop {
                await_condition(budgets.clone(), &budget, allows).await.context("watch a budget")?;
                match pods.evict(pod, &EvictParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == TOO_MANY => {}
                    Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                    other => return other.map(drop).context("evict a pod"),
                }
            }
        });
        match evicted.await {
            Ok(evicted) => evicted.map(|()| None),
            Err(_) => Ok(Some(StepState::Cut { why: format!("budget {budget} does not let {pod} go") })),
        }
    }

    async fn bring(&self, pods: Vec<Pod>) -> Result<()> {
        let all = stream::iter(pods).map(|pod| self.owners.create(self.client, pod));
        all.buffer_unordered(AT_A_TIME).try_collect().await
    }

    async fn step(&self, step: Step, course: impl Future<Output = Result<StepState>>) -> Result<Course> {
        self.shared.tell(Event::Step { step: step.clone(), state: StepState::Playing });
        let state = course.await.with_context(|| step.title())?;
        let course = if state == StepState::Done { Course::Done } else { Course::Cut };
        self.shared.tell(Event::Step { step, state });
        Ok(course)
    }

    /// Waits until the watch told what ends a step; how things stand, if they stand still for too long.
    async fn until(&self, done: impl Fn(&ClusterState) -> bool, stands: impl Fn(&ClusterState) -> String) -> StepState {
        let (mut heard, mut last) = (self.watch.heard(), (String::new(), Instant::now()));
        loop {
            if self.shared.ask(&done) {
                return StepState::Done;
            }
            let now = self.shared.ask(&stands);
            if now != last.0 {
                last = (now, Instant::now());
            }
            if tokio::time::timeout_at(last.1 + PATIENCE, heard.changed()).await.is_err() {
                return StepState::Cut { why: last.0 };
            }
        }
    }

    /// Waits until the watch told that this is so.
    async fn told(&self, so: impl Fn(&ClusterState) -> bool) {
        let mut heard = self.watch.heard();
        while !self.shared.ask(&so) && heard.changed().await.is_ok() {}
    }

    fn note(&self, text: &str) {
        self.shared.tell(Event::Note(text.to_owned()));
    }
}

/// What a pool has left of its reservation.
fn left(cluster: &ClusterState, pool: &str) -> i64 {
    let level = cluster.pool_gpus(pool);
    level.reserved.minus(level.usage).minus(level.demand).units()
}

fn running(Progress { all, running, told }: Progress) -> String {
    format!("{running} of {all} pods run, {told} wait and know why")
}
