//! Who is admitted (B2–B4, B6): a list of admitters, each of which says yes, or no with its numbers.
//!
//! An entitlement does not move while a round is decided: what is admitted was eligible demand and becomes
//! usage, and the requirement is their sum. So usage only grows, free room only shrinks, and an answer of no
//! holds for everybody with the same request until the round ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{Amount, Dim, PoolId};

use crate::claims::Claim;
use crate::decision::{Admission, DecidedOn, Decision};
use crate::eligibility::left;
use crate::explanation::Explanation;
use crate::fair_order::{DominantShare, FairOrder};
use crate::fit::Shortfall;
use crate::ledger::amount;
use crate::nodes::{NodeContext, NodeId};
use crate::pod::Grounds;
use crate::queues::{QueueKey, QueuedWorkload, Rank, Workload};
use crate::refusal::Refusal;
use crate::settings::Strategy;
use crate::shapes::{RequestId, ShapeId};
use crate::state::Queue;
use crate::verdicts::Head;

/// A request of a pool that an admitter is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) leaf: PoolId,
    pub(crate) request: RequestId,
    /// The priority of the claimant where its pool lets it take the place of lower ones (C6).
    pub(crate) priority: Option<i32>,
}

/// One condition of admission that can be judged by numbers alone.
type Admitter = fn(&Queue, Candidate) -> Result<(), Refusal>;

/// In this order, because the first no is what the pod is told: never before not now.
const ADMITTERS: [Admitter; 2] = [within_entitlement, within_reservation];

/// B3: usage and request within the entitlement of the pool and every ancestor, in every dimension it asks for.
/// What other pools of an ancestor use beyond their own entitlements does not count there: it is taken back where
/// somebody needs the room, and not for the sake of the sum. Limits count all of it.
fn within_entitlement(queue: &Queue, Candidate { leaf, request, .. }: Candidate) -> Result<(), Refusal> {
    for pool in queue.pools.tree.path(leaf) {
        for (dim, asked) in queue.shapes.request_of(request).amounts.iter() {
            if !queue.pools.checks(pool, dim) {
                continue;
            }
            let entitled = queue.pools.entitled(pool, dim);
            if asked > entitled {
                return Err(Refusal::Entitlement { pool, dim, asked, entitled });
            }
            let used = queue.ledger.usage.exact(pool, dim);
            let claimed = queue.ledger.claimed.exact(pool, dim);
            let more = claimed + i128::from(asked.units());
            let counts = used - queue.ledger.over_entitlement.below(&queue.pools, pool, dim);
            let limited = used + more > i128::from(queue.pools.cap(pool, dim).units());
            if limited || counts + more > i128::from(entitled.units()) {
                let used = if limited { used } else { counts };
                let [used, claimed] = [used, claimed].map(amount);
                return Err(Refusal::Quota { pool, dim, asked, used, claimed, entitled });
            }
        }
    }
    Ok(())
}

/// B4: the non-preemptible usage and request within min(reservation, entitlement) of the pool and of every
/// ancestor, in the dimensions that each of them lists.
fn within_reservation(queue: &Queue, Candidate { leaf, request, .. }: Candidate) -> Result<(), Refusal> {
    let request = queue.shapes.request_of(request);
    if request.preemptible {
        return Ok(());
    }
    for pool in queue.pools.tree.path(leaf) {
        for (dim, asked) in request.amounts.iter() {
            let Some(reserved) = queue.pools.reserved(pool, dim) else { continue };
            let reserved = reserved.min(queue.pools.entitled(pool, dim));
            let used = queue.ledger.non_preemptible.amount(pool, dim);
            if used + asked > reserved {
                return Err(Refusal::Reserved { pool, dim, asked, used, reserved });
            }
        }
    }
    Ok(())
}

/// A request that was not admitted in this round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) leaf: PoolId,
    pub(crate) request: RequestId,
    pub(crate) refusal: Refusal,
    /// Whether the last round said the same of all of its bucket, in the same numbers.
    pub(crate) again: bool,
}

