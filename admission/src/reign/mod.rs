//! What the leader does while it leads: watch → decide → record → carry out.
//!
//! A reign begins with a fresh list of everything and with the record that the one before left; it ends when
//! the lease is lost, when the record shows another leader, or when something changed that pods were read
//! by, such as who may use a pool. Then the next one begins anew: reading a cluster again is cheap, and a
//! second path that corrects old readings would be a second place for mistakes.
//!
//! | part | does |
//! |---|---|
//! | `feed` | turns what the watches bring into events of the queue |
//! | `rays` | the same for pods of RayClusters, whose gangs those describe |
//! | `signs` | turns budgets, the scheduler's signs of life and old clocks into events of the queue |
//! | `carry_out` | records decisions and carries them out: gates |
//! | `words` | says on pods how they stand: conditions, then events |
//! | `evict`, `going` | evictions: what is done, and what is to be done next |
//! | `kill` | what an owner hears whose pods were not placed in time |
//! | `inputs` | what a round was decided on, for whoever checks it |
//! | `numbers` | keeps the numbers fresh that waiting pods are told |
//! | `report`, `gangs` | say on pools and gangs, and in metrics, how things stand |

mod attention;
mod carry_out;
mod evict;
mod feed;
mod gangs;
mod going;
mod inputs;
mod kill;
mod numbers;
mod rays;
mod report;
mod signs;
mod unsaid;
mod words;

pub use words::Announcements;

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

use crate::book::Book;
use crate::budgets::Budgets;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::ray::Roster;
use crate::read::hosts::Rules;
use crate::read::pod::Shared;
use crate::watched::Watched;
use crate::webhook::Calls;
use crate::writes::{News, Outcome, Told};

/// What every reign starts from.
#[derive(Clone)]
pub struct Seat {
    /// The API server.
    pub client: Client,
    /// The same, asked once only. The other one asks again, for minutes, where the answer is 429; to an eviction
    /// that is a budget's no, and by the time it says yes this replica may lead no more.
    pub evictor: Client,
    /// The configuration.
    pub config: Arc<Config>,
    /// Namespaces, pools and special hardware.
    pub watched: Watched,
    /// Where figures go.
    pub metrics: Metrics,
    /// The name of this replica.
    pub identity: String,
    /// How many gates may be removed at once; reigns that overlap share it.
    pub writers: Arc<Semaphore>,
    /// Whether pods are being created just now.
    pub calls: Calls,
    /// Events that are to be written.
    pub announcements: Announcements,
}

/// Why a reign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Something changed that pods were read by.
    Anew,
    /// The lease is lost.
    Deposed,
}

/// How many shapes and asks may be kept of pods that are gone.
const INTERNED: usize = 65_536;

