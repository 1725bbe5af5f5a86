//! B1a and B3: grounds, and the figures that were recorded with them.

use std::collections::BTreeMap;

use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{Figure, Grounds};

use super::super::Invariant;
use super::facts::{Admission, gang_of, ray_cluster_of};

/// B1a: a gate goes with a word that says on what grounds, and an admission by the sidecar with a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grounded;

impl Invariant for Grounded {
    fn name(&self) -> &'static str {
        "B1a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        match (admission.grounds, &admission.record) {
            // Whoever was never seen to wait may have been there before Weir.
            (Grounds::Silent, _) if !admission.waited => Ok(()),
            (Grounds::Silent, _) => Err("its gate went and nothing says on what grounds".to_owned()),
            (Grounds::Unknown(_), _) => Err("its gate went on grounds that are none of the contract's".to_owned()),
            (Grounds::Known(Admitted::Released | Admitted::Adopted | Admitted::NotEnforced), _) => Ok(()),
            (Grounds::Known(grounds), None) => Err(format!("{grounds}, and nothing says on what figures")),
            (Grounds::Known(_), Some(_)) => Ok(()),
        }
    }
}

/// B3: usage and request together stay within the entitlement of the pool and of every ancestor, where what other
/// pools of an ancestor use beyond their own entitlements does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct WithinEntitlement;

impl Invariant for WithinEntitlement {
    fn name(&self) -> &'static str {
        "B3"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let Some(record) = admission.record.as_ref().filter(|_| admission.counts_as_entitled()) else { return Ok(()) };
        if record.finishes.is_some() {
            return Ok(());
        }
        let pool = PodInfo::of(admission.pod).pool().unwrap_or_default();
        let asks = weir_api::requests::of(admission.pod).is_ok_and(|asks| asks.iter().any(|(_, it)| !it.is_zero()));
        if asks && !record.figures.iter().any(|figure| figure.pool == pool) {
            return Err(format!("the record has no figure of its pool {pool:?}"));
        }
        // In its own pool everything counts.
        let counts = |it: &Figure| if it.pool == pool { it.usage } else { it.usage.saturating_sub(it.beyond) };
        let broken = record.figures.iter().find(|it| counts(it).saturating_add(it.asked) > it.entitlement);
        match broken {
            None => Ok(()),
            Some(Figure { pool, resource, entitlement, usage, asked, .. }) => {
                Err(format!("{pool:?} used {usage} {resource} and was entitled to {entitlement}; {asked} came on top"))
            }
        }
    }
}

/// B5a: within one round, what one was admitted on is used before the next; two that were admitted on the
/// same free amount were admitted twice on it.
#[derive(Clone, Debug, Default)]
pub struct GivenOnce {
    given: BTreeMap<Place, Vec<Given>>,
}

/// Epoch, round, pool and dimension.
type Place = (i64, u64, String, String);
/// From where, to where, and by whom it was taken.
type Given = (i64, i64, String);

impl Invariant for GivenOnce {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let Some(record) = admission.record.as_ref().filter(|record| record.finishes.is_none()) else { return Ok(()) };
        // Members of a gang carry the figures of the whole; they were given them together. A replaced member
        // goes alone.
        let gang = gang_of(admission.pod).filter(|_| record.pods > 1);
        let ray = ray_cluster_of(admission.pod).filter(|_| record.pods > 1);
        // One cluster may be given several workers in a round, one after the other.
        let unit = |from: i64| match (&gang, &ray) {
            (Some(((namespace, name, _), _)), _) => format!("{namespace}/{name}"),
            (None, Some(cluster)) => format!("{cluster} (from {from} on)"),
            (None, None) => PodInfo::of(admission.pod).key(),
        };
        let mut twice = None;
        for Figure { pool, resource, entitlement: _, usage, beyond: _, asked } in &record.figures {
            let (from, to) = (*usage, usage.saturating_add(*asked));
            let unit = unit(from);
            let given = self.given.entry((record.epoch, record.round, pool.clone(), resource.clone())).or_default();
            if given.iter().any(|(_, _, other)| *other == unit) {
                continue;
            }
            let overlap = given.iter().find(|(other_from, other_to, _)| from < *other_to && *other_from < to);
            twice = twice.or(overlap.map(|(_, _, other)| {
                format!("{resource} of {pool:?} from {from} to {to} was given to {other} as well, in the same round")
            }));
            given.push((from, to, unit));
        }
        twice.map_or(Ok(()), Err)
    }
}
