//! C5: no pod is evicted for a claimant that then does not fit, nor more pods than the claimant needs.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use weir_api::condition::Spared;
use weir_api::{AdmissionRound, PodInfo, ResourcePool};

use super::ground::Ground;
use crate::admission::Admission;
use crate::eviction::{is_evicted, spared};
use crate::invariant::{Breach, Invariant};

/// C5: what is freed reaches the claimant that it was freed for, and no more pods go for the same demand.
///
/// A plan is not judged where the API server refused one of its evictions (C3), and not where the ground moved under it
/// since: a pool's spec, a node that takes less or takes nothing, an entitlement of the claimant's pool that fell
/// because other pools ask by now; nor where a pod that had been admitted before, and for which the scheduler had found
/// no node yet, took the room that was freed.
#[derive(Clone, Debug, Default)]
pub struct ForSomebody {
    /// By the claimant's first pod, in the order in which they were recorded.
    plans: BTreeMap<String, Vec<Plan>>,
    /// By UID.
    pods: BTreeMap<String, PodOutcome>,
    /// How many pods were admitted to each pool.
    admitted: BTreeMap<String, u64>,
    /// By the claimants' pool, the victims of the record as it was told last.
    standing: BTreeMap<String, BTreeSet<String>>,
    ground: Ground,
}

/// A claim whose victims have to go.
#[derive(Clone, Debug)]
struct Plan {
    /// The claimant's pool.
    pool: String,
    victims: BTreeSet<String>,
    /// Those of them that went for no claimant of the pool before. Claimants of a pool may change places: the first of
    /// them takes what is freed first, and the other one waits for the victims of the first.
    new: BTreeSet<String>,
    /// How often the ground had moved when the plan was first told.
    moves: u64,
    /// How many pods had been admitted to the pool by then. A pod that stands before the claimant may take what was
    /// freed; then the plan for the claimant is another one, and no eviction too many.
    admitted: u64,
    /// The pods that had been admitted by then and had no node.
    unbound: BTreeSet<String>,
}

/// What became of a pod.
#[derive(Clone, Debug, Default)]
struct PodOutcome {
    name: String,
    seen: BTreeSet<Seen>,
    /// Its first node.
    node: Option<String>,
}

/// What was seen of a pod, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Admitted,
    /// The API server accepted an eviction.
    Evicted,
    /// The API server refused an eviction.
    Refused,
    Gone,
}

impl PodOutcome {
    fn is(&self, seen: Seen) -> bool {
        self.seen.contains(&seen)
    }
}

impl ForSomebody {
    fn note(&mut self, pod: PodInfo<'_>) -> &mut PodOutcome {
        let new = || PodOutcome { name: pod.full_name(), ..PodOutcome::default() };
        let outcome = self.pods.entry(pod.key()).or_insert_with(new);
        outcome.node = outcome.node.take().or_else(|| pod.node().map(str::to_owned));
        outcome.seen.extend(is_evicted(pod.object()).then_some(Seen::Evicted));
        outcome.seen.extend((spared(pod) == Some(Spared::Refused)).then_some(Seen::Refused));
        outcome
    }

    /// The evicted pods of a plan that was carried out: all its victims are gone, and no eviction was refused.
    fn carried_out(&self, plan: &Plan) -> Option<Vec<&str>> {
        let outcomes: Option<Vec<&PodOutcome>> = plan.victims.iter().map(|uid| self.pods.get(uid)).collect();
        let outcomes = outcomes
            .filter(|outcomes| outcomes.iter().all(|outcome| outcome.is(Seen::Gone) && !outcome.is(Seen::Refused)))?;
        let evicted: Vec<&str> =
            outcomes.into_iter().filter(|outcome| outcome.is(Seen::Evicted)).map(|outcome| &*outcome.name).collect();
        (!evicted.is_empty()).then_some(evicted)
    }

