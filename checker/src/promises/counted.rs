//! B5a: an admitted pod counts as usage for every decision that follows, whichever replica leads by then.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{Figure, Grounds};
use weir_api::requests::{Amounts, by_dimension};
use weir_model::Amount;

use crate::admission::Admission;
use crate::invariant::Invariant;
use crate::moment::Moment;

/// B5a over rounds: the usage that a later round was decided on holds at least what earlier ones admitted to
/// the same pool and what is still there. Two leaders that do not know of each other break it first.
///
/// Gates go in any order, so the order of decisions is that of epoch and round. A pod that is there when the gate of a
/// later one goes was there when that one was decided on; pods that ended before are left out, although the sidecar
/// may not have known yet: a lower bound never blames a leader that did right.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    special: BTreeSet<String>,
    /// By key, the pods that a sidecar admitted and that have not ended.
    live: BTreeMap<String, Live>,
    decisions: BTreeMap<Place, BTreeMap<Moment, Usage>>,
}

/// One pool in one dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    pool: String,
    resource: String,
}

/// A pod that counts.
#[derive(Clone, Debug)]
struct Live {
    at: Moment,
    pool: String,
    asks: Amounts,
}

/// The usage of a place when something was decided on it.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// What the record says was used.
    recorded: i64,
    /// What pods that were admitted before used at least.
    counted: i64,
}

impl Usage {
    fn judged(self, Place { pool, resource }: &Place, Moment { epoch, round }: Moment) -> Result<(), String> {
        let Self { recorded, counted } = self;
        if counted <= recorded {
            return Ok(());
        }
        Err(format!(
            "{pool:?} used at least {counted} {resource} when round {round} of epoch {epoch} was decided, which took it \
             for {recorded}"
        ))
    }
}

impl Counted {
    /// B5a where these GPU models have dimensions of their own.
    #[must_use]
    pub fn new(special: &[&str]) -> Self {
        Self { special: special.iter().map(|&model| model.to_owned()).collect(), ..Self::default() }
    }

    /// What pods that were admitted before used of a place.
    fn used_before(&self, at: Moment, Place { pool, resource }: &Place) -> i64 {
        let earlier = self.live.values().filter(|live| live.at < at && live.pool == *pool);
        earlier.filter_map(|live| live.asks.get(resource).copied()).sum::<Amount>().units()
    }
}

impl Invariant for Counted {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let by_sidecar = matches!(
            admission.grounds,
            Grounds::Known(
                Admitted::WithinEntitlement | Admitted::OnLoan | Admitted::Replacement | Admitted::NotEnforced
            )
        );
        let Some(decision) = admission.decision.as_ref().filter(|_| by_sidecar) else { return Ok(()) };
        let (at, pool) = (Moment::of(decision), admission.pool());
        // Only what is found first is said: one miscounted pod makes every later decision wrong.
        let mut found = Ok(());
        // Members of a gang, and all of one round, carry figures of one moment; the smallest usage is the first's.
        for Figure { resource, usage, .. } in decision.figures.iter().filter(|figure| figure.pool == pool) {
            let place = Place { pool: pool.to_owned(), resource: resource.clone() };
            let counted = self.used_before(at, &place);
            let decisions = self.decisions.entry(place.clone()).or_default();
            let known = decisions.entry(at).or_insert(Usage { recorded: *usage, counted });
            known.recorded = known.recorded.min(*usage);
            found = found.and(known.judged(&place, at));
        }
        if admission.pod.has_ended() {
            return found;
        }
        let asks = by_dimension(admission.pod.object(), &self.special);
        for (resource, amount) in &asks {
            let place = Place { pool: pool.to_owned(), resource: resource.clone() };
            let later = self.decisions.get_mut(&place).into_iter();
            for (&at, usage) in later.flat_map(|all| all.range_mut((Bound::Excluded(at), Bound::Unbounded))) {
                usage.counted = usage.counted.saturating_add(amount.units());
                found = found.and(usage.judged(&place, at));
            }
        }
        self.live.insert(admission.pod.key(), Live { at, pool: pool.to_owned(), asks });
        found
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        if pod.has_ended() {
            self.live.remove(&pod.key());
        } else if let Some(live) = self.live.get_mut(&pod.key()) {
            // A pod that was made smaller in place uses less from then on.
            let now = by_dimension(pod.object(), &self.special);
            live.asks
                .iter_mut()
                .for_each(|(resource, asks)| *asks = now.get(resource).map_or(*asks, |now| *now.min(asks)));
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: PodInfo<'_>) {
        self.live.remove(&pod.key());
    }
}