/// The heads of the buckets of one leaf that are still asked in this round.
pub(crate) type Open = BTreeMap<QueueKey, RequestId>;

impl Queue {
    /// Admits all that may go, and returns what may not.
    pub(crate) fn admit_all(&mut self) -> Vec<Refused> {
        let mut refused = self.serve_claims();
        let mut open: Vec<Open> = vec![Open::new(); self.leaf_queues.len()];
        let mut fair_order = FairOrder::new(&self.pools.tree);
        for leaf in self.open_leaves() {
            let Some(opened) = self.opened(leaf) else { continue };
            open[leaf.index()].clone_from(&opened.open);
            refused.extend_from_slice(&opened.refused);
            if let Some(head) = opened.head {
                self.look_at_head(leaf, head, &mut open[leaf.index()], &mut refused);
            }
            self.offer(&mut fair_order, leaf, &open[leaf.index()]);
        }
        while let Some(leaf) = fair_order.next() {
            let here = &mut open[leaf.index()];
            let Some((&key, &request)) = here.first_key_value() else { break };
            here.remove(&key);
            let candidate = Candidate { leaf, request, priority: None };
            match self.may_go(candidate) {
                Ok(nodes) => {
                    self.admit_first(candidate, key, &nodes);
                    self.next_of(leaf, request, Some(key), here);
                }
                Err(refusal) => {
                    refused.push(Refused { leaf, request, refusal, again: false });
                    if self.is_head(leaf, key) {
                        self.head_refused(candidate, key, refusal, here, &mut refused);
                    }
                }
            }
            self.offer(&mut fair_order, leaf, &open[leaf.index()]);
        }
        refused
    }

    /// What the first who may go at all, or one with a claim before it, means for the others of its leaf.
    fn look_at_head(&mut self, leaf: PoolId, head: Head, open: &mut Open, refused: &mut Vec<Refused>) {
        let (key, request, no) = head;
        if let Some(first) = self.head_with_claim(leaf).filter(|&first| first < key) {
            if self.pools.settings(leaf).strategy == Strategy::Strict {
                stand_behind(leaf, first, open, refused);
            }
        } else if let Some(refusal) = no {
            self.head_refused(Candidate { leaf, request, priority: None }, key, refusal, open, refused);
        }
    }

    /// Whether nobody who may go stands before this place.
    fn is_head(&self, leaf: PoolId, key: QueueKey) -> bool {
        let verdicts = self.eligible.alone[leaf.index()].iter().filter(|(_, verdict)| verdict.is_ok());
        let first = verdicts
            .filter_map(|(request, _)| self.leaf_queues[leaf.index()].buckets.get(request)?.order.first_key_value());
        first.map(|(first, _)| *first).min().is_none_or(|first| first >= key)
    }

    /// Whether B4 alone would let a request go.
    pub(crate) fn reservation_allows(&self, leaf: PoolId, request: RequestId) -> bool {
        within_reservation(self, Candidate { leaf, request, priority: None }).is_ok()
    }

    /// What numbers alone say of a request.
    pub(crate) fn numbers_allow(&self, candidate: Candidate) -> Result<(), Refusal> {
        ADMITTERS.iter().try_for_each(|admitter| admitter(self, candidate))
    }

    /// Whether a request may go now, and to which nodes.
    pub(crate) fn may_go(&mut self, candidate: Candidate) -> Result<Vec<(ShapeId, NodeId)>, Refusal> {
        self.numbers_allow(candidate)?;
        self.find_nodes(candidate.request).map_err(Refusal::Placement)
    }

    /// B6: the nodes that a request would get of what is free and not claimed.
    pub(crate) fn find_nodes(&mut self, request: RequestId) -> Result<Vec<(ShapeId, NodeId)>, Shortfall> {
        let mut context = NodeContext { hosts: &*self.hosts, dims: &mut self.dims };
        let found = self.fit_index.find(self.shapes.request_of(request), &mut self.nodes, &self.shapes, &mut context);
        found.or_else(|short| self.find_nodes_reassuming(request, short))
    }

