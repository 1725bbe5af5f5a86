//! What the queue has to know beside pods, nodes and pools: disruption budgets, the scheduler's signs of life,
//! and clocks that an earlier leader started.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::runtime::watcher;
use weir_queue::{Event, Time};

use super::{Term, queue_config};
use crate::convert::time;

/// How close signs of life may be to count as one, in milliseconds.
const GRAIN: u64 = 10_000;

impl Term<'_> {
    /// Takes in what happened to budgets; whether there is something to decide.
    pub(super) fn budget_event(&mut self, event: watcher::Result<watcher::Event<PodDisruptionBudget>>) -> bool {
        match event {
            Ok(watcher::Event::Init) => self.budget_listing = Some(BTreeSet::new()),
            Ok(watcher::Event::InitApply(budget)) => {
                if let Some(listing) = &mut self.budget_listing {
                    listing.insert((budget.namespace().unwrap_or_default(), budget.name_any()));
                }
                self.budget(&budget);
            }
            Ok(watcher::Event::InitDone) => {
                self.budgets.retain(&self.budget_listing.take().unwrap_or_default());
                // Before the budgets are known nobody is evicted.
                let grace = Duration::from(self.context.config.cycle.adoption_grace);
                let from = self.record.since().after(grace);
                self.events.push(Event::Config(queue_config(&self.context.config, from)));
            }
            Ok(watcher::Event::Apply(budget)) => self.budget(&budget),
            Ok(watcher::Event::Delete(budget)) => {
                self.budgets.remove(&budget.namespace().unwrap_or_default(), &budget.name_any());
            }
            Err(error) => {
                tracing::warn!(%error, "watching disruption budgets failed; trying again");
                return false;
            }
        }
        true
    }

    fn budget(&mut self, budget: &PodDisruptionBudget) {
        let running = self.pods.iter().filter(|(_, known)| !known.terminating);
        self.budgets.apply(budget, running.filter_map(|(uid, known)| known.covered(uid)));
    }

    /// A report that the scheduler renewed is a sign of life.
    pub(super) fn note_scheduler_report(&mut self) {
        if let Some(renewed) = self.context.caches.schedulers().renewed() {
            self.note_scheduler_progress(renewed);
        }
    }

    /// Notes progress of the scheduler before this term: a pod was bound, or no node was found for it.
    pub(super) fn earlier_scheduler_progress(&mut self, written: &Pod) {
        let conditions = written.status.as_ref().and_then(|status| status.conditions.as_ref());
        let by_scheduler = conditions.into_iter().flatten().find(|one| {
            one.type_ == "PodScheduled" && (one.status == "True" || one.reason.as_deref() == Some("Unschedulable"))
        });
        if let Some(at) = by_scheduler.and_then(|condition| condition.last_transition_time.as_ref()) {
            self.note_scheduler_progress(time(at));
        }
    }

    fn note_scheduler_progress(&mut self, at: Time) {
        let config = &self.context.config.cycle;
        let useful = Duration::from(config.placement_timeout) * 2 + Duration::from(config.scheduler_patience) * 2;
        let now = super::now();
        if now.since(at) > useful || !self.scheduler_progress.insert(at.millis() / GRAIN) {
            return;
        }
        self.events.push(Event::SchedulerWorked(at));
        let oldest = now.millis().saturating_sub(u64::try_from(useful.as_millis()).unwrap_or(u64::MAX)) / GRAIN;
        self.scheduler_progress = self.scheduler_progress.split_off(&oldest);
    }

    /// Goes on with the clocks that an earlier leader kept in the status of pools.
    pub(super) fn take_over_clocks(&mut self) {
        for object in self.context.caches.pools() {
            for resource in object.status.iter().flat_map(|status| &status.resources) {
                let Some(since) = resource.over_since.as_ref().map(time) else { continue };
                let (pool, dim) = (object.name_any(), resource.name.clone());
                self.report.over(pool.clone(), dim.clone(), Some(since));
                self.events.push(Event::OverSince { pool, dim, since });
            }
        }
    }
}
