//! When something is taken back (C1, C5, C6): never without somebody who is entitled to it and fits there.
//!
//! A pool above its entitlement is left alone until eligible demand within somebody else's entitlement waits,
//! is placed by a plan, and that has lasted without a break for the configured time. Whoever the plan serves
//! gets a claim, so nobody is evicted twice for the same demand. Under constant demand evictions stop: a
//! claimant's pool is within its entitlement with it, and only pools above theirs give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::{Dim, PoolId};

use crate::admit::{Candidate, Refused};
use crate::candidates::Victim;
use crate::claims::Claim;
use crate::decision::{self, BudgetFact, Cause, Decision, Eviction, OverBy};
use crate::ledger::amount;
use crate::plan::{Admits, Plan, Served};
use crate::pod::Uid;
use crate::queues::Workload;
use crate::refusal::Refusal;
use crate::settings::{Enforcement, WithinPool};
use crate::state::Queue;

/// What a plan decided, apart from the state that it was tried out on.
struct Outcome {
    victims: Vec<Victim>,
    served: Vec<Served>,
}

impl Outcome {
    fn evicts(&self) -> bool {
        self.served.iter().any(|served| !served.victims.is_empty())
    }

    /// The claimants for whom somebody has to go.
    fn claimants(&self) -> impl Iterator<Item = &Served> {
        self.served.iter().filter(|served| !served.victims.is_empty())
    }
}

impl Queue {
    /// Makes and carries out a plan where it is time, and returns the dimensions in which one is being made.
    pub(crate) fn reclaim(&mut self, refused: &[Refused]) -> Vec<Dim> {
        let claimants = self.claimants(refused);
        let patient = self.suspend(&claimants);
        let wanted = self.reclaim_for(&claimants);
        for claim in patient {
            // A claim from patience ends where a plan takes over.
            if !self.has_claim(claim.workload) {
                self.hold_again(claim);
            }
        }
        wanted
    }

    /// Claims from patience hold back others, not the plan that is made for those who have them.
    fn suspend(&mut self, claimants: &[Candidate]) -> Vec<Claim> {
        let claims = std::mem::take(&mut self.claims);
        let requests = |claim: &Claim| {
            let stands = self.stands(claim.workload).filter(|_| claim.victims.is_empty());
            stands.is_some_and(|(leaf, request, _)| {
                claimants.iter().any(|candidate| (candidate.leaf, candidate.request) == (leaf, request))
            })
        };
        let (patient, others) = claims.into_iter().partition(requests);
        self.claims = others;
        let patient: Vec<Claim> = patient;
        patient.iter().for_each(|claim| self.unhold(claim));
        patient
    }

    fn reclaim_for(&mut self, claimants: &[Candidate]) -> Vec<Dim> {
        let first = self.plan(claimants, &|_, _| true);
        let wanted = self.asked_by(first.claimants());
        if self.config.enforcement == Enforcement::Off {
            // Every claimant passes in this step, so each is told of once, without a clock.
            self.carry_out(&first);
            return Vec::new();
        }
        self.keep_clocks(&wanted, first.claimants().map(|served| served.candidate.leaf).collect());
        if !first.evicts() || self.now < self.config.evictions_from {
            return wanted;
        }
        let ripe: BTreeSet<(PoolId, Dim)> = self.ripe();
        let lower =
            |candidate: &Candidate| self.pools.settings(candidate.leaf).within_pool == WithinPool::LowerPriority;
        if ripe.is_empty() && !claimants.iter().any(lower) {
            return wanted;
        }
        let due = |pool: PoolId, dim: Dim| ripe.contains(&(pool, dim));
        let outcome = self.plan(claimants, &due);
        self.carry_out(&outcome);
        let served: Vec<Workload> = outcome.served.iter().map(|served| served.workload).collect();
        self.asked_by(first.claimants().filter(|one| !served.contains(&one.workload)))
    }

    /// Whoever is within the entitlement of their pool and waits for room, for quota that others of the same
    /// ancestor are not entitled to, or for the place of lower priorities in a pool that allows it.
    fn claimants(&self, refused: &[Refused]) -> Vec<Candidate> {
        let mut claimants = Vec::new();
        for &Refused { leaf, request, refusal, again: _ } in refused {
            let within = self.pools.settings(leaf).within_pool == WithinPool::LowerPriority;
            let waits = match refusal {
                Refusal::Placement(_) => true,
                Refusal::Quota { pool, .. } => pool != leaf || within,
                _ => false,
            };
            if waits && self.reservation_allows(leaf, request) {
                claimants.push(Candidate { leaf, request, priority: None });
            }
        }
        claimants
    }

