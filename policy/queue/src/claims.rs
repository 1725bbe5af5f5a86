//! Claims: what is kept for somebody who waits, so that what is freed reaches them (B2, C5).
//!
//! A claim comes from **patience** (the head of a queue let others pass for long enough) or from a **plan**
//! (pods are being evicted to make room). It holds quota in its pool and its ancestors, and room on nodes
//! where room is what is missing. Every other check sees both as taken. At an ancestor a claim never holds
//! more than its own pool is entitled to still use: it is there to keep what is freed, not to take from
//! siblings what is theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{Dim, PoolId, ResourceVec};

use crate::admit::{Candidate, Refused};
use crate::decision::{Claimed, Decision, Released};
use crate::event::RecordedClaim;
use crate::gangs::queue_key;
use crate::nodes::{Holder, NodeContext, NodeId};
use crate::pod::{Grounds, Uid};
use crate::queues::{QueueKey, Rank, Workload};
use crate::refusal::Refusal;
use crate::shapes::{RequestId, ShapeId};
use crate::state::Queue;

/// Something that is kept for somebody.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) workload: Workload,
    /// The pods of the workload when the claim was made: its name in the record, whatever becomes of them.
    claimant: Vec<Uid>,
    pub(crate) request: RequestId,
    /// The round that decided it.
    pub(crate) round: u64,
    /// The room that is kept, one node for each pod; empty for a claim on quota alone.
    pub(crate) nodes: Vec<(ShapeId, NodeId)>,
    /// Who makes room; empty for a claim from patience.
    pub(crate) victims: Vec<Uid>,
    /// The same, by what goes as a whole: a pod, a worker with all its hosts, a gang with what it has beyond its
    /// needs.
    pub(crate) victim_groups: Vec<Vec<Uid>>,
    /// What it holds in which pool.
    claimed: Vec<(PoolId, ResourceVec)>,
}

impl Claim {
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
}

impl Claim {
    /// What it holds in a pool.
    pub(crate) fn claimed_in(&self, pool: PoolId, dim: Dim) -> i128 {
        let here = self.claimed.iter().filter(|(at, _)| *at == pool);
        here.map(|(_, amounts)| i128::from(amounts.amount(dim).units())).sum()
    }
}

impl Queue {
    /// Admits whoever has a claim and now fits, ahead of everybody; drops claims that nobody needs any more.
    pub(crate) fn serve_claims(&mut self) -> Vec<Refused> {
        let mut refused = Vec::new();
        for claim in std::mem::take(&mut self.claims) {
            self.unhold(&claim);
            let standing = self.stands(claim.workload).filter(|&(leaf, request, _)| {
                let verdicts = &self.eligible.alone[leaf.index()];
                self.is_claimant(&claim)
                    && request == claim.request
                    && verdicts.iter().any(|&(known, verdict)| known == request && verdict.is_ok())
            });
            let Some((leaf, request, key)) = standing else {
                self.drop_idle(claim);
                continue;
            };
            let candidate = Candidate { leaf, request, priority: None };
            match self.may_go_on(candidate, &claim) {
                Ok(nodes) => {
                    let replaces = key.rank == Rank::Replacement;
                    let grounds = if replaces { Grounds::Replacement } else { Grounds::WithinEntitlement };
                    self.admit(candidate, claim.workload, &nodes, grounds, None);
                    // It went without some of those who were to make room; they need not go any more, unless
                    // they are the rest of something.
                    self.drop_idle(claim);
                }
                Err(refusal) if self.still_helps(&claim, refusal) => {
                    refused.push(Refused { leaf, request, refusal, again: false });
                    self.hold_again(claim);
                }
                Err(_) => self.drop_idle(claim),
            }
        }
        refused
    }

    /// Whether a claim is still that of the pod it was made for: numbers of pods are used again.
    fn is_claimant(&self, claim: &Claim) -> bool {
        match claim.workload {
            Workload::Pod(pod) | Workload::Group(_, pod) => {
                self.pods.record(pod).is_some_and(|record| claim.claimant.contains(&record.uid))
            }
            Workload::Gang(_) => true,
        }
    }

    /// Whether the claimant may go, on the nodes that were kept or on others.
    fn may_go_on(&mut self, candidate: Candidate, claim: &Claim) -> Result<Vec<(ShapeId, NodeId)>, Refusal> {
        let anywhere = self.may_go(candidate)?;
        let kept = !claim.nodes.is_empty() && self.all_fit(&claim.nodes);
        Ok(if kept { claim.nodes.clone() } else { anywhere })
    }

