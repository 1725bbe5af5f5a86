//! Who may be taken, and in which order (C1, C2).
//!
//! A workload is a pod or a whole gang; of a gang with parts, what it does not need goes by itself and goes first,
//! and the rest takes along what of that is left. It may be taken only if all of it is preemptible, none of it is going
//! already, on an excluded node, younger than its pool's minimum run time or under a budget that does not
//! allow it, and only while every pool between it and the claimant's common ancestor is above its
//! entitlement in a dimension that both ask for. Loans go first, then the lowest priority, then what a gang
//! does not need, then whoever loses the least work.

use std::collections::{BTreeSet, HashMap};

use weir_model::{Dim, PoolId, ResourceVec};

use crate::event::Budget;
use crate::nodes::NodeId;
use crate::pod::{Grounds, Uid};
use crate::queues::Workload;
use crate::shapes::ShapeId;
use crate::state::Queue;

/// Something that may be taken in one piece.
#[derive(Clone, Debug)]
pub(crate) struct Victim {
    pub(crate) pods: Vec<u32>,
    /// The gang that goes with it, whole.
    pub(crate) gang: Option<u32>,
    pub(crate) leaf: PoolId,
    /// The positions of those that go with it among all victims: what its gang has and does not need.
    pub(crate) along: Vec<usize>,
    /// What all of it counts for.
    pub(crate) amounts: ResourceVec,
    /// Where it is.
    pub(crate) nodes: Vec<(ShapeId, NodeId)>,
    /// Which budgets it needs, and how often.
    pub(crate) budgets: Vec<(usize, u32)>,
    pub(crate) loss: Loss,
}

/// What is lost when a workload goes; the smallest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loss {
    /// False for a loan.
    pub(crate) own: bool,
    pub(crate) priority: i32,
    /// False for what a gang has and does not need.
    pub(crate) needed: bool,
    /// Milliseconds of run time × what it holds of its main resource.
    pub(crate) work: i128,
    pub(crate) uid: Uid,
}