    fn plan(&mut self, claimants: &[Candidate], ripe: &dyn Fn(PoolId, Dim) -> bool) -> Outcome {
        let leaves = self.givers(claimants);
        if leaves.is_empty() {
            return Outcome { victims: Vec::new(), served: Vec::new() };
        }
        let mut admits = Admits::new();
        for candidate in claimants {
            for &(id, _) in &self.shapes.request_of(candidate.request).members {
                let shape = self.shapes.shape_of(id);
                let nodes = &self.nodes;
                admits.entry(id).or_insert_with(|| self.fit_index.admits(id, shape, nodes).to_vec());
            }
        }
        let victims = self.victims_in(leaves.into_iter());
        let mut plan = Plan::new(self, victims, &admits, ripe);
        for &candidate in claimants {
            plan.serve(candidate);
        }
        let Plan { victims, served, .. } = plan;
        Outcome { victims, served }
    }

    /// The leaves from which something might be taken for these claimants.
    fn givers(&self, claimants: &[Candidate]) -> BTreeSet<PoolId> {
        let mut dims: BTreeSet<Dim> = BTreeSet::new();
        let mut leaves: BTreeSet<PoolId> = BTreeSet::new();
        for candidate in claimants {
            dims.extend(self.shapes.request_of(candidate.request).amounts.iter().map(|(dim, _)| dim));
            let within = self.pools.settings(candidate.leaf).within_pool == WithinPool::LowerPriority;
            leaves.extend(within.then_some(candidate.leaf));
        }
        let over = |pool: &PoolId| dims.iter().any(|&dim| self.over(*pool, dim) > 0);
        leaves.extend(self.pools.tree.iter().filter(|&pool| self.pools.tree.is_leaf(pool)).filter(over));
        leaves
    }