    /// The next of a bucket that has no claim of its own; those with one were asked before.
    fn next_of(&self, leaf: PoolId, request: RequestId, after: Option<QueueKey>, open: &mut Open) {
        use std::ops::Bound::{Excluded, Unbounded};
        let Some(bucket) = self.leaf_queues[leaf.index()].buckets.get(&request) else { return };
        let from = after.map_or(Unbounded, Excluded);
        let mut rest = bucket.order.range((from, Unbounded));
        if let Some((&key, _)) = rest.find(|(_, queued)| !self.has_claim(queued.workload)) {
            open.insert(key, request);
        }
    }

    fn offer(&self, fair_order: &mut FairOrder, leaf: PoolId, open: &Open) {
        let head = open.first_key_value().map(|(_, &request)| request);
        fair_order.offer(&self.pools.tree, leaf, head, |pool, request| self.dominant_share(pool, request));
    }

    /// B2: usage ÷ entitlement, the largest over the dimensions that are asked for.
    fn dominant_share(&self, pool: PoolId, request: RequestId) -> DominantShare {
        let dims = self.shapes.request_of(request).amounts.iter().filter(|&(dim, _)| self.pools.checks(pool, dim));
        let of = |(dim, _): (Dim, Amount)| {
            DominantShare::new(self.ledger.usage.exact(pool, dim), i128::from(self.pools.entitled(pool, dim).units()))
        };
        dims.map(of).max().unwrap_or(DominantShare::ZERO)
    }

    /// B2: in a Strict pool nobody passes the head; elsewhere others may, until it has waited for the pool's
    /// patience. From then on it holds a claim.
    fn head_refused(
        &mut self,
        candidate: Candidate,
        key: QueueKey,
        refusal: Refusal,
        open: &mut Open,
        refused: &mut Vec<Refused>,
    ) {
        let Candidate { leaf, request, .. } = candidate;
        let Some(queued) = self.queued(leaf, request, &key) else { return };
        let settings = self.pools.settings(leaf);
        if settings.strategy == Strategy::Strict {
            stand_behind(leaf, key, open, refused);
        }
        // What others give back is no use to a head that its own kind keeps out of the reservation.
        if self.now.since(queued.since) >= settings.patience && self.reservation_allows(leaf, request) {
            self.claim_for_head(candidate, queued.workload, refusal);
        }
    }

    /// The place of the head of a pool, where it has a claim from patience.
    fn head_with_claim(&self, leaf: PoolId) -> Option<QueueKey> {
        let mut patient = self.claims.iter().filter(|claim| claim.victims.is_empty());
        patient.find_map(|claim| self.stands(claim.workload).filter(|&(at, _, _)| at == leaf)).map(|(_, _, key)| key)
    }

    pub(crate) fn queued(&self, leaf: PoolId, request: RequestId, key: &QueueKey) -> Option<QueuedWorkload> {
        self.leaf_queues[leaf.index()].buckets.get(&request)?.order.get(key).copied()
    }

    /// Admits the workload at a place of a bucket.
    fn admit_first(&mut self, candidate: Candidate, key: QueueKey, nodes: &[(ShapeId, NodeId)]) {
        let Some(queued) = self.queued(candidate.leaf, candidate.request, &key) else { return };
        let grounds = match key.rank {
            Rank::Replacement => Grounds::Replacement,
            Rank::Ordinary => Grounds::WithinEntitlement,
        };
        self.admit(candidate, queued.workload, nodes, grounds, None);
    }

