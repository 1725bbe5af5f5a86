//! Decisions are recorded, then applied: what each owner of a part of the term's state says is due is sent, and what
//! came of it goes back to its owner.

use std::sync::Arc;
use std::time::Duration;

use weir_queue::{Decision, Eviction};

use super::conditions::{Load, Write, preempted, waiting};
use super::entitlement_document::entitlement_document;
use super::eviction::{Act, EvictionStep, backoff};
use super::gates::{GateRemoval, removals};
use super::requests::{EvictionRequest, Request, WriteResult};
use super::resync::Resync;
use super::status::{OverIn, View};
use super::term::Term;
use crate::client::{Outcome, RecordError, replace_round};
use crate::clock::Now;
use crate::convert::condition::ConditionType;
use crate::convert::name::NamespacedName;

impl Term<'_> {
    /// Hands each decision to its owner; nothing is applied before it is recorded.
    pub(super) fn enqueue(&mut self, decisions: Vec<Decision>, now: Now) {
        let admits = decisions.iter().any(|decision| matches!(decision, Decision::Admit(_)));
        let inputs: Option<Arc<str>> = admits.then(|| entitlement_document(&self.queue)).flatten().map(Arc::from);
        for decision in decisions {
            match decision {
                Decision::Admit(admission) => self.record.line_up(admission, inputs.clone()),
                Decision::Wait(reason) => {
                    let update = waiting(&reason.why);
                    reason.pods.into_iter().for_each(|pod| self.conditions.queue(pod, update.clone(), now));
                }
                Decision::Evict(eviction) => self.line_up_eviction(eviction, now),
                Decision::WouldEvict(eviction) => self.eviction_step(now).would_evict(&eviction),
                Decision::Claim(claimed) => self.record.keep(claimed),
                Decision::Release(released) => self.eviction_step(now).release(released),
                Decision::Void(pods) => self.record.void(&pods),
                Decision::Over { pool, dim, since } => self.status.on_over(OverIn { pool, dim }, since),
            }
        }
    }

    fn line_up_eviction(&mut self, eviction: Eviction, now: Now) {
        let (back_offs, cycle) = (&mut self.record.back_offs, &self.context.config.cycle);
        for event in backoff::back_off(back_offs, &eviction, &self.watch.pods, cycle, now.time) {
            self.requests.send(event);
        }
        self.evictions.line_up(eviction);
    }

    /// Writes the record where it has to change, and applies what is recorded.
    pub(super) async fn record_round(&mut self, now: Now) -> anyhow::Result<()> {
        let evicts = self.eviction_step(now).enter();
        let writers = self.context.config.cycle.writers;
        let Some(write) = self.record.due(&self.watch.pods, evicts, writers, now) else { return Ok(()) };
        let written = replace_round(&self.context.client, &write.round).await;
        let now = self.now();
        for admission in self.record.came_back(write, written, now)? {
            self.status.on_admission(&admission, &self.record, &self.watch.pods);
            for (pod, _) in &admission.pods {
                // Why the pod waited is obsolete; that it is admitted is said when its gate is gone.
                self.conditions.drop_pending(*pod, ConditionType::Admitted);
            }
            let gates = removals(&admission, self.record.epoch(), &self.watch.pods, now.time);
            self.send_gates(gates);
        }
        self.eviction_step(now).recorded();
        Ok(())
    }

    /// Sends the removal of gates that are recorded.
    pub(super) fn send_gates(&mut self, gates: Vec<GateRemoval>) {
        self.record.gates_sent(gates.len());
        gates.into_iter().for_each(|gate| self.requests.send(gate));
    }

    /// Sends the steps of evictions that are due, after making sure that this replica still leads.
    ///
    /// An eviction is sent only while the record was written a moment ago: a leader that lost the lease without knowing
    /// it meets a conflict at that write, and the new leader may have spared the pod since.
    pub(super) async fn run_evictions(&mut self, now: Now) -> anyhow::Result<()> {
        let acts = self.evictions.due(now.time);
        if acts.iter().any(|act| matches!(act, Act::Evict(_))) && !self.record.is_fenced(self.now().instant) {
            let write = self.record.renewal(self.now());
            let written = replace_round(&self.context.client, &write.round).await;
            match self.record.came_back(write, written, self.now()) {
                Ok(_) => {}
                Err(error @ RecordError::Conflict { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the round record cannot be renewed, so no pod is evicted; retrying");
                    acts.into_iter().for_each(|act| self.evictions.not_sent(act));
                    return Ok(());
                }
            }
        }
        self.send_evictions(acts);
        Ok(())
    }

    fn send_evictions(&self, acts: Vec<Act>) {
        for act in acts {
            let (state, victim) = (self.watch.pods.get(act.pod()), self.record.victims.get(&act.pod()));
            if let (Some(state), Some(victim)) = (state, victim) {
                self.requests.send(EvictionRequest { act, target: state.target.clone(), reason: preempted(victim) });
            }
        }
    }

    /// Sends the conditions and events that are due.
    pub(super) fn flush(&mut self, now: Now) {
        let pods_come = self.context.calls.are_coming(now.instant);
        let load = Load { gates: self.record.gates_in_flight(), pods_come };
        for write in self.conditions.due(&mut self.watch.pods, load, now) {
            if let Write::Condition(write) = &write {
                self.status.touch(self.watch.pods.get(write.pod));
                if write.update.condition == ConditionType::Preempted {
                    self.evictions.retracting(write.pod);
                }
            }
            self.requests.send(write);
        }
    }

    /// Sends what changed in the status of pools and gangs, and sets the figures of metrics.
    pub(super) fn report(&mut self, now: Now) {
        if !self.status.is_due(now.time) {
            return;
        }
        self.conditions.refresh(&self.queue, &self.watch.pods, now);
        let context = self.context;
        let job = |gang: &NamespacedName| context.caches.rays().get(gang)?.job.clone();
        let (queue, pods, pools) = (&self.queue, &self.watch.pods, &context.caches.pools());
        let view = View { queue, pods, pools, job: &job, now: now.time };
        self.status.due(&view, &context.metrics).into_iter().for_each(|write| self.requests.send(write));
    }

    /// Takes in what came of a request; whether there is something to decide.
    pub(super) fn on_result(&mut self, result: WriteResult) -> bool {
        let (WriteResult { request, outcome }, now) = (result, self.now());
        match request {
            Request::Gate(removal) => self.on_gate_result(&removal, outcome),
            Request::Eviction(request) => self.on_eviction_result(request.act, outcome, now),
            Request::Condition(Write::Condition(write)) => {
                if write.update.condition == ConditionType::Preempted {
                    self.evictions.retracted(write.pod);
                }
                let is_victim = self.evictions.contains(write.pod);
                self.conditions.came_back(write, outcome, &mut self.watch.pods, is_victim, now);
                self.flush(now);
                return false;
            }
            Request::Condition(Write::Event(_)) => {
                self.conditions.event_came_back(outcome);
                self.flush(now);
                return false;
            }
            Request::Status(write) => {
                self.status.came_back(&write, outcome);
                return false;
            }
            Request::Label(_) | Request::Owner(_) => {
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(error, ?request, "a write failed");
                }
                return false;
            }
        }
        true
    }

    fn on_gate_result(&mut self, removal: &GateRemoval, outcome: Outcome) {
        if let Err(error) = self.record.gate_came_back(outcome) {
            let GateRemoval { pod: uid, round, target, .. } = removal;
            tracing::warn!(error, %uid, round, "a gate is not removed; resyncing to apply the record again");
            self.needs_resync = Some(Resync::GateNotRemoved(NamespacedName::new(&*target.namespace, &*target.name)));
        }
    }

    /// The next step of a plan is sent at once while the fence holds; otherwise the cycle renews it first.
    fn on_eviction_result(&mut self, act: Act, outcome: Outcome, now: Now) {
        let patience = Duration::from(self.context.config.cycle.eviction_retry);
        if let Some(victim) = self.eviction_step(now).came_back(act, outcome, patience) {
            self.context.metrics.evicted(&victim.pool, &victim.reason);
        }
        if self.record.is_fenced(now.instant) {
            let acts = self.evictions.due(now.time);
            self.send_evictions(acts);
        }
    }

    /// What one step of evictions touches.
    pub(super) fn eviction_step(&mut self, now: Now) -> EvictionStep<'_> {
        EvictionStep {
            evictions: &mut self.evictions,
            record: &mut self.record,
            conditions: &mut self.conditions,
            watch: &mut self.watch,
            queue: &self.queue,
            now,
        }
    }
}
