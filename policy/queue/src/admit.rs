//! Who is admitted (B2–B4, B6): a list of admitters, each of which says yes, or no with its numbers.
//!
//! An entitlement does not move while a round is decided: what is admitted was eligible demand and becomes
//! usage, and the requirement is their sum. So usage only grows, free room only shrinks, and an answer of no
//! holds for everybody with the same ask until the round ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{Amount, Dim, PoolId};

use crate::answers::Head;
use crate::claim::Claim;
use crate::decision::{Admission, DecidedOn, Decision};
use crate::eligibility::left;
use crate::explain::Explanation;
use crate::ledger::amount;
use crate::nodes::{Books, NodeId};
use crate::order::{Entry, Place, Rank, Unit};
use crate::place::Shortfall;
use crate::pod::Grounds;
use crate::settings::Strategy;
use crate::shape::{AskId, ShapeId};
use crate::state::Queue;
use crate::turn::{Ratio, Turn};
use crate::why::Why;

/// An ask of a pool that an admitter is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) leaf: PoolId,
    pub(crate) ask: AskId,
    /// The priority of the claimant where its pool lets it take the place of lower ones (C6).
    pub(crate) priority: Option<i32>,
}

/// One condition of admission that can be judged by numbers alone.
type Admitter = fn(&Queue, Case) -> Result<(), Why>;

/// In this order, because the first no is what the pod is told: never before not now.
const ADMITTERS: [Admitter; 2] = [within_entitlement, within_reservation];

/// B3: usage and request within the entitlement of the pool and every ancestor, in every dimension it asks for.
/// What other pools of an ancestor use beyond their own entitlements does not count there: it is taken back where
/// somebody needs the room, and not for the sake of the sum. Limits count all of it.
fn within_entitlement(queue: &Queue, Case { leaf, ask, .. }: Case) -> Result<(), Why> {
    for pool in queue.pools.tree.path(leaf) {
        for (dim, asked) in queue.shapes.ask_of(ask).amounts.iter() {
            if !queue.pools.checks(pool, dim) {
                continue;
            }
            let entitled = queue.pools.entitled(pool, dim);
            if asked > entitled {
                return Err(Why::Entitlement { pool, dim, asked, entitled });
            }
            let used = queue.ledger.usage.exact(pool, dim);
            let claimed = queue.ledger.held.exact(pool, dim);
            let more = claimed + i128::from(asked.units());
            let counts = used - queue.ledger.beyond.below(&queue.pools, pool, dim);
            let limited = used + more > i128::from(queue.pools.cap(pool, dim).units());
            if limited || counts + more > i128::from(entitled.units()) {
                let used = if limited { used } else { counts };
                let [used, claimed] = [used, claimed].map(amount);
                return Err(Why::Quota { pool, dim, asked, used, claimed, entitled });
            }
        }
    }
    Ok(())
}

/// B4: the non-preemptible usage and request within min(reservation, entitlement) of the pool and of every
/// ancestor, in the dimensions that each of them lists.
fn within_reservation(queue: &Queue, Case { leaf, ask, .. }: Case) -> Result<(), Why> {
    let ask = queue.shapes.ask_of(ask);
    if ask.preemptible {
        return Ok(());
    }
    for pool in queue.pools.tree.path(leaf) {
        for (dim, asked) in ask.amounts.iter() {
            let Some(reserved) = queue.pools.reserved(pool, dim) else { continue };
            let reserved = reserved.min(queue.pools.entitled(pool, dim));
            let used = queue.ledger.fixed.amount(pool, dim);
            if used + asked > reserved {
                return Err(Why::Reserved { pool, dim, asked, used, reserved });
            }
        }
    }
    Ok(())
}

/// An ask that was not admitted in this round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocked {
    pub(crate) leaf: PoolId,
    pub(crate) ask: AskId,
    pub(crate) why: Why,
    /// Whether the last round said the same of all of its bucket, in the same numbers.
    pub(crate) again: bool,
}

/// The heads of the buckets of one leaf that are still asked in this round.
pub(crate) type Open = BTreeMap<Place, AskId>;

impl Queue {
    /// Admits all that may go, and returns what may not.
    pub(crate) fn admit_all(&mut self) -> Vec<Blocked> {
        let mut blocked = self.serve_claims();
        let mut open: Vec<Open> = vec![Open::new(); self.lines.len()];
        let mut turn = Turn::new(&self.pools.tree);
        for leaf in self.open_leaves() {
            let Some(opened) = self.opened(leaf) else { continue };
            open[leaf.index()].clone_from(&opened.open);
            blocked.extend_from_slice(&opened.blocked);
            if let Some(head) = opened.head {
                self.look_at_head(leaf, head, &mut open[leaf.index()], &mut blocked);
            }
            self.offer(&mut turn, leaf, &open[leaf.index()]);
        }
        while let Some(leaf) = turn.next() {
            let here = &mut open[leaf.index()];
            let Some((&place, &ask)) = here.first_key_value() else { break };
            here.remove(&place);
            let case = Case { leaf, ask, priority: None };
            match self.may_go(case) {
                Ok(nodes) => {
                    self.admit_first(case, place, &nodes);
                    self.next_of(leaf, ask, Some(place), here);
                }
                Err(why) => {
                    blocked.push(Blocked { leaf, ask, why, again: false });
                    if self.is_head(leaf, place) {
                        self.head_is_blocked(case, place, why, here, &mut blocked);
                    }
                }
            }
            self.offer(&mut turn, leaf, &open[leaf.index()]);
        }
        blocked
    }