    /// Admits a workload: it is usage from now on, on the nodes that were found for it.
    pub(crate) fn admit(
        &mut self,
        candidate: Candidate,
        workload: Workload,
        nodes: &[(ShapeId, NodeId)],
        grounds: Grounds,
        would_have: Option<Explanation>,
    ) {
        let decided_on = self.decided_on(candidate);
        let members: Vec<u32> = self.waiting_members(workload);
        match workload {
            Workload::Pod(pod) => self.dequeue_pod(pod),
            Workload::Gang(gang) => {
                self.dequeue_gang(gang);
                self.gangs[gang as usize].admitted_whole();
            }
            Workload::Group(gang, first) => self.dequeue_group(gang, first),
        }
        let mut nodes = nodes.to_vec();
        let mut pods = Vec::with_capacity(members.len());
        for pod in members {
            let Some(record) = self.pods.record(pod) else { continue };
            let at = nodes.iter().position(|&(shape, _)| shape == record.shape);
            let node = at.map(|at| nodes.swap_remove(at).1);
            pods.push((record.uid, node.map(|node| Arc::clone(&self.nodes.host(node).name))));
            self.become_admitted(pod, node, grounds);
        }
        self.pending.push(Decision::Admit(Admission {
            round: self.round,
            pods,
            pool: self.pools.tree.name(candidate.leaf).to_owned(),
            amounts: self.amounts(candidate.request),
            grounds,
            decided_on,
            would_have,
        }));
        if grounds == Grounds::OnLoan {
            self.count_over_entitlement(candidate.leaf);
        }
    }

    /// Counts anew what every leaf uses beyond its entitlement.
    pub(crate) fn count_all_over_entitlement(&mut self) {
        for leaf in self.pools.tree.iter().filter(|&pool| self.pools.tree.is_leaf(pool)).collect::<Vec<_>>() {
            self.count_over_entitlement(leaf);
        }
    }

    /// Counts anew what a leaf uses beyond its entitlement.
    fn count_over_entitlement(&mut self, leaf: PoolId) {
        for dim in self.dims.iter() {
            let uses = [&self.ledger.usage, &self.ledger.non_preemptible].map(|sums| sums.exact(leaf, dim));
            self.ledger.over_entitlement.count(&self.pools, leaf, dim, uses);
        }
    }

    /// The waiting pods of a workload, in the order of their UIDs.
    pub(crate) fn waiting_members(&self, workload: Workload) -> Vec<u32> {
        let mut members = self.members(workload);
        members.retain(|&pod| self.pods.record(pod).is_some_and(crate::pods::PodRecord::waits));
        members.sort_unstable_by_key(|&pod| self.pods.record(pod).map(|record| record.uid));
        members
    }

    pub(crate) fn amounts(&self, request: RequestId) -> Vec<(String, Amount)> {
        let amounts = self.shapes.request_of(request).amounts.iter();
        amounts.map(|(dim, amount)| (self.dims.name(dim).to_owned(), amount)).collect()
    }

    fn decided_on(&self, Candidate { leaf, request, .. }: Candidate) -> Vec<DecidedOn> {
        let mut facts = Vec::new();
        for pool in self.pools.tree.path(leaf) {
            for (dim, asked) in
                self.shapes.request_of(request).amounts.iter().filter(|&(dim, _)| self.pools.checks(pool, dim))
            {
                facts.push(DecidedOn {
                    pool: self.pools.named(pool),
                    dim: self.dims.name(dim).to_owned(),
                    entitlement: self.pools.entitled(pool, dim),
                    usage: self.ledger.usage.amount(pool, dim),
                    beyond: amount(self.ledger.over_entitlement.below(&self.pools, pool, dim)),
                    asked,
                });
            }
        }
        facts
    }

    /// What a pool may still use of what it is entitled to.
    pub(crate) fn unused(&self, pool: PoolId, dim: Dim) -> Amount {
        left(self.pools.entitled(pool, dim), self.ledger.usage.exact(pool, dim))
    }

    /// Whether a workload has a claim.
    pub(crate) fn has_claim(&self, workload: Workload) -> bool {
        self.claims.iter().any(|claim: &Claim| claim.workload == workload)
    }
}

/// In a Strict pool nobody passes the head.
fn stand_behind(leaf: PoolId, head: QueueKey, open: &mut Open, refused: &mut Vec<Refused>) {
    let refusal = Refusal::Behind { pool: leaf, head: head.uid };
    refused.extend(std::mem::take(open).into_values().map(|request| Refused { leaf, request, refusal, again: false }));
}