    /// Whether all these pods fit on these nodes together.
    fn all_fit(&mut self, nodes: &[(ShapeId, NodeId)]) -> bool {
        let mut taken = Vec::with_capacity(nodes.len());
        let mut fit = true;
        for &(id, node) in nodes {
            let shape = self.shapes.shape_of(id);
            fit &= self.nodes.admits(node, shape) && self.nodes.slots(node, shape) > 0;
            if !fit {
                break;
            }
            self.put(id, node, 1);
            taken.push((id, node));
        }
        taken.into_iter().for_each(|(id, node)| self.put(id, node, -1));
        fit
    }

    /// A claim goes on while its victims are going, or, if it has none, while room or quota is short.
    fn still_helps(&self, claim: &Claim, refusal: Refusal) -> bool {
        let usable = claim.nodes.iter().all(|&(_, node)| self.nodes.usable(node));
        let short = matches!(
            refusal,
            Refusal::Quota { .. } | Refusal::Entitlement { .. } | Refusal::Reserved { .. } | Refusal::Placement(_)
        );
        let reserved =
            self.stands(claim.workload).is_some_and(|(leaf, request, _)| self.reservation_allows(leaf, request));
        usable && short && reserved && (claim.victims.is_empty() || self.to_go(claim) > 0)
    }

    /// How many victims of a claim are still there.
    pub(crate) fn to_go(&self, claim: &Claim) -> u32 {
        claim.victims.iter().filter(|&&uid| self.pods.find(uid).is_some()).count() as u32
    }

    /// B2: the head of a queue has waited long enough; from now on what is freed is kept for it.
    pub(crate) fn claim_for_head(&mut self, candidate: Candidate, workload: Workload, refusal: Refusal) {
        self.verdicts.invalidate();
        let claims = std::mem::take(&mut self.claims);
        let in_pool = |claim: &Claim| {
            claim.victims.is_empty() && self.stands(claim.workload).is_none_or(|(leaf, _, _)| leaf == candidate.leaf)
        };
        // One claim per pool: another head has come.
        let (before, others) = claims.into_iter().partition(in_pool);
        self.claims = others;
        let before: Vec<Claim> = before;
        before.into_iter().for_each(|claim| {
            self.unhold(&claim);
            self.drop_idle(claim);
        });
        let mut claim = Claim::new(workload, candidate.request, self.round);
        if matches!(refusal, Refusal::Placement(_)) {
            claim.nodes = self.nodes_to_wait_for(candidate.request);
        }
        self.hold(claim);
    }

    /// The nodes where room for a request is nearest: what is free now, then the nodes with the most free.
    fn nodes_to_wait_for(&mut self, request: RequestId) -> Vec<(ShapeId, NodeId)> {
        let mut nodes = Vec::new();
        for (id, count) in self.shapes.request_of(request).members.clone() {
            let shape = self.shapes.shape_of(id);
            let slots = self.fit_index.slots(id, shape, &self.nodes).to_vec();
            let admits = self.fit_index.admits(id, shape, &self.nodes);
            let mut open: Vec<(i64, &str, NodeId)> = Vec::new();
            for node in self.nodes.iter().filter(|node| admits[node.index()] > 0) {
                let host = self.nodes.host(node);
                open.push((-host.free.at(shape.main), &host.name, node));
            }
            open.sort_unstable();
            let now = open.iter().flat_map(|&(_, _, node)| (0..slots[node.index()]).map(move |_| node));
            let most = |node: NodeId| self.nodes.slots_when_empty(node, shape).saturating_sub(slots[node.index()]);
            let later = open.iter().flat_map(|&(_, _, node)| (0..most(node)).map(move |_| node));
            nodes.extend(now.chain(later).take(count as usize).map(|node| (id, node)));
        }
        nodes
    }

    /// Records a claim and says so.
    pub(crate) fn hold(&mut self, mut claim: Claim) {
        let Some((leaf, _, _)) = self.stands(claim.workload) else { return };
        claim.claimant = self.uids(claim.workload);
        self.pending.push(Decision::Claim(Claimed {
            claimant: claim.claimant.clone(),
            pool: self.pools.tree.name(leaf).to_owned(),
            amounts: self.amounts(claim.request),
            nodes: claim.nodes.iter().map(|&(_, node)| Arc::clone(&self.nodes.host(node).name)).collect(),
            victims: claim.victims.clone(),
        }));
        self.hold_again(claim);
    }

