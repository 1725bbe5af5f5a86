//! Records decisions and carries them out: removes the gates of those who are admitted. What is said of it is
//! next door, in `words`.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use weir_api::condition;
use weir_api::round::{Admission as Entry, Claim};
use weir_queue::{Admission, Claimed, Decision, Uid};

use super::evict::Step;
use super::inputs::inputs;
use super::{Done, Reign};
use crate::book::BookError;
use crate::read::written;
use crate::record;
use crate::writes::{Outcome, Target, Told, mirror_pool, remove_gate};

/// How many gates for each writer are under way when the record is filled up again: enough to go on with meanwhile.
const AHEAD: usize = 8;

impl Reign<'_> {
    /// Notes what was decided; nothing is carried out before it is recorded.
    pub(super) fn take_up(&mut self, decisions: Vec<Decision>) {
        let admits = decisions.iter().any(|decision| matches!(decision, Decision::Admit(_)));
        let inputs: Option<Arc<str>> = if admits { inputs(&self.queue).map(Arc::from) } else { None };
        for decision in decisions {
            match decision {
                Decision::Admit(admission) => self.unrecorded.push_back((admission, inputs.clone())),
                Decision::Wait(waiting) => {
                    let (reason, message) = (waiting.why.reason().as_str(), waiting.why.to_string());
                    for uid in waiting.pods {
                        let told =
                            Told { condition: condition::ADMITTED, status: "False", reason, message: message.clone() };
                        self.will_tell(uid, told);
                    }
                }
                Decision::Evict(eviction) => self.will_evict(eviction),
                Decision::WouldEvict(eviction) => self.would_evict(&eviction),
                Decision::Claim(claimed) => self.will_keep(claimed),
                Decision::Release(released) => self.release(released),
                Decision::Void(uids) => {
                    uids.iter().for_each(|uid| drop(self.book.entries.remove(uid)));
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
        let enough = self.gates_under_way > AHEAD * self.seat.config.cycle.writers;
        while !enough && self.unrecorded.front().is_some_and(|next| fits(next, self.book.room())) {
            let Some((admission, decided_on)) = self.unrecorded.pop_front() else { break };
            self.enter(&admission);
            admitted.push(admission);
            inputs = decided_on;
        }
        let evicts = self.enter_evictions();
        let urgent = !admitted.is_empty() || evicts;
        if !urgent && (!self.book.differs() || self.gates_under_way > 0) {
            return Ok(());
        }
        match self.book.write(inputs.map(|text| text.to_string())).await {
            Ok(()) => self.fenced = Instant::now(),
            Err(error @ BookError::Deposed { .. }) => return Err(error.into()),
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
        let entries: Vec<_> = self.book.entries.iter().map(|(&uid, entry)| (uid, entry.reason.clone())).collect();
        for (uid, reason) in entries {
            let record = record::finishing(self.book.epoch(), super::now());
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
            self.book.entries.insert(*uid, entry);
        }
    }

    fn carry_out(&mut self, admission: &Admission) {
        let record = record::of(admission, self.book.epoch(), super::now());
        for (uid, _) in &admission.pods {
            self.gate(*uid, admission.round, admission.grounds.as_str(), record.clone());
            // That it waits is of no interest any more; that it goes is said when its gate is gone.
            self.to_tell.remove(&(*uid, condition::ADMITTED));
        }
    }

    fn gate(&mut self, uid: Uid, round: u64, grounds: &str, record: String) {
        let Some(known) = self.pods.get(uid) else { return };
        let (client, target, grounds) = (self.seat.client.clone(), known.target.clone(), grounds.to_owned());
        let writers = self.seat.writers.clone();
        self.gates_under_way += 1;
        self.spawn(async move {
            let _permit = writers.acquire().await;
            let outcome = remove_gate(&client, target, &grounds, &record).await;
            Done::Gate { uid, round, outcome }
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
        self.book.claims.insert(first, claim);
    }

    pub(super) fn mirror(&self, target: Target, pool: &str) {
        let (client, pool) = (self.seat.client.clone(), pool.to_owned());
        self.spawn(async move { Done::Said(mirror_pool(&client, &target, &pool).await) });
    }

    pub(super) fn spawn(&self, work: impl Future<Output = Done> + Send + 'static) {
        let done = self.done.clone();
        tokio::spawn(async move {
            // Nobody listens any more when the reign is over; the next one reads what became true.
            let _ = done.send(work.await);
        });
    }

    /// Takes in what came of a write; whether there is something to decide.
    pub(super) fn came_of(&mut self, done: Done) -> bool {
        match done {
            Done::Gate { uid, round, outcome } => {
                self.gates_under_way = self.gates_under_way.saturating_sub(1);
                match outcome {
                    Outcome::Done | Outcome::Gone => {}
                    Outcome::Refused(error) | Outcome::Failed(error) => {
                        tracing::warn!(error, %uid, round, "a gate is not removed; the record is carried out anew");
                        self.anew = true;
                    }
                }
            }
            Done::Told { uid, told, news, outcome } => {
                self.came_of_words(uid, told, news, outcome);
                return false;
            }
            Done::Announced(outcome) => {
                self.came_of_announcement(outcome);
                return false;
            }
            Done::Reason { uid, outcome } => self.came_of_eviction(uid, outcome, Step::Reason),
            Done::Evicted { uid, outcome } => self.came_of_eviction(uid, outcome, Step::Eviction),
            Done::Pool(pool, outcome) => {
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(error, pool, "the status of a pool is not written; trying again");
                    self.not_written(Some(&pool), None);
                }
                return false;
            }
            Done::Gang(gang, outcome) => {
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(error, namespace = gang.0, gang = gang.1, "a gang is not written; trying again");
                    self.not_written(None, Some(&gang));
                }
                return false;
            }
            Done::Said(outcome) => {
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
