//! What the leader does while it leads: watch → decide → record → apply.
//!
//! A term starts from a full list and from the round record that the term before it left. It ends when the
//! lease is lost, when a write of the record meets a conflict, or when something changes that pods were read
//! by, such as the namespaces that may use a pool. Then the leader resyncs: a new term lists again, because a
//! list is cheap and a second path that corrects old readings would be a second place for mistakes.
//!
//! | part | does |
//! |---|---|
//! | `events` | turns what the watches bring into events of the queue |
//! | `rays` | the same for pods of RayClusters, whose gangs those describe |
//! | `scheduler_liveness` | turns budgets, the scheduler's progress and old clocks into events of the queue |
//! | `apply` | records decisions and applies them: removes gates |
//! | `writer`, `pending` | writes conditions of pods, then their events |
//! | `evict`, `evictions` | evictions: how each step is written, and which step is next |
//! | `backoff` | lets owners back off whose pods were not placed in time |
//! | `entitlement_document` | what a round was decided on, for those who check it |
//! | `message_refresh` | keeps the numbers in messages of waiting pods fresh |
//! | `report`, `gangs`, `pool_conditions` | the status of pools and gangs, and metrics |

mod apply;
mod backoff;
pub mod decision;
mod entitlement_document;
mod events;
mod evict;
mod evictions;
mod gangs;
mod message_refresh;
mod pending;
pub mod pod_cache;
mod pool_conditions;
mod rays;
mod report;
pub mod round_record;
mod scheduler_liveness;
mod writer;

pub use writer::EventQueue;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{Semaphore, mpsc, watch};
use weir_api::round::MAX_ENTRIES;
use weir_queue::{Admission, BarePods, Enforcement, Event, Eviction, Queue, Time, Uid};

use self::pod_cache::PodCache;
use self::round_record::RoundRecord;
use crate::client::{Change, ConditionUpdate, Outcome};
use crate::config::Config;
use crate::convert::hosts::Rules;
use crate::convert::pod::Interner;
use crate::metrics::Metrics;
use crate::watch::budgets::Budgets;
use crate::watch::caches::Caches;
use crate::watch::ray::Roster;
use crate::webhook::Calls;

/// What every term starts from.
#[derive(Clone)]
pub struct LeaderContext {
    /// The API server.
    pub client: Client,
    /// The same, without retries. The other client retries a 429 for minutes; for an eviction a 429 is the refusal
    /// of a budget, and when the budget allows it at last this replica may have lost the lease.
    pub evictor: Client,
    /// The configuration.
    pub config: Arc<Config>,
    /// Namespaces, pools and special hardware.
    pub caches: Caches,
    /// The metrics of this process.
    pub metrics: Metrics,
    /// The name of this replica.
    pub identity: String,
    /// How many gates may be removed at once; terms that overlap share it.
    pub writers: Arc<Semaphore>,
    /// Whether pods are being created at this moment.
    pub calls: Calls,
    /// Events that wait to be written.
    pub event_queue: EventQueue,
}

/// Why a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TermEnd {
    /// Something changed that pods were read by.
    Resync,
    /// The lease is lost.
    LostLeadership,
}

/// How many shapes and requests of pods that are gone may be kept.
const INTERNED: usize = 65_536;

