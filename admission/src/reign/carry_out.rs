//! Records decisions and carries them out. Gates go first; words follow when no gate is under way.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use weir_api::condition;
use weir_api::round::{Admission as Entry, Claim};
use weir_queue::{Admission, Claimed, DecidedOn, Decision, Grounds, Uid};

use super::evict::Step;
use super::inputs::inputs;
use super::{Done, Reign};
use crate::book::BookError;
use crate::read::written;
use crate::writes::{Outcome, Target, Told, mirror_pool, remove_gate, tell};

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
        while self.unrecorded.front().is_some_and(|next| fits(next, self.book.room())) {
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
            let record = json!({ "epoch": self.book.epoch(), "at": super::now().millis(),
                "finishes": "what an earlier leader recorded" });
            self.gate(uid, 0, &reason, record.to_string());
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
        let record = decided_on(admission, self.book.epoch());
        let message = sentence(admission);
        for (uid, _) in &admission.pods {
            self.gate(*uid, admission.round, admission.grounds.as_str(), record.clone());
            self.tell_admitted(*uid, admission.grounds, message.clone());
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

    pub(super) fn tell_admitted(&mut self, uid: Uid, grounds: Grounds, message: String) {
        let told = Told { condition: condition::ADMITTED, status: "True", reason: grounds.as_str(), message };
        self.will_tell(uid, told);
    }

    pub(super) fn will_tell(&mut self, uid: Uid, told: Told) {
        self.to_tell.insert((uid, told.condition), told);
    }

    /// Says on pods what is to be said; next to nothing while gates, or those who create pods, wait for the same
    /// API server.
    pub(super) fn say(&mut self) {
        let writers = self.seat.config.cycle.writers;
        let others_wait = self.gates_under_way > 0 || self.seat.calls.are_coming();
        let at_once = if others_wait { writers.div_ceil(32) } else { writers };
        while self.words_under_way < at_once {
            let Some(((uid, _), told)) = self.to_tell.pop_first() else { return };
            let Some(known) = self.pods.get_mut(uid) else { continue };
            let Some(news) = known.news(&told) else { continue };
            known.said = super::now();
            self.report.touch(known.gang.as_ref());
            let (client, target) = (self.seat.client.clone(), known.target.clone());
            if told.condition == condition::PREEMPTED {
                self.going.takes_back(uid);
            }
            self.words_under_way += 1;
            self.spawn(async move {
                let outcome = tell(&client, &target, &told, news).await;
                Done::Told { uid, told, outcome }
            });
        }
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
            Done::Told { uid, told, outcome } => {
                self.words_under_way = self.words_under_way.saturating_sub(1);
                if told.condition == condition::PREEMPTED {
                    self.going.took_back(uid);
                }
                match (outcome, self.pods.get_mut(uid)) {
                    (Outcome::Done, Some(known)) => known.was_told(told),
                    // Where it has to go by now, that it need not is no news any more.
                    (Outcome::Failed(_), Some(_))
                        if told.condition == condition::PREEMPTED && self.going.contains(uid) => {}
                    (Outcome::Failed(error), Some(_)) => {
                        tracing::warn!(error, %uid, "a condition is not written; trying again");
                        self.to_tell.entry((uid, told.condition)).or_insert(told);
                    }
                    _ => {}
                }
                self.say();
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

/// What an admission was decided on, as it is kept on the pod: base units, so that anyone can add them up.
fn decided_on(admission: &Admission, epoch: i64) -> String {
    let figures = admission.decided_on.iter().map(|DecidedOn { pool, dim, entitlement, usage, asked }| {
        json!({ "pool": pool.0, "resource": dim, "entitlement": entitlement.units(), "usage": usage.units(),
            "asked": asked.units() })
    });
    json!({ "epoch": epoch, "round": admission.round, "at": super::now().millis(), "pods": admission.pods.len(),
        "figures": figures.collect::<Vec<_>>() })
    .to_string()
}

/// Why somebody was admitted, in numbers.
fn sentence(admission: &Admission) -> String {
    let first = admission.decided_on.iter().find(|figures| figures.pool.0 == admission.pool);
    let numbers = first.map(|DecidedOn { pool, dim, entitlement, usage, asked }| {
        let [usage, asked, entitlement] = [usage, asked, entitlement].map(|amount| written(dim, *amount).0);
        format!("{pool} used {usage} {dim}, {asked} came on top, and {entitlement} are what it is entitled to")
    });
    let numbers = numbers.unwrap_or_else(|| format!("admitted to pool {:?}", admission.pool));
    match &admission.would_have {
        Some(why) => format!("not enforced; it would have waited ({}): {why}", why.reason().as_str()),
        None => numbers,
    }
}
