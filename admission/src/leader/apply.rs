//! Records decisions and carries them out: removes the gates of those who are admitted. What is said of it is
//! next door, in `words`.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use weir_api::condition;
use weir_api::round::{Admission as Entry, Claim};
use weir_queue::{Admission, Claimed, Decision, Uid};

use super::entitlement_document::entitlement_document;
use super::evict::Step;
use super::{Term, WriteResult};
use crate::client::{ConditionUpdate, Outcome, Target, mirror_pool, remove_gate};
use crate::convert::written;
use crate::leader::decision;
use crate::leader::round_record::RecordError;

/// How many gates for each writer are under way when the record is filled up again: enough to go on with meanwhile.
const AHEAD: usize = 8;

impl Term<'_> {
    /// Notes what was decided; nothing is carried out before it is recorded.
    pub(super) fn enqueue(&mut self, decisions: Vec<Decision>) {
        let admits = decisions.iter().any(|decision| matches!(decision, Decision::Admit(_)));
        let inputs: Option<Arc<str>> = if admits { entitlement_document(&self.queue).map(Arc::from) } else { None };
        for decision in decisions {
            match decision {
                Decision::Admit(admission) => self.unrecorded.push_back((admission, inputs.clone())),
                Decision::Wait(waiting) => {
                    let (reason, message) = (waiting.why.reason().as_str(), waiting.why.to_string());
                    for uid in waiting.pods {
                        let update = ConditionUpdate {
                            condition: condition::ADMITTED,
                            status: "False",
                            reason,
                            message: message.clone(),
                        };
                        self.queue_condition(uid, update);
                    }
                }
                Decision::Evict(eviction) => self.will_evict(eviction),
                Decision::WouldEvict(eviction) => self.would_evict(&eviction),
                Decision::Claim(claimed) => self.will_keep(claimed),
                Decision::Release(released) => self.release(released),
                Decision::Void(uids) => {
                    uids.iter().for_each(|uid| drop(self.record.entries.remove(uid)));
                    self.unrecorded.retain(|(admission, _)| !admission.pods.iter().any(|(uid, _)| uids.contains(uid)));
                }
                Decision::Over { pool, dim, since } => self.report.over(pool, dim, since),
            }
        }
    }

    /// Writes the record where it has to change, and carries out what is recorded.
    pub(super) async fn record(&mut self) -> anyhow::Result<()> {
        let (mut admitted, mut inputs) = (Vec::new(), None);
        // One record holds what one step decided, because it holds what that step was decided on.
        let round = self.unrecorded.front().map(|(admission, _)| admission.round);
        let fits = |(admission, _): &(Admission, Option<Arc<str>>), room: usize| {
            Some(admission.round) == round && admission.pods.len() <= room
        };
        // As long as the writers have enough to do, nothing is added: a record holds a thousand pods, and writing
        // it anew for each few that are done takes the API server longer than removing their gates.
        let enough = self.gates_under_way > AHEAD * self.context.config.cycle.writers;
        while !enough && self.unrecorded.front().is_some_and(|next| fits(next, self.record.room())) {
            let Some((admission, decided_on)) = self.unrecorded.pop_front() else { break };
            self.enter(&admission);
            admitted.push(admission);
            inputs = decided_on;
        }
        let evicts = self.enter_evictions();
        let urgent = !admitted.is_empty() || evicts;
        if !urgent && (!self.record.differs() || self.gates_under_way > 0) {
            return Ok(());
        }
        match self.record.write(inputs.map(|text| text.to_string())).await {
            Ok(()) => self.fence_renewed = Instant::now(),
            Err(error @ RecordError::Conflict { .. }) => return Err(error.into()),
            Err(error) if !urgent => {
                tracing::warn!(%error, "the record is not shortened; trying again");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        for admission in admitted {
            self.note_decision(&admission);
            self.carry_out(&admission);
        }
        self.evictions_recorded();
        Ok(())
    }

    /// Carries out what an earlier leader recorded and did not finish.
    pub(super) fn finish_recorded(&mut self) {
        let entries: Vec<_> = self.record.entries.iter().map(|(&uid, entry)| (uid, entry.reason.clone())).collect();
        for (uid, reason) in entries {
            let record = decision::finishing(self.record.epoch(), super::now());
            self.gate(uid, 0, &reason, record);
        }
    }

    fn enter(&mut self, admission: &Admission) {
        for (uid, _) in &admission.pods {
            let Some(known) = self.pods.get(*uid) else { continue };
            let entry = Entry {
                uid: known.target.uid.clone(),
                namespace: known.target.namespace.clone(),
                name: known.target.name.clone(),
                gang: known.gang.as_ref().map(|(_, name)| name.clone()).unwrap_or_default(),
                pool: admission.pool.clone(),
                amounts: if admission.pods.len() == 1 { figures(&admission.amounts) } else { Default::default() },
                reason: admission.grounds.as_str().to_owned(),
            };
            self.record.entries.insert(*uid, entry);
        }
    }

    fn carry_out(&mut self, admission: &Admission) {
        let record = decision::of(admission, self.record.epoch(), super::now());
        for (uid, _) in &admission.pods {
            self.gate(*uid, admission.round, admission.grounds.as_str(), record.clone());
            // That it waits is of no interest any more; that it goes is said when its gate is gone.
            self.pending.remove(&(*uid, condition::ADMITTED));
        }
    }

    fn gate(&mut self, uid: Uid, round: u64, grounds: &str, record: String) {
        let Some(known) = self.pods.get(uid) else { return };
        let (client, target, grounds) = (self.context.client.clone(), known.target.clone(), grounds.to_owned());
        let writers = self.context.writers.clone();
        self.gates_under_way += 1;
        self.spawn(async move {
            let _permit = writers.acquire().await;
            let outcome = remove_gate(&client, target, &grounds, &record).await;
            WriteResult::Gate { uid, round, outcome }
        });
    }

    fn will_keep(&mut self, claimed: Claimed) {
        let Claimed { claimant, pool, amounts, nodes, victims } = claimed;
        let Some(&first) = claimant.first() else { return };
        let texts = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect();
        let claim = Claim {
            claimant: texts(&claimant),
            pool,
            amounts: figures(&amounts),
            nodes: nodes.iter().map(|node| node.to_string()).collect(),
            victims: texts(&victims),
        };
        self.record.claims.insert(first, claim);
    }

    pub(super) fn mirror(&self, target: Target, pool: &str) {
        let (client, pool) = (self.context.client.clone(), pool.to_owned());
        self.spawn(async move { WriteResult::Other(mirror_pool(&client, &target, &pool).await) });
    }

    pub(super) fn spawn(&self, work: impl Future<Output = WriteResult> + Send + 'static) {
        let results = self.results_sender.clone();
        tokio::spawn(async move {
            // After the term nothing receives the result; the next term reads what became true.
            let _ = results.send(work.await);
        });
    }

    /// Takes the result of a write; whether there is something to decide.
    pub(super) fn on_result(&mut self, result: WriteResult) -> bool {
        match result {
            WriteResult::Gate { uid, round, outcome } => {
                self.gates_under_way = self.gates_under_way.saturating_sub(1);
                match outcome {
                    Outcome::Done | Outcome::Gone => {}
                    Outcome::Refused(error) | Outcome::Failed(error) => {
                        tracing::warn!(error, %uid, round, "a gate is not removed; resyncing to apply the record again");
                        self.needs_resync = true;
                    }
                }
            }
            WriteResult::Condition { uid, update, change, outcome } => {
                self.on_condition_written(uid, update, change, outcome);
                return false;
            }
            WriteResult::Event(outcome) => {
                self.on_event_written(outcome);
                return false;
            }
            WriteResult::Reason { uid, outcome } => self.on_eviction_result(uid, outcome, Step::Reason),
            WriteResult::Evicted { uid, outcome } => self.on_eviction_result(uid, outcome, Step::Eviction),
            WriteResult::Pool(pool, outcome) => {
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(error, pool, "the status of a pool is not written; trying again");
                    self.not_written(Some(&pool), None);
                }
                return false;
            }
            WriteResult::Gang(gang, outcome) => {
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(error, namespace = gang.0, gang = gang.1, "a gang is not written; trying again");
                    self.not_written(None, Some(&gang));
                }
                return false;
            }
            WriteResult::Other(outcome) => {
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(error, "a write failed; trying again");
                }
                return false;
            }
        }
        true
    }
}

/// Amounts as the API server writes them.
fn figures(
    amounts: &[(String, weir_model::Amount)],
) -> std::collections::BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity> {
    amounts.iter().map(|(dim, amount)| (dim.clone(), written(dim, *amount))).collect()
}