/// How long to wait after a term that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Leads, term after term, as long as this replica holds the lease.
pub async fn lead(context: &LeaderContext, leads: &mut watch::Receiver<bool>) {
    while *leads.borrow_and_update() {
        match Term::begin(context).await {
            Ok(mut term) => match term.run(leads).await {
                Ok(TermEnd::Resync) => tracing::info!("resyncing"),
                Ok(TermEnd::LostLeadership) => tracing::info!("stopped leading: the lease is lost"),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "stopped leading: the term failed; retrying");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot start leading; retrying");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The result of a write, for the part of the term that sent it.
enum WriteResult {
    Gate {
        uid: Uid,
        round: u64,
        outcome: Outcome,
    },
    Condition {
        uid: Uid,
        update: ConditionUpdate,
        change: Change,
        outcome: Outcome,
    },
    Event(Outcome),
    Reason {
        uid: Uid,
        outcome: Outcome,
    },
    Evicted {
        uid: Uid,
        outcome: Outcome,
    },
    Pool(String, Outcome),
    Gang((String, String), Outcome),
    /// A write that the next look at the object decides about again.
    Other(Outcome),
}

/// The state of one term.
struct Term<'a> {
    context: &'a LeaderContext,
    queue: Queue,
    /// Events that the queue has not taken yet.
    events: Vec<Event>,
    pods: PodCache,
    interner: Interner,
    rules: Rules,
    /// GPU models on nodes, by label key and value.
    models: BTreeSet<(String, String)>,
    /// How many members PodGroups asked for when pods were read by them.
    groups: BTreeMap<(String, String), Option<u32>>,
    /// Pods of RayClusters.
    roster: Roster,
    /// What pods were read by; when it changes the leader resyncs.
    fingerprint: u64,
    /// Namespaces, pools or the list of special hardware changed, so that the fingerprint may have.
    caches_changed: bool,
    /// Pods seen in the list that is under way; nodes likewise.
    listing: Option<BTreeSet<Uid>>,
    nodes: BTreeMap<String, Option<Time>>,
    node_listing: Option<BTreeSet<String>>,
    nodes_known: bool,
    started: bool,
    /// Whether some pod waits for a model that nobody knows.
    unknown_models: bool,
    record: RoundRecord,
    /// Decided and not recorded yet, each with what it was decided on.
    unrecorded: VecDeque<(Admission, Option<Arc<str>>)>,
    budgets: Budgets,
    /// Budgets seen in the list that is under way.
    budget_listing: Option<BTreeSet<(String, String)>>,
    /// When the scheduler showed signs of life, to a few seconds.
    scheduler_progress: BTreeSet<u64>,
    /// Evictions that are decided and not recorded yet.
    to_evict: VecDeque<Eviction>,
    /// Victims that were entered into the record since it was written.
    entered: Vec<Uid>,
    evictions: evictions::Evictions,
    /// When the record was last written, which shows that this replica leads.
    fence_renewed: Instant,
    /// Conditions that wait to be written.
    pending: pending::PendingConditions,
    /// Conditions that are being written.
    in_flight: BTreeMap<writer::Place, ConditionUpdate>,
    events_in_flight: usize,
    gates_under_way: usize,
    results_sender: mpsc::UnboundedSender<WriteResult>,
    results: mpsc::UnboundedReceiver<WriteResult>,
    report: report::Report,
    /// Something went wrong that only a resync puts right.
    needs_resync: bool,
}

impl<'a> Term<'a> {
    async fn begin(context: &'a LeaderContext) -> anyhow::Result<Self> {
        let special = context.caches.special();
        let rules = Rules::new(&context.config, (*special).clone()).map_err(anyhow::Error::msg)?;
        let record = RoundRecord::open(&context.client, &context.identity).await.context("taking over")?;
        let (results_sender, results) = mpsc::unbounded_channel();
        let mut term = Self {
            queue: Queue::new(rules.hosts(), queue_config(&context.config, Time::MAX)),
            events: Vec::new(),
            pods: PodCache::default(),
            interner: Interner::default(),
            models: BTreeSet::new(),
            groups: BTreeMap::new(),
            roster: Roster::default(),
            rules,
            fingerprint: 0,
            caches_changed: true,
            listing: None,
            nodes: BTreeMap::new(),
            node_listing: None,
            nodes_known: false,
            started: false,
            unknown_models: false,
            record,
            unrecorded: VecDeque::new(),
            budgets: Budgets::default(),
            budget_listing: None,
            scheduler_progress: BTreeSet::new(),
            to_evict: VecDeque::new(),
            entered: Vec::new(),
            evictions: evictions::Evictions::default(),
            fence_renewed: Instant::now(),
            pending: pending::PendingConditions::default(),
            in_flight: BTreeMap::new(),
            events_in_flight: 0,
            gates_under_way: 0,
            results_sender,
            results,
            report: report::Report::default(),
            needs_resync: false,
            context,
        };
        term.fingerprint = term.fingerprint_now();
        term.pools_changed();
        term.take_over_clocks();
        Ok(term)
    }

    async fn run(&mut self, leads: &mut watch::Receiver<bool>) -> anyhow::Result<TermEnd> {
        let client = &self.context.client;
        let any = watcher::Config::default();
        let mut nodes = std::pin::pin!(watcher(Api::<Node>::all(client.clone()), any.clone()).default_backoff());
        let mut pods = std::pin::pin!(watcher(Api::<Pod>::all(client.clone()), any.clone()).default_backoff());
        let budgets = Api::<PodDisruptionBudget>::all(client.clone());
        let mut budgets = std::pin::pin!(watcher(budgets, any).default_backoff());
        let idle = Duration::from(self.context.config.cycle.idle);
        let gather = Duration::from(self.context.config.cycle.gather);
        loop {
            // Nothing to do until something happens or time goes by; then what comes within a moment is
            // gathered, so that a thousand pods are one decision and not a thousand.
            let mut until = tokio::time::Instant::now() + idle;
            let mut gathering = false;
            loop {
                let took = tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(until) => break,
                    changed = leads.changed() => {
                        if changed.is_err() || !*leads.borrow() {
                            return Ok(TermEnd::LostLeadership);
                        }
                        false
                    }
                    Some(result) = self.results.recv() => self.on_result(result),
                    () = self.context.caches.changed() => self.pools_changed(),
                    () = self.context.caches.rays().changed() => self.rays_changed(),
                    Some(event) = nodes.next() => self.node_event(event),
                    Some(event) = budgets.next(), if self.started => self.budget_event(event),
                    Some(event) = pods.next(), if self.nodes_known => self.pod_event(event).await,
                };
                if took && !gathering {
                    gathering = true;
                    until = until.min(tokio::time::Instant::now() + gather);
                }
            }
            let caches_changed = std::mem::take(&mut self.caches_changed);
            let read_otherwise = || self.fingerprint != self.fingerprint_now() || self.groups_changed();
            if self.needs_resync || (caches_changed && read_otherwise()) {
                return Ok(TermEnd::Resync);
            }
            if self.started {
                self.cycle().await?;
            }
        }
    }

    /// One decision, with all that follows from it.
    async fn cycle(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let now = now();
        self.look_again_at_silent_nodes(now);
        self.note_scheduler_report();
        if let Some(budgets) = self.budgets.news() {
            self.events.push(Event::Budgets(budgets));
        }
        let mut events = std::mem::take(&mut self.events);
        events.push(Event::Tick);
        let decisions = self.queue.step(now, events);
        self.context.metrics.cycle(began.elapsed());
        self.enqueue(decisions);
        self.record().await?;
        self.run_evictions(now).await?;
        self.flush();
        self.report_figures(now);
        // What is interned is kept for as long as the queue is; a new one begins with what there is.
        self.needs_resync |= self.queue.interned() > INTERNED + 4 * self.queue.len();
        Ok(())
    }
}

/// The time, by this machine's clock.
fn now() -> Time {
    Time::from_millis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

/// The part of the configuration that decides; `evictions_from` is when evicting may begin.
fn queue_config(config: &Config, evictions_from: Time) -> weir_queue::Config {
    let cycle = &config.cycle;
    weir_queue::Config {
        enforcement: if config.enforce { Enforcement::On } else { Enforcement::Off },
        evictions_from,
        hysteresis: Duration::from(cycle.reclaim_after),
        placement_timeout: Duration::from(cycle.placement_timeout),
        scheduler_patience: Duration::from(cycle.scheduler_patience),
        eviction_retry: Duration::from(cycle.eviction_retry),
        largest_plan: usize::try_from(MAX_ENTRIES).unwrap_or(usize::MAX),
        kills_per_minute: cycle.kills_per_minute,
        bare_pods: if config.pods.kill_bare { BarePods::Kill } else { BarePods::Keep },
    }
}
