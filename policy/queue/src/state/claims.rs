//! What is kept for workloads that wait, so that what is freed reaches them (B2, C5).
//!
//! A claim comes from **patience** (the head of a queue let others pass for long enough) or from a **plan**
//! (pods are being evicted to make room). It keeps quota in its pool and the pool's ancestors, and room on nodes
//! where room is what is missing. A plan's claim keeps all that its pods need there; one from patience begins with
//! nothing and grows with what is freed on its nodes. When claims are made, served and dropped is in `round::claims`.

use std::collections::BTreeMap;

use weir_model::{Amount, Dim, PoolId, ResourceVec};

use super::fit::Placement;
use super::ids::{NodeId, RequestId};
use super::queues::Workload;
use super::row::Row;
use super::shapes::Shapes;
use crate::contract::pod::Uid;

/// Where a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The claimant let others pass for its pool's patience.
    Patience,
    /// Pods are being evicted for the claimant.
    Plan,
}

/// What is kept for one workload.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) workload: Workload,
    pub(crate) source: Source,
    /// The pods of the workload when the claim was made: its name in the record, whatever becomes of them.
    pub(crate) claimant: Vec<Uid>,
    pub(crate) request: RequestId,
    /// The round that decided the claim.
    pub(crate) round: u64,
    /// Where room is kept, one node for each pod; empty for a claim on quota alone.
    pub(crate) nodes: Placement,
    /// What a claim from patience keeps on these nodes so far: what was freed there since, and never more than its
    /// pods need.
    pub(crate) held: BTreeMap<NodeId, Row>,
    /// What the claimant's pool was entitled to when the nodes were chosen, of what is asked for.
    pub(crate) entitled: Vec<Amount>,
    /// The pods that make room; empty for a claim from patience.
    pub(crate) victims: Vec<Uid>,
    /// The same by what goes as a whole: a pod, a worker with all its hosts, a gang with what it has beyond its
    /// needs.
    pub(crate) victim_groups: Vec<Vec<Uid>>,
    /// The quota that is kept, by pool.
    pub(crate) claimed: Vec<(PoolId, ResourceVec)>,
}

impl Claim {
    /// A claim that keeps nothing yet.
    pub(crate) const fn new(source: Source, workload: Workload, request: RequestId, round: u64) -> Self {
        Self {
            workload,
            source,
            claimant: Vec::new(),
            request,
            round,
            nodes: Vec::new(),
            held: BTreeMap::new(),
            entitled: Vec::new(),
            victims: Vec::new(),
            victim_groups: Vec::new(),
            claimed: Vec::new(),
        }
    }

    /// Whether the claim came from patience: no pod is evicted for it.
    pub(crate) fn is_patient(&self) -> bool {
        self.source == Source::Patience
    }

    /// What the claimant's pods need on each of the nodes.
    pub(crate) fn needs(&self, shapes: &Shapes) -> BTreeMap<NodeId, Row> {
        let mut needs = BTreeMap::<NodeId, Row>::new();
        for &(shape, node) in &self.nodes {
            needs.entry(node).or_default().change(&shapes.shape_of(shape).needs, 1);
        }
        needs
    }

    /// What a claim from patience still waits for on each of its nodes.
    pub(crate) fn lacks(&self, shapes: &Shapes) -> BTreeMap<NodeId, Row> {
        let mut lacks = self.needs(shapes);
        for (node, held) in &self.held {
            lacks.entry(*node).or_default().take(held);
        }
        lacks
    }

    /// What the claim keeps in a pool.
    pub(crate) fn claimed_in(&self, pool: PoolId, dim: Dim) -> i128 {
        let here = self.claimed.iter().filter(|(at, _)| *at == pool);
        here.map(|(_, amounts)| i128::from(amounts.amount(dim).units())).sum()
    }
}

/// All claims, in the order in which they are served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Vec<Claim>);

impl Claims {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.0.iter()
    }

    pub(crate) fn push(&mut self, claim: Claim) {
        self.0.push(claim);
    }

    /// Takes all claims out.
    pub(crate) fn take(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.0)
    }

    /// Takes the claims out of which this is true; the others stay in their order.
    pub(crate) fn take_where(&mut self, mut is: impl FnMut(&Claim) -> bool) -> Vec<Claim> {
        self.0.extract_if(.., |claim| is(claim)).collect()
    }

    /// Takes the first claim out for which this pod makes room.
    pub(crate) fn take_of_victim(&mut self, victim: Uid) -> Option<Claim> {
        let at = self.0.iter().position(|claim| claim.victims.contains(&victim))?;
        Some(self.0.remove(at))
    }

    /// Whether a workload has a claim.
    pub(crate) fn has(&self, workload: Workload) -> bool {
        self.of(workload).is_some()
    }

    /// The claim of a workload.
    pub(crate) fn of(&self, workload: Workload) -> Option<&Claim> {
        self.0.iter().find(|claim| claim.workload == workload)
    }

    /// The claim of a workload for which pods are being evicted.
    pub(crate) fn with_victims_for(&self, workload: Workload) -> Option<&Claim> {
        self.0.iter().find(|claim| claim.workload == workload && !claim.is_patient())
    }
}