    /// Takes quota and room for a claim; one whose claimant is gone is dropped.
    pub(crate) fn hold_again(&mut self, mut claim: Claim) {
        let Some((leaf, _, _)) = self.stands(claim.workload) else { return self.drop_idle(claim) };
        let asked = &self.shapes.request_of(claim.request).amounts;
        let due: ResourceVec = asked.iter().map(|(dim, asked)| (dim, asked.min(self.unused(leaf, dim)))).collect();
        let above = |pool| if pool == leaf { asked.clone() } else { due.clone() };
        claim.claimed = self.pools.tree.path(leaf).map(|pool| (pool, above(pool))).collect();
        for (pool, amounts) in &claim.claimed {
            for (dim, amount) in amounts.iter() {
                *self.ledger.claimed.cell(*pool, dim) += i128::from(amount.units());
            }
        }
        claim.nodes.iter().for_each(|&(shape, node)| self.put(shape, node, 1));
        self.claims.push(claim);
    }

    /// Gives back the quota and the room that a claim holds.
    pub(crate) fn unhold(&mut self, claim: &Claim) {
        for (pool, amounts) in &claim.claimed {
            for (dim, amount) in amounts.iter() {
                *self.ledger.claimed.cell(*pool, dim) -= i128::from(amount.units());
            }
        }
        claim.nodes.iter().for_each(|&(shape, node)| self.put(shape, node, -1));
    }

    fn put(&mut self, shape: ShapeId, node: NodeId, times: i64) {
        let mut context = NodeContext { hosts: &*self.hosts, dims: &mut self.dims };
        let shape = self.shapes.shape_of(shape);
        match times > 0 {
            true => self.nodes.take(node, shape, Holder::Claim, &self.shapes, &mut context),
            false => self.nodes.release(node, shape, Holder::Claim, &self.shapes, &mut context),
        }
    }

    /// Drops a claim that still holds something, and with it all evictions that were not carried out.
    pub(crate) fn drop_claim(&mut self, claim: Claim) {
        self.unhold(&claim);
        self.release(claim, Begun::Stays);
    }

    /// Drops a claim that holds nothing any more: victims that are not going yet may stay. Half a gang is of no
    /// use to anybody, so where some of one are gone the rest follows.
    fn drop_idle(&mut self, claim: Claim) {
        self.release(claim, Begun::Follows);
    }

    fn release(&mut self, claim: Claim, begun: Begun) {
        let running = |uid: &Uid| self.pods.record(self.pods.find(*uid)?)?.running();
        let whole = |group: &&Vec<Uid>| group.iter().all(|uid| running(uid).is_some_and(|running| !running.deleting));
        let stay = claim.victim_groups.iter().filter(|group| begun == Begun::Stays || whole(group)).flatten();
        let going = |uid: &&Uid| running(uid).is_some_and(|running| running.evicting && !running.deleting);
        let spared: Vec<Uid> = stay.filter(going).copied().collect();
        let pods: Vec<u32> = spared.iter().filter_map(|&uid| self.pods.find(uid)).collect();
        pods.into_iter().for_each(|pod| self.unmark(pod));
        self.pending.push(Decision::Release(Released { claimant: claim.claimant, spared }));
    }

    /// C3: a refused eviction ends the plan; its other victims stay, and gang members that are gone already
    /// may rejoin their gang one by one.
    pub(crate) fn eviction_refused(&mut self, uid: Uid) {
        let until = self.now.after(self.config.eviction_retry);
        if let Some(pod) = self.pods.find(uid) {
            self.unmark(pod);
            if let Some(running) = self.pods.record_mut(pod).and_then(|record| record.running_mut()) {
                running.spared_until = until;
            }
        }
        match self.claims.iter().position(|claim| claim.victims.contains(&uid)) {
            Some(at) => {
                let claim = self.claims.remove(at);
                self.drop_claim(claim);
            }
            None => self.unmark_gang_of(uid),
        }
    }

    /// Without a claimant, in a pool that drains, the rest of a gang stays with the member that has to.
    fn unmark_gang_of(&mut self, uid: Uid) {
        let Some(gang) = self.pods.find(uid).and_then(|pod| self.gang_of(Workload::Pod(pod))) else { return };
        let going = |pod: &u32| {
            let running = self.pods.record(*pod).and_then(|record| record.running());
            running.is_some_and(|running| running.evicting && !running.deleting)
        };
        let pods: Vec<u32> = self.gangs[gang as usize].members.iter().copied().filter(going).collect();
        let spared: Vec<Uid> = pods.iter().filter_map(|&pod| self.pods.record(pod)).map(|record| record.uid).collect();
        pods.into_iter().for_each(|pod| self.unmark(pod));
        if !spared.is_empty() {
            self.pending.push(Decision::Release(Released { claimant: Vec::new(), spared }));
        }
    }

