//! Decisions are recorded, then applied: what each owner of a part of the term's state says is due is sent, and what
//! came of it goes back to its owner.

use std::sync::Arc;
use std::time::Duration;

use weir_queue::{Admission, Decision, Event, Eviction};

use super::conditions::{Load, Write, preempted, waiting};
use super::entitlement_document::entitlement_document;
use super::eviction::{Act, EvictionStep, backoff};
use super::gates::{GateRemoval, removals};
use super::requests::{EvictionRequest, Request, WriteResult};
use super::round_record::{RecordWrite, Written};
use super::status::{OverIn, View};
use super::term::Term;
use crate::client::{Outcome, Target, read_round, replace_round};
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
        self.eviction_step(now).enter();
        let (evicts, writers) = (self.evictions.has_entered(), self.context.config.cycle.writers);
        if let Some(write) = self.record.due(&self.watch.pods, evicts, writers, now) {
            match self.write_record(write).await? {
                Written::Applies(admissions) => self.apply_recorded(admissions),
                Written::Later => {}
                Written::Refused { admission, why } => {
                    for (uid, _) in admission.pods {
                        self.watch.push(Event::AdmissionRefused { uid, why: why.clone() });
                    }
                }
            }
        }
        let again = self.record.due_gates(&self.watch.pods, self.now());
        again.into_iter().for_each(|gate| self.requests.send(gate));
        Ok(())
    }

    /// Writes the record.
    ///
    /// # Errors
    /// Another replica leads.
    async fn write_record(&mut self, write: RecordWrite) -> anyhow::Result<Written> {
        let client = &self.context.client;
        let answer = replace_round(client, &write.round).await;
        match self.record.came_back(write, answer, self.now()) {
            Ok(written) => {
                self.requests.renew_fence(self.record.fence_renewed());
                Ok(written)
            }
            Err(conflict) => match read_round(client).await {
                Ok(found) => match self.record.adopt(found) {
                    true => Ok(Written::Later),
                    false => Err(conflict.into()),
                },
                // The next write meets the same conflict.
                Err(_) => Ok(Written::Later),
            },
        }
    }

    fn apply_recorded(&mut self, admissions: Vec<Admission>) {
        let now = self.now();
        for admission in admissions {
            self.status.on_admission(&admission, &self.record, &self.watch.pods);
            for (pod, _) in &admission.pods {
                // Why the pod waited is obsolete; that it is admitted is said when its gate is gone.
                self.conditions.drop_pending(*pod, ConditionType::Admitted);
            }
            let gates = removals(&admission, self.record.epoch(), &self.watch.pods, now.time);
            self.send_gates(gates);
        }
        self.eviction_step(now).recorded();
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
            let renewal = self.record.renewal(self.now());
            if !matches!(self.write_record(renewal).await?, Written::Applies(_)) {
                acts.into_iter().for_each(|act| self.evictions.not_sent(act));
                return Ok(());
            }
        }
        self.send_evictions(acts);
        Ok(())
    }

    fn send_evictions(&mut self, acts: Vec<Act>) {
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
        let load = Load { gates: self.record.gates().in_flight(), pods_come };
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
            Request::Gate(removal) => self.on_gate_result(removal, outcome, now),
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
                if let Outcome::Failed(error) | Outcome::Refused(error) = outcome {
                    tracing::warn!(error, ?request, "a write failed");
                }
                return false;
            }
        }
        true
    }

    /// A gate that stays concerns its pod and nobody else.
    fn on_gate_result(&mut self, removal: GateRemoval, outcome: Outcome, now: Now) {
        self.context.metrics.gate_removal(outcome.as_str());
        let (uid, target) = (removal.pod, removal.target.clone());
        if let Some(why) = self.record.gate_came_back(removal, outcome, now) {
            let Target { namespace, name, .. } = target;
            tracing::warn!(why, %uid, namespace, name, "the API server refuses to remove a gate; its pod backs off");
            self.watch.push(Event::AdmissionRefused { uid, why });
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
