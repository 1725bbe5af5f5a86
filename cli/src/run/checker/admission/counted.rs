//! B5a: whoever was admitted counts as usage for every decision that follows, whoever leads by then.

use std::collections::BTreeMap;
use std::ops::Bound;

use k8s_openapi::api::core::v1::Pod;
use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{Figure, Grounds};
use weir_api::requests::{Amounts, by_dimension};
use weir_model::Amount;

use super::super::Invariant;
use super::facts::Admission;

/// B5a over rounds: the usage that a later round was decided on holds at least what earlier ones admitted to
/// the same pool and what is still there. Two leaders that do not know of each other break it first.
///
/// Gates go in any order, so the order of decisions is that of epoch and round. A pod that is there when the
/// gate of a later one goes was there when that one was decided on; those that ended before are left out,
/// although the sidecar may not have known yet: a lower bound never blames anybody who did right.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    special: std::collections::BTreeSet<String>,
    /// By UID, those whom a sidecar admitted and who have not ended.
    live: BTreeMap<String, Live>,
    decisions: BTreeMap<Place, BTreeMap<Moment, Decision>>,
}

/// Pool and dimension.
type Place = (String, String);
/// Epoch and round.
type Moment = (i64, u64);

#[derive(Clone, Debug)]
struct Live {
    at: Moment,
    pool: String,
    asks: Amounts,
}

#[derive(Clone, Debug)]
struct Decision {
    /// What the record says was used.
    usage: i64,
    /// What those who were admitted before used at least.
    counted: i64,
}

impl Counted {
    /// B5a where these GPU models have dimensions of their own.
    #[must_use]
    pub fn new(special: &[&str]) -> Self {
        Self { special: special.iter().map(|&model| model.to_owned()).collect(), ..Self::default() }
    }

    /// What of a place those used who were admitted before.
    fn used_before(&self, at: Moment, (pool, resource): &Place) -> i64 {
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
        let Some(record) = admission.record.as_ref().filter(|_| by_sidecar) else { return Ok(()) };
        let (at, pool) = ((record.epoch, record.round), PodInfo::of(admission.pod).pool().unwrap_or_default());
        let mut broken = None;
        let mut judge = |place: &Place, at: Moment, Decision { usage, counted }: &Decision| {
            if counted > usage {
                broken.get_or_insert_with(|| {
                    let (pool, resource) = place;
                    let (epoch, round) = at;
                    format!(
                        "{pool:?} used at least {counted} {resource} when round {round} of epoch {epoch} was decided, \
                         which took it for {usage}"
                    )
                });
            }
        };
        // Members of a gang, and all of one round, carry figures of one moment; the smallest usage is the first's.
        for Figure { pool: of, resource, usage, .. } in record.figures.iter().filter(|figure| figure.pool == pool) {
            let place = (of.clone(), resource.clone());
            let counted = self.used_before(at, &place);
            let decisions = self.decisions.entry(place.clone()).or_default();
            let decision = decisions.entry(at).or_insert(Decision { usage: *usage, counted });
            decision.usage = decision.usage.min(*usage);
            judge(&place, at, decision);
        }
        if PodInfo::of(admission.pod).has_ended() {
            return broken.map_or(Ok(()), Err);
        }
        let asks = by_dimension(admission.pod, &self.special);
        for (resource, amount) in &asks {
            let place = (pool.to_owned(), resource.clone());
            let later = self.decisions.get_mut(&place).into_iter();
            for (&at, decision) in later.flat_map(|all| all.range_mut((Bound::Excluded(at), Bound::Unbounded))) {
                decision.counted = decision.counted.saturating_add(amount.units());
                judge(&place, at, decision);
            }
        }
        self.live.insert(PodInfo::of(admission.pod).key(), Live { at, pool: pool.to_owned(), asks });
        broken.map_or(Ok(()), Err)
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        if PodInfo::of(pod).has_ended() {
            self.live.remove(&PodInfo::of(pod).key());
        } else if let Some(live) = self.live.get_mut(&PodInfo::of(pod).key()) {
            // One that was made smaller in place uses less from then on.
            let now = by_dimension(pod, &self.special);
            live.asks
                .iter_mut()
                .for_each(|(resource, asks)| *asks = now.get(resource).map_or(*asks, |now| *now.min(asks)));
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.live.remove(&PodInfo::of(pod).key());
    }
}