    /// What the first who may go at all, or one with a claim before it, means for the others of its leaf.
    fn look_at_head(&mut self, leaf: PoolId, head: Head, open: &mut Open, blocked: &mut Vec<Blocked>) {
        let (place, ask, no) = head;
        if let Some(first) = self.head_with_claim(leaf).filter(|&first| first < place) {
            if self.pools.settings(leaf).strategy == Strategy::Strict {
                stand_behind(leaf, first, open, blocked);
            }
        } else if let Some(why) = no {
            self.head_is_blocked(Case { leaf, ask, priority: None }, place, why, open, blocked);
        }
    }

    /// Whether nobody who may go stands before this place.
    fn is_head(&self, leaf: PoolId, place: Place) -> bool {
        let answers = self.eligible.alone[leaf.index()].iter().filter(|(_, answer)| answer.is_ok());
        let first = answers.filter_map(|(ask, _)| self.lines[leaf.index()].buckets.get(ask)?.order.first_key_value());
        first.map(|(first, _)| *first).min().is_none_or(|first| first >= place)
    }

    /// Whether B4 alone would let an ask go.
    pub(crate) fn reservation_allows(&self, leaf: PoolId, ask: AskId) -> bool {
        within_reservation(self, Case { leaf, ask, priority: None }).is_ok()
    }

    /// What numbers alone say of an ask.
    pub(crate) fn numbers_allow(&self, case: Case) -> Result<(), Why> {
        ADMITTERS.iter().try_for_each(|admitter| admitter(self, case))
    }

    /// Whether an ask may go now, and to which nodes.
    pub(crate) fn may_go(&mut self, case: Case) -> Result<Vec<(ShapeId, NodeId)>, Why> {
        self.numbers_allow(case)?;
        self.find_nodes(case.ask).map_err(Why::Placement)
    }

    /// B6: the nodes that an ask would get of what is free and not claimed.
    pub(crate) fn find_nodes(&mut self, ask: AskId) -> Result<Vec<(ShapeId, NodeId)>, Shortfall> {
        let mut books = Books { hosts: &*self.hosts, dims: &mut self.dims };
        let found = self.places.find(self.shapes.ask_of(ask), &mut self.nodes, &self.shapes, &mut books);
        found.or_else(|short| self.find_nodes_by_moving(ask, short))
    }

    /// The next of a bucket that has no claim of its own; those with one were asked before.
    fn next_of(&self, leaf: PoolId, ask: AskId, after: Option<Place>, open: &mut Open) {
        use std::ops::Bound::{Excluded, Unbounded};
        let Some(bucket) = self.lines[leaf.index()].buckets.get(&ask) else { return };
        let from = after.map_or(Unbounded, Excluded);
        let mut rest = bucket.order.range((from, Unbounded));
        if let Some((&place, _)) = rest.find(|(_, entry)| !self.has_claim(entry.unit)) {
            open.insert(place, ask);
        }
    }

    fn offer(&self, turn: &mut Turn, leaf: PoolId, open: &Open) {
        let head = open.first_key_value().map(|(_, &ask)| ask);
        turn.offer(&self.pools.tree, leaf, head, |pool, ask| self.ratio(pool, ask));
    }

    /// B2: usage ÷ entitlement, the largest over the dimensions that are asked for.
    fn ratio(&self, pool: PoolId, ask: AskId) -> Ratio {
        let dims = self.shapes.ask_of(ask).amounts.iter().filter(|&(dim, _)| self.pools.checks(pool, dim));
        let of = |(dim, _): (Dim, Amount)| {
            Ratio::new(self.ledger.usage.exact(pool, dim), i128::from(self.pools.entitled(pool, dim).units()))
        };
        dims.map(of).max().unwrap_or(Ratio::ZERO)
    }

    /// B2: in a Strict pool nobody passes the head; elsewhere others may, until it has waited for the pool's
    /// patience. From then on it holds a claim.
    fn head_is_blocked(
        &mut self,
        case: Case,
        place: Place,
        why_of_head: Why,
        open: &mut Open,
        blocked: &mut Vec<Blocked>,
    ) {
        let Case { leaf, ask, .. } = case;
        let Some(entry) = self.entry(leaf, ask, &place) else { return };
        let settings = self.pools.settings(leaf);
        if settings.strategy == Strategy::Strict {
            stand_behind(leaf, place, open, blocked);
        }
        // What others give back is no use to a head that its own kind keeps out of the reservation.
        if self.now.since(entry.since) >= settings.patience && self.reservation_allows(leaf, ask) {
            self.claim_for_head(case, entry.unit, why_of_head);
        }
    }

