//! One term of a leader: watch → decide → record → apply.
//!
//! A term starts from a full list and from the round record that the term before it left. It ends when the lease is
//! lost or when a write of the record meets a conflict; what changes beside pods is read again for the pods concerned,
//! and a write that fails concerns its own object. The state of a
//! term has five owners, [`WatchState`], [`RoundRecord`], [`Conditions`], [`Evictions`] and [`Status`]: each takes in
//! what happens, says what is due, and takes in what came of it, without effects of its own. Here is the loop; `events`
//! passes on what the watches bring, `apply` sends what is due.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use weir_api::round::MAX_ENTRIES;
use weir_queue::{BarePods, Enforcement, Event, Queue, Time};

use super::conditions::Conditions;
use super::context::LeaderContext;
use super::eviction::Evictions;
use super::requests::Requests;
use super::resync::Resync;
use super::round_record::RoundRecord;
use super::status::Status;
use super::watch_state::read_by::ReadBy;
use super::watch_state::state::WatchState;
use crate::client::{read_round, replace_round};
use crate::clock::Now;
use crate::config::Config;
use crate::convert::hosts::Rules;

/// Why a term ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TermEnd {
    /// The cluster has to be listed again.
    Resync(Resync),
    /// The lease is lost.
    LostLeadership,
}

/// The state of one term.
pub(super) struct Term<'a> {
    pub(super) context: &'a LeaderContext,
    pub(super) queue: Queue,
    pub(super) watch: WatchState,
    pub(super) record: RoundRecord,
    pub(super) conditions: Conditions,
    pub(super) evictions: Evictions,
    pub(super) status: Status,
    pub(super) requests: Requests,
    /// Whether all pods were listed, so that deciding has begun.
    pub(super) started: bool,
    /// Whether namespaces, pools or the list of special hardware changed, so that what pods are read by may have.
    pub(super) caches_changed: bool,
    /// Namespaces of which the pods are to be read again, each not before this moment.
    pub(super) namespaces_to_read: BTreeMap<String, Instant>,
    /// Why the cluster has to be listed again, once it has to.
    pub(super) needs_resync: Option<Resync>,
}

impl<'a> Term<'a> {
    /// Takes over the record, which fences off an earlier leader, and begins with what every replica watches.
    pub(super) async fn begin(context: &'a LeaderContext) -> anyhow::Result<Self> {
        let (config, caches) = (&context.config, &context.caches);
        let special = caches.special();
        let rules = Rules::new(config, (*special).clone()).map_err(anyhow::Error::msg)?;
        let record = take_over(context).await.context("taking over")?;
        let read_by = ReadBy::of(&caches.pools(), &caches.namespaces(), special);
        let mut term = Self {
            context,
            queue: Queue::new(rules.hosts(), queue_config(config, Time::MAX)),
            watch: WatchState::new(rules, read_by),
            record,
            conditions: Conditions::new(context.event_queue.clone(), config.cycle.writers),
            evictions: Evictions::default(),
            status: Status::default(),
            requests: Requests::new(context),
            started: false,
            caches_changed: false,
            namespaces_to_read: BTreeMap::new(),
            needs_resync: None,
        };
        term.requests.renew_fence(term.record.fence_renewed());
        term.on_pools_changed();
        term.take_over_clocks();
        Ok(term)
    }

    /// Leads until the term ends.
    pub(super) async fn run(&mut self, leads: &mut watch::Receiver<bool>) -> anyhow::Result<TermEnd> {
        let (client, caches) = (&self.context.client, &self.context.caches);
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
                    Some(result) = self.requests.next() => self.on_result(result),
                    () = caches.changed() => self.on_pools_changed(),
                    () = caches.rays().changed() => self.on_ray_clusters_changed(),
                    Some(event) = nodes.next() => self.on_node_event(event),
                    Some(event) = budgets.next(), if self.started => self.on_budget_event(event),
                    Some(event) = pods.next(), if self.watch.nodes_listed() => self.on_pod_event(event).await,
                };
                if took && !gathering {
                    gathering = true;
                    until = until.min(tokio::time::Instant::now() + gather);
                }
            }
            let now = self.now();
            self.watch.on_time(now.time);
            if self.started {
                self.read_again(now).await;
                if let Some(reason) = self.needs_resync.take() {
                    return Ok(TermEnd::Resync(reason));
                }
                self.cycle(now).await?;
            }
        }
    }

    /// Both clocks.
    pub(super) fn now(&self) -> Now {
        (self.context.clock)()
    }

    /// One decision, with all that follows from it.
    async fn cycle(&mut self, now: Now) -> anyhow::Result<()> {
        let context = self.context;
        if let Some(renewed) = context.caches.schedulers().renewed() {
            self.watch.on_scheduler_progress(renewed, &context.config, now.time);
        }
        let mut events = self.watch.take_events();
        events.push(Event::Tick);
        let decisions = self.queue.step(now.time, events);
        context.metrics.cycle(self.now().instant.duration_since(now.instant));
        self.enqueue(decisions, now);
        self.record_round(now).await?;
        self.run_evictions(now).await?;
        self.flush(now);
        self.report(now);
        Ok(())
    }
}

/// Reads the record and writes it, so that an earlier leader meets a conflict from now on.
async fn take_over(context: &LeaderContext) -> anyhow::Result<RoundRecord> {
    let now = (context.clock)();
    let mut record = RoundRecord::new(read_round(&context.client).await?, &context.identity);
    let write = record.renewal(now);
    let written = replace_round(&context.client, &write.round).await?;
    record.came_back(write, Ok(written), (context.clock)())?;
    Ok(record)
}

/// The part of the configuration that decides; `evictions_from` is when evicting may begin.
pub(super) fn queue_config(config: &Config, evictions_from: Time) -> weir_queue::Config {
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