    /// Whether a pod that had been admitted before sits where one of the plan's victims was.
    fn was_taken(&self, plan: &Plan) -> bool {
        let node = |uid: &String| self.pods.get(uid).and_then(|outcome| outcome.node.as_ref());
        let freed: BTreeSet<&String> = plan.victims.iter().filter_map(node).collect();
        plan.unbound.difference(&plan.victims).filter_map(node).any(|node| freed.contains(node))
    }

    fn waits_in_vain(&self, claimant: &str, plans: &[Plan]) -> Option<Breach> {
        let stands = |plan: &&Plan| plan.moves == self.ground.moves_of(&plan.pool) && !self.was_taken(plan);
        let plan = plans.last().filter(stands)?;
        let evicted = self.carried_out(plan)?.join(", ");
        let outcome =
            self.pods.get(claimant).filter(|outcome| !outcome.is(Seen::Admitted) && !outcome.is(Seen::Gone))?;
        let sentence = format!("{evicted} went for it, and it was not admitted then");
        Some(Breach { pod: outcome.name.clone(), sentence })
    }

    fn twice(&self, claimant: &str, plans: &[Plan]) -> Option<Breach> {
        let again = plans.windows(2).find_map(|pair| {
            let [first, second] = pair else { return None };
            let same = first.moves == second.moves && first.admitted == second.admitted && !self.was_taken(first);
            let evicted = self.carried_out(first).filter(|_| same)?;
            let more = second.new.difference(&first.victims).count();
            (more > 0).then(|| format!("{} went for it, and then {more} more had to go", evicted.join(", ")))
        })?;
        let called = self.pods.get(claimant).map_or_else(|| claimant.to_owned(), |outcome| outcome.name.clone());
        Some(Breach { pod: called, sentence: again })
    }
}

impl Invariant for ForSomebody {
    fn name(&self) -> &'static str {
        "C5"
    }

    fn node_seen(&mut self, node: &Node) {
        self.ground.node_seen(node);
    }

    fn pool_seen(&mut self, pool: &ResourcePool) {
        self.ground.pool_seen(pool);
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        let mut standing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for claim in round.spec.claims.iter().filter(|claim| !claim.victims.is_empty()) {
            standing.entry(claim.pool.clone()).or_default().extend(claim.victims.iter().cloned());
            let Some(claimant) = claim.claimant.first() else { continue };
            let admitted = self.admitted.get(&claim.pool).copied().unwrap_or(0);
            let plans = self.plans.entry(claimant.clone()).or_default();
            let victims: BTreeSet<String> = claim.victims.iter().cloned().collect();
            if plans.last().is_none_or(|plan| plan.victims != victims) {
                let moves = self.ground.moves_of(&claim.pool);
                let before = self.standing.get(&claim.pool);
                let new = victims.iter().filter(|uid| !before.is_some_and(|before| before.contains(*uid)));
                let new = new.cloned().collect();
                let homeless = |outcome: &PodOutcome| {
                    outcome.is(Seen::Admitted) && outcome.node.is_none() && !outcome.is(Seen::Gone)
                };
                let unbound =
                    self.pods.iter().filter(|(_, outcome)| homeless(outcome)).map(|(uid, _)| uid.clone()).collect();
                plans.push(Plan { pool: claim.pool.clone(), victims, new, moves, admitted, unbound });
            }
        }
        self.standing = standing;
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        self.note(pod);
        Ok(())
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        self.note(admission.pod).seen.insert(Seen::Admitted);
        if let Some(pool) = admission.pod.pool() {
            *self.admitted.entry(pool.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: PodInfo<'_>) {
        self.note(pod).seen.insert(Seen::Gone);
    }

    fn settled(&mut self) -> Vec<Breach> {
        let breaches =
            self.plans.iter().flat_map(|(one, plans)| [self.waits_in_vain(one, plans), self.twice(one, plans)]);
        breaches.flatten().collect()
    }
}