    /// The place of the head of a pool, where it has a claim from patience.
    fn head_with_claim(&self, leaf: PoolId) -> Option<Place> {
        let mut patient = self.claims.iter().filter(|claim| claim.victims.is_empty());
        patient.find_map(|claim| self.stands(claim.unit).filter(|&(at, _, _)| at == leaf)).map(|(_, _, place)| place)
    }

    pub(crate) fn entry(&self, leaf: PoolId, ask: AskId, place: &Place) -> Option<Entry> {
        self.lines[leaf.index()].buckets.get(&ask)?.order.get(place).copied()
    }

    /// Admits the unit at a place of a bucket.
    fn admit_first(&mut self, case: Case, place: Place, nodes: &[(ShapeId, NodeId)]) {
        let Some(entry) = self.entry(case.leaf, case.ask, &place) else { return };
        let grounds = match place.rank {
            Rank::Replacement => Grounds::Replacement,
            Rank::Ordinary => Grounds::WithinEntitlement,
        };
        self.admit(case, entry.unit, nodes, grounds, None);
    }

    /// Admits a unit: it is usage from now on, on the nodes that were found for it.
    pub(crate) fn admit(
        &mut self,
        case: Case,
        unit: Unit,
        nodes: &[(ShapeId, NodeId)],
        grounds: Grounds,
        would_have: Option<Explanation>,
    ) {
        let decided_on = self.decided_on(case);
        let members: Vec<u32> = self.waiting_members(unit);
        match unit {
            Unit::Pod(pod) => self.unfile_pod(pod),
            Unit::Gang(gang) => {
                self.unfile_gang(gang);
                self.gangs[gang as usize].admitted_whole();
            }
            Unit::Group(gang, first) => self.unfile_group(gang, first),
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
            pool: self.pools.tree.name(case.leaf).to_owned(),
            amounts: self.amounts(case.ask),
            grounds,
            decided_on,
            would_have,
        }));
        if grounds == Grounds::OnLoan {
            self.count_beyond(case.leaf);
        }
    }

    /// Counts anew what every leaf uses beyond its entitlement.
    pub(crate) fn count_all_beyond(&mut self) {
        for leaf in self.pools.tree.iter().filter(|&pool| self.pools.tree.is_leaf(pool)).collect::<Vec<_>>() {
            self.count_beyond(leaf);
        }
    }

    /// Counts anew what a leaf uses beyond its entitlement.
    fn count_beyond(&mut self, leaf: PoolId) {
        for dim in self.dims.iter() {
            let uses = [&self.ledger.usage, &self.ledger.fixed].map(|sums| sums.exact(leaf, dim));
            self.ledger.beyond.count(&self.pools, leaf, dim, uses);
        }
    }

    /// The waiting pods of a unit, in the order of their UIDs.
    pub(crate) fn waiting_members(&self, unit: Unit) -> Vec<u32> {
        let mut members = self.members(unit);
        members.retain(|&pod| self.pods.record(pod).is_some_and(crate::records::PodRecord::waits));
        members.sort_unstable_by_key(|&pod| self.pods.record(pod).map(|record| record.uid));
        members
    }

    pub(crate) fn amounts(&self, ask: AskId) -> Vec<(String, Amount)> {
        let amounts = self.shapes.ask_of(ask).amounts.iter();
        amounts.map(|(dim, amount)| (self.dims.name(dim).to_owned(), amount)).collect()
    }

    fn decided_on(&self, Case { leaf, ask, .. }: Case) -> Vec<DecidedOn> {
        let mut facts = Vec::new();
        for pool in self.pools.tree.path(leaf) {
            for (dim, asked) in self.shapes.ask_of(ask).amounts.iter().filter(|&(dim, _)| self.pools.checks(pool, dim))
            {
                facts.push(DecidedOn {
                    pool: self.pools.named(pool),
                    dim: self.dims.name(dim).to_owned(),
                    entitlement: self.pools.entitled(pool, dim),
                    usage: self.ledger.usage.amount(pool, dim),
                    beyond: amount(self.ledger.beyond.below(&self.pools, pool, dim)),
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

    /// Whether a unit has a claim.
    pub(crate) fn has_claim(&self, unit: Unit) -> bool {
        self.claims.iter().any(|claim: &Claim| claim.unit == unit)
    }
}

/// In a Strict pool nobody passes the head.
fn stand_behind(leaf: PoolId, head: Place, open: &mut Open, blocked: &mut Vec<Blocked>) {
    let why = Why::Behind { pool: leaf, head: head.uid };
    blocked.extend(std::mem::take(open).into_values().map(|ask| Blocked { leaf, ask, why, again: false }));
}