    /// Marks a pod as being evicted.
    pub(crate) fn mark_evicting(&mut self, pod: u32) {
        self.set_evicting(pod, Mark::Evicting);
    }

    fn unmark(&mut self, pod: u32) {
        self.set_evicting(pod, Mark::Staying);
        if let Some(gang) = self.gang_of(Workload::Pod(pod)) {
            self.dequeue(pod);
            self.gangs[gang as usize].evicting = false;
            self.enqueue(pod);
        }
    }

    fn set_evicting(&mut self, pod: u32, state: Mark) {
        self.withdraw(pod);
        if let Some(running) = self.pods.record_mut(pod).and_then(|record| record.running_mut()) {
            running.evicting = state == Mark::Evicting;
        }
        self.enter(pod);
    }

    /// Takes over a claim that an earlier leader recorded.
    pub(crate) fn restore_claim(&mut self, recorded: &RecordedClaim) {
        let first = recorded.claimant.iter().find_map(|&uid| self.pods.find(uid));
        let Some(record) = first.and_then(|pod| self.pods.record(pod)) else { return };
        let workload = match (first, record.rank) {
            (Some(first), Rank::Ordinary) => self.workload_of(first),
            _ => first.map_or(Workload::Pod(u32::MAX), Workload::Pod),
        };
        let Some((_, request, _)) = self.stands(workload) else { return };
        let mut claim = Claim::new(workload, request, 0);
        let mut names = recorded.nodes.iter();
        for &(shape, count) in &self.shapes.request_of(request).members {
            let here = names.by_ref().take(count as usize);
            claim.nodes.extend(here.map(|name| (shape, self.nodes.named(name))));
        }
        (claim.claimant, claim.victims) = (recorded.claimant.clone(), recorded.victims.clone());
        claim.victim_groups = self.victim_groups_of(&claim.victims);
        self.hold_again(claim);
    }

    /// What of these goes as a whole, as far as that can be told of those who are gone: of each gang all of them.
    fn victim_groups_of(&self, victims: &[Uid]) -> Vec<Vec<Uid>> {
        let known = |uid: Uid| self.pods.find(uid).and_then(|pod| self.pods.record(pod));
        let gone: Vec<Uid> = victims.iter().copied().filter(|&uid| known(uid).is_none()).collect();
        let (mut victim_groups, mut gangs) = (Vec::new(), BTreeMap::<u32, Vec<Uid>>::new());
        for record in victims.iter().filter_map(|&uid| known(uid)) {
            match record.gang {
                Some((gang, _)) => gangs.entry(gang).or_insert_with(|| gone.clone()).push(record.uid),
                None => victim_groups.push(vec![record.uid]),
            }
        }
        victim_groups.extend(gangs.into_values());
        victim_groups
    }

    /// The leaf, the bucket and the place of a workload that stands in a queue.
    pub(crate) fn stands(&self, workload: Workload) -> Option<(PoolId, RequestId, QueueKey)> {
        match workload {
            Workload::Pod(pod) => {
                let record = self.pods.record(pod).filter(|record| record.waits())?;
                Some((self.leaf_of(record)?, record.request?, queue_key(record)))
            }
            Workload::Gang(gang) => {
                let (pool, request, key) = self.gangs[gang as usize].queue_position()?;
                Some((self.leaf_named(pool)?, *request, *key))
            }
            Workload::Group(gang, first) => {
                let (pool, request, key) = self.gangs[gang as usize].group_position(first)?;
                Some((self.leaf_named(pool)?, *request, *key))
            }
        }
    }

    /// The gang that a workload is, or is a part of.
    pub(crate) fn gang_of(&self, workload: Workload) -> Option<u32> {
        match workload {
            Workload::Pod(pod) => self.pods.record(pod)?.gang.map(|(gang, _)| gang),
            Workload::Gang(gang) | Workload::Group(gang, _) => Some(gang),
        }
    }

    /// The UIDs of the waiting pods of a workload.
    pub(crate) fn uids(&self, workload: Workload) -> Vec<Uid> {
        let members = self.waiting_members(workload);
        members.into_iter().filter_map(|pod| self.pods.record(pod)).map(|record| record.uid).collect()
    }
}

/// What becomes of the rest of something of which some are gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Follows,
    Stays,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Evicting,
    Staying,
}