impl Queue {
    /// Every workload of these leaves that may be taken at all, cheapest first.
    pub(crate) fn victims_in(&self, leaves: impl Iterator<Item = PoolId>) -> Vec<Victim> {
        let mut victims = Vec::new();
        let mut seen = BTreeSet::new();
        let left = self.budgets_left();
        for leaf in leaves {
            for &pod in &self.leaf_queues[leaf.index()].admitted {
                match self.pods.record(pod).and_then(|record| record.gang) {
                    Some((gang, _)) if seen.insert(gang) => self.victims_of(leaf, gang, &left, &mut victims),
                    Some(_) => {}
                    None => victims.extend(self.victim(leaf, vec![pod], None, &left)),
                }
            }
        }
        victims.sort_unstable_by_key(|victim| victim.loss);
        let of = |victim: &Victim| self.gang_of(Workload::Pod(*victim.pods.first()?));
        let mut extras: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, victim) in victims.iter().enumerate().filter(|(_, victim)| !victim.loss.needed) {
            of(victim).into_iter().for_each(|gang| extras.entry(gang).or_default().push(at));
        }
        for victim in &mut victims {
            victim.along = victim.gang.and_then(|gang| extras.get(&gang).cloned()).unwrap_or_default();
        }
        victims
    }

    /// What of a gang may be taken: what it does not need bit by bit, and all of it if all of it may go.
    fn victims_of(&self, leaf: PoolId, gang: u32, left: &[u32], victims: &mut Vec<Victim>) {
        let (elastic, needed) = self.elastic_and_needed(gang);
        let before = victims.len();
        let count = elastic.len();
        for pods in elastic {
            let victim = self.victim(leaf, pods, None, left);
            victims.extend(victim.map(|victim| Victim { loss: Loss { needed: false, ..victim.loss }, ..victim }));
        }
        if victims.len() - before == count {
            victims.extend(self.victim(leaf, needed, Some(gang), left));
        }
    }

    pub(crate) fn running_members(&self, gang: u32) -> Vec<u32> {
        let running = |pod: &u32| self.pods.record(*pod).is_some_and(|record| !record.waits());
        self.gangs[gang as usize].members.iter().copied().filter(running).collect()
    }

    /// These pods as one victim, if all of them may be taken.
    fn victim(&self, leaf: PoolId, pods: Vec<u32>, gang: Option<u32>, left: &[u32]) -> Option<Victim> {
        let first = self.pods.record(*pods.first()?)?.uid;
        let loss = Loss { own: false, priority: i32::MIN, needed: true, work: 0, uid: first };
        let (amounts, nodes, budgets) = (ResourceVec::new(), Vec::new(), Vec::new());
        let mut victim = Victim { pods, gang, leaf, along: Vec::new(), amounts, nodes, budgets, loss };
        let min_runtime = self.pools.settings(leaf).min_runtime;
        for &pod in &victim.pods {
            let record = self.pods.record(pod)?;
            let running = record.running()?;
            let node = running.node.filter(|&node| self.nodes.usable(node))?;
            let ran = self.now.since(running.started.unwrap_or(running.at));
            let elsewhere = self.leaf_of(record) != Some(leaf);
            if !record.preemptible || running.is_terminating() || ran < min_runtime || elsewhere {
                return None;
            }
            if running.spared_until > self.now {
                return None;
            }
            self.need_budget(record.uid, &mut victim.budgets, left)?;
            victim.amounts.add(&running.counted);
            victim.nodes.push((record.shape, node));
            let weight = i128::from(self.shapes.shape_of(record.shape).weight);
            let Loss { own, priority, needed: _, work, uid } = &mut victim.loss;
            *own |= running.grounds != Grounds::OnLoan;
            *priority = (*priority).max(record.priority);
            *work += i128::try_from(ran.as_millis()).unwrap_or(i128::MAX / 2).saturating_mul(weight);
            *uid = (*uid).min(record.uid);
        }
        Some(victim)
    }

    /// Adds the budget that a pod stands under. Two budgets on one pod make every eviction of it fail.
    fn need_budget(&self, uid: Uid, needed: &mut Vec<(usize, u32)>, left: &[u32]) -> Option<()> {
        match self.budgets_of.get(&uid).map(Vec::as_slice) {
            None | Some([]) => {}
            Some(&[budget]) => match needed.iter_mut().find(|(known, _)| *known == budget) {
                Some((_, count)) => *count += 1,
                None => needed.push((budget, 1)),
            },
            Some(_) => return None,
        }
        fits(needed, left).then_some(())
    }

    /// How many evictions each budget still allows, those left out that were decided and are not done.
    pub(crate) fn budgets_left(&self) -> Vec<u32> {
        let under_way = |uid: &&Uid| {
            let record = self.pods.find(**uid).and_then(|pod| self.pods.record(pod));
            record.and_then(|record| record.running()).is_some_and(|running| running.evicting && !running.deleting)
        };
        let left = |budget: &Budget| {
            let going = budget.pods.iter().filter(under_way).count();
            budget.allowed.saturating_sub(u32::try_from(going).unwrap_or(u32::MAX))
        };
        self.budgets.iter().map(left).collect()
    }

    /// What a pool uses beyond its entitlement once everything that is going is gone.
    pub(crate) fn over(&self, pool: PoolId, dim: Dim) -> i128 {
        self.staying(pool, dim) - i128::from(self.pools.entitled(pool, dim).units())
    }

    /// What a pool uses without what is going.
    pub(crate) fn staying(&self, pool: PoolId, dim: Dim) -> i128 {
        self.ledger.usage.exact(pool, dim) - self.ledger.terminating.exact(pool, dim)
    }
}

/// Whether so many evictions are allowed by every budget.
pub(crate) fn fits(needed: &[(usize, u32)], left: &[u32]) -> bool {
    needed.iter().all(|&(budget, count)| left.get(budget).is_some_and(|&left| count <= left))
}
