//! What is kept for workloads that wait, so that what is freed reaches them (B2, C5).
//!
//! A claim comes from **patience** (the head of a queue let others pass for long enough) or from a **plan**
//! (pods are being evicted to make room). It keeps quota in its pool and the pool's ancestors, and room on nodes
//! where room is what is missing. When claims are made, served and dropped is in `round::claims`.

use weir_model::{Dim, PoolId, ResourceVec};

use super::fit::Placement;
use super::ids::RequestId;
use super::queues::Workload;
use crate::contract::pod::Uid;

/// What is kept for one workload.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) workload: Workload,
    /// The pods of the workload when the claim was made: its name in the record, whatever becomes of them.
    pub(crate) claimant: Vec<Uid>,
    pub(crate) request: RequestId,
    /// The round that decided the claim.
    pub(crate) round: u64,
    /// The room that is kept, one node for each pod; empty for a claim on quota alone.
    pub(crate) nodes: Placement,
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
    pub(crate) const fn new(workload: Workload, request: RequestId, round: u64) -> Self {
        Self {
            workload,
            claimant: Vec::new(),
            request,
            round,
            nodes: Vec::new(),
            victims: Vec::new(),
            victim_groups: Vec::new(),
            claimed: Vec::new(),
        }
    }

    /// Whether the claim came from patience: no pod is evicted for it.
    pub(crate) const fn is_patient(&self) -> bool {
        self.victims.is_empty()
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