    fn asked_by<'a>(&self, served: impl Iterator<Item = &'a Served>) -> Vec<Dim> {
        let requests = served.flat_map(|served| self.shapes.request_of(served.candidate.request).amounts.iter());
        requests.map(|(dim, _)| dim).collect::<BTreeSet<Dim>>().into_iter().collect()
    }

    /// Starts the clock of every pool that is above its entitlement in a wanted dimension, keeps those that
    /// run, and stops the others: the time has to pass without a break.
    fn keep_clocks(&mut self, wanted: &[Dim], claimants: BTreeSet<PoolId>) {
        let mut running = BTreeMap::new();
        for pool in self.pools.tree.iter().filter(|&pool| pool != PoolId::ROOT) {
            for &dim in wanted.iter().filter(|&&dim| !claimants.is_empty() && self.over(pool, dim) > 0) {
                let key = (self.pools.tree.name(pool).to_owned(), dim);
                let since = self.over_since.get(&key).copied().unwrap_or(self.now);
                running.insert(key, since);
            }
        }
        let before = std::mem::replace(&mut self.over_since, running);
        let said = |pool: &str, dim: Dim, since| Decision::Over {
            pool: pool.to_owned(),
            dim: self.dims.name(dim).to_owned(),
            since,
        };
        let ended = before.keys().filter(|key| !self.over_since.contains_key(*key));
        let mut news: Vec<Decision> = ended.map(|(pool, dim)| said(pool, *dim, None)).collect();
        let begun = self.over_since.iter().filter(|(key, _)| !before.contains_key(*key));
        news.extend(begun.map(|((pool, dim), since)| said(pool, *dim, Some(*since))));
        self.pending.extend(news);
    }

    /// The pools and dimensions that have been above their entitlement for long enough.
    fn ripe(&self) -> BTreeSet<(PoolId, Dim)> {
        let due = self.over_since.iter().filter(|(_, since)| self.now.since(**since) >= self.config.hysteresis);
        due.filter_map(|((pool, dim), _)| Some((self.pools.tree.find(pool)?, *dim))).collect()
    }

    fn carry_out(&mut self, outcome: &Outcome) {
        for served in outcome.claimants() {
            let facts = self.over_facts(served, &outcome.victims);
            let uids = self.waiting_members(served.workload);
            let uids =
                uids.into_iter().filter_map(|pod| self.pods.record(pod)).map(|record| (record.uid, record.shape));
            let mut nodes = served.nodes.clone();
            let mut claimant = Vec::new();
            for (uid, shape) in uids {
                if let Some(at) = nodes.iter().position(|&(known, _)| known == shape) {
                    claimant.push((uid, Arc::clone(&self.nodes.host(nodes.swap_remove(at).1).name)));
                }
            }
            let pool = self.pools.tree.name(served.candidate.leaf).to_owned();
            let own = served.victims.iter().all(|&at| outcome.victims[at].leaf == served.candidate.leaf);
            let cause = match own {
                true => Cause::WithinPool { claimant, pool },
                false => Cause::Reclaim { claimant, pool, over: facts },
            };
            let going: Vec<&Victim> = served.victims.iter().map(|&at| &outcome.victims[at]).collect();
            let victims = self.evict(cause, &going);
            if self.config.enforcement == Enforcement::Off {
                continue;
            }
            let mut claim = Claim::new(served.workload, served.candidate.request, self.round);
            (claim.nodes, claim.victims) = (served.nodes.clone(), victims);
            claim.victim_groups = self.victim_groups_of_plan(served, &outcome.victims);
            self.hold(claim);
        }
    }

    /// Who goes for a claimant, by what goes as a whole.
    fn victim_groups_of_plan(&self, served: &Served, victims: &[Victim]) -> Vec<Vec<Uid>> {
        let along: BTreeSet<usize> = served.victims.iter().flat_map(|&at| &victims[at].along).copied().collect();
        let first = served.victims.iter().filter(|at| !along.contains(at));
        let group = |&at: &usize| {
            let with = victims[at].along.iter().filter(|other| served.victims.contains(other)).copied();
            let pods = with.chain([at]).flat_map(|at| &victims[at].pods);
            pods.filter_map(|&pod| self.pods.record(pod)).map(|record| record.uid).collect()
        };
        first.map(group).collect()
    }

    fn over_facts(&self, served: &Served, victims: &[Victim]) -> Vec<OverBy> {
        let asked = &self.shapes.request_of(served.candidate.request).amounts;
        let leaves: BTreeSet<PoolId> = served.victims.iter().map(|&at| victims[at].leaf).collect();
        let mut facts = Vec::new();
        for leaf in leaves {
            for (dim, _) in asked.iter().filter(|&(dim, _)| self.over(leaf, dim) > 0) {
                facts.push(OverBy {
                    pool: self.pools.named(leaf),
                    dim: self.dims.name(dim).to_owned(),
                    usage: amount(self.staying(leaf, dim)),
                    entitlement: self.pools.entitled(leaf, dim),
                });
            }
        }
        facts
    }

    /// Decides that these workloads go, and says so.
    pub(crate) fn evict(&mut self, cause: Cause, going: &[&Victim]) -> Vec<Uid> {
        let mut taken: BTreeMap<usize, u32> = BTreeMap::new();
        let mut victims = Vec::new();
        let left = self.budgets_left();
        for victim in going {
            victim.budgets.iter().for_each(|&(budget, count)| *taken.entry(budget).or_default() += count);
            for (&pod, &(_, node)) in victim.pods.iter().zip(&victim.nodes) {
                let Some(record) = self.pods.record(pod) else { continue };
                victims.push(decision::Victim {
                    uid: record.uid,
                    pool: record.pool.as_ref().to_owned(),
                    node: Some(Arc::clone(&self.nodes.host(node).name)),
                    notice: self.pools.settings(victim.leaf).notice,
                });
            }
        }
        let fact = |(budget, taken): (usize, u32)| BudgetFact {
            budget: self.budgets[budget].name.clone(),
            allowed: left[budget],
            taken,
        };
        let budgets = taken.into_iter().map(fact).collect();
        let uids: Vec<Uid> = victims.iter().map(|victim| victim.uid).collect();
        let eviction = Eviction { cause, victims, budgets };
        if self.config.enforcement == Enforcement::Off {
            self.would_evict(eviction);
            return uids;
        }
        for victim in going {
            victim.pods.iter().for_each(|&pod| self.mark_evicting(pod));
            match victim.gang {
                Some(gang) => self.gang_goes(gang),
                // A pod alone stands nowhere any more, a member's gang may stand elsewhere now.
                None => victim.pods.iter().take(1).for_each(|&pod| self.enqueue(pod)),
            }
        }
        self.pending.push(Decision::Evict(eviction));
        uids
    }

    /// All of a gang goes.
    pub(crate) fn gang_goes(&mut self, gang: u32) {
        self.dequeue_gang(gang);
        self.gangs[gang as usize].evicting = true;
        self.gangs_to_requeue.insert(gang);
    }
}