/// How long to wait after a reign that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Reigns, again and again, as long as this replica leads.
pub async fn reign(seat: &Seat, leads: &mut watch::Receiver<bool>) {
    while *leads.borrow_and_update() {
        match Reign::begin(seat).await {
            Ok(mut reign) => match reign.run(leads).await {
                Ok(End::Anew) => tracing::info!("reading the cluster anew"),
                Ok(End::Deposed) => tracing::info!("leading no more"),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the reign ended; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the reign cannot begin; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What came of something that was carried out.
enum Done {
    Gate {
        uid: Uid,
        round: u64,
        outcome: Outcome,
    },
    Told {
        uid: Uid,
        told: Told,
        news: News,
        outcome: Outcome,
    },
    Announced(Outcome),
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
    /// A write that the next look at the object decides about anew.
    Said(Outcome),
}

/// The state of one reign.
struct Reign<'a> {
    seat: &'a Seat,
    queue: Queue,
    /// What the queue has not been told yet.
    events: Vec<Event>,
    pods: Pods,
    shared: Shared,
    rules: Rules,
    /// GPU models on nodes, by label key and value.
    models: BTreeSet<(String, String)>,
    /// How many members PodGroups asked for when pods were read by them.
    groups: BTreeMap<(String, String), Option<u32>>,
    /// Pods of RayClusters.
    roster: Roster,
    /// By what pods were read; when it changes they are read anew.
    fingerprint: u64,
    /// Namespaces, pools or the list of special hardware changed, so that the fingerprint may have.
    watched_changed: bool,
    /// Pods seen in the list that is under way; nodes likewise.
    listing: Option<BTreeSet<Uid>>,
    nodes: BTreeMap<String, Option<Time>>,
    node_listing: Option<BTreeSet<String>>,
    nodes_known: bool,
    started: bool,
    /// Whether some pod waits for a model that nobody knows.
    unknown_models: bool,
    book: Book,
    /// Decided and not recorded yet, each with what it was decided on.
    unrecorded: VecDeque<(Admission, Option<Arc<str>>)>,
    budgets: Budgets,
    /// Budgets seen in the list that is under way.
    budget_listing: Option<BTreeSet<(String, String)>>,
    /// When the scheduler showed signs of life, to a few seconds.
    marks: BTreeSet<u64>,
    /// Evictions that are decided and not recorded yet.
    to_evict: VecDeque<Eviction>,
    /// Victims that were entered into the record since it was written.
    entered: Vec<Uid>,
    going: going::Going,
    /// When the record was last written, which shows that this replica leads.
    fenced: Instant,
    /// What is to be said on pods.
    to_tell: unsaid::Unsaid,
    /// What is being written.
    being_told: BTreeMap<words::Place, Told>,
    being_announced: usize,
    gates_under_way: usize,
    done: mpsc::UnboundedSender<Done>,
    outcomes: mpsc::UnboundedReceiver<Done>,
    report: report::Report,
    /// Something went wrong that only a new reign puts right.
    anew: bool,
}

impl<'a> Reign<'a> {
    async fn begin(seat: &'a Seat) -> anyhow::Result<Self> {
        let special = seat.watched.special();
        let rules = Rules::new(&seat.config, (*special).clone()).map_err(anyhow::Error::msg)?;
        let book = Book::open(&seat.client, &seat.identity).await.context("taking over")?;
        let (done, outcomes) = mpsc::unbounded_channel();
        let mut reign = Self {
            queue: Queue::new(rules.hosts(), policy(&seat.config, Time::MAX)),
            events: Vec::new(),
            pods: Pods::default(),
            shared: Shared::default(),
            models: BTreeSet::new(),
            groups: BTreeMap::new(),
            roster: Roster::default(),
            rules,
            fingerprint: 0,
            watched_changed: true,
            listing: None,
            nodes: BTreeMap::new(),
            node_listing: None,
            nodes_known: false,
            started: false,
            unknown_models: false,
            book,
            unrecorded: VecDeque::new(),
            budgets: Budgets::default(),
            budget_listing: None,
            marks: BTreeSet::new(),
            to_evict: VecDeque::new(),
            entered: Vec::new(),
            going: going::Going::default(),
            fenced: Instant::now(),
            to_tell: unsaid::Unsaid::default(),
            being_told: BTreeMap::new(),
            being_announced: 0,
            gates_under_way: 0,
            done,
            outcomes,
            report: report::Report::default(),
            anew: false,
            seat,
        };
        reign.fingerprint = reign.fingerprint_now();
        reign.pools_changed();
        reign.take_over_clocks();
        Ok(reign)
    }

    async fn run(&mut self, leads: &mut watch::Receiver<bool>) -> anyhow::Result<End> {
        let client = &self.seat.client;
        let any = watcher::Config::default();
        let mut nodes = std::pin::pin!(watcher(Api::<Node>::all(client.clone()), any.clone()).default_backoff());
        let mut pods = std::pin::pin!(watcher(Api::<Pod>::all(client.clone()), any.clone()).default_backoff());
        let budgets = Api::<PodDisruptionBudget>::all(client.clone());
        let mut budgets = std::pin::pin!(watcher(budgets, any).default_backoff());
        let idle = Duration::from(self.seat.config.cycle.idle);
        let gather = Duration::from(self.seat.config.cycle.gather);
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
                            return Ok(End::Deposed);
                        }
                        false
                    }
                    Some(done) = self.outcomes.recv() => self.came_of(done),
                    () = self.seat.watched.changed() => self.pools_changed(),
                    () = self.seat.watched.rays().changed() => self.rays_changed(),
                    Some(event) = nodes.next() => self.node_event(event),
                    Some(event) = budgets.next(), if self.started => self.budget_event(event),
                    Some(event) = pods.next(), if self.nodes_known => self.pod_event(event).await,
                };
                if took && !gathering {
                    gathering = true;
                    until = until.min(tokio::time::Instant::now() + gather);
                }
            }
            let watched_changed = std::mem::take(&mut self.watched_changed);
            let read_otherwise = || self.fingerprint != self.fingerprint_now() || self.groups_changed();
            if self.anew || (watched_changed && read_otherwise()) {
                return Ok(End::Anew);
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
        self.scheduler_lives();
        if let Some(budgets) = self.budgets.news() {
            self.events.push(Event::Budgets(budgets));
        }
        let mut events = std::mem::take(&mut self.events);
        events.push(Event::Tick);
        let decisions = self.queue.step(now, events);
        self.seat.metrics.cycle(began.elapsed());
        self.take_up(decisions);
        self.record().await?;
        self.give_back(now).await?;
        self.say();
        self.report_figures(now);
        // What is interned is kept for as long as the queue is; a new one begins with what there is.
        self.anew |= self.queue.interned() > INTERNED + 4 * self.queue.len();
        Ok(())
    }
}

/// The moment, by this machine's clock.
fn now() -> Time {
    Time::from_millis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

/// The part of the configuration that decides; `evictions_from` is when evicting may begin.
fn policy(config: &Config, evictions_from: Time) -> weir_queue::Config {
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
