//! A6: a recorded entitlement is the one that follows from its inputs.
//!
//! The inputs stand in the `AdmissionRound` of the epoch, as a document that `weir entitlement --tree` reads, so that
//! a reader can compute the same by hand. Nothing here knows how the sidecar came to its figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use weir_api::pod::{Decision, Figure};
use weir_api::{AdmissionRound, ResourcePool};
use weir_entitlement::{Document, entitle};
use weir_model::PoolId;

use crate::admission::Admission;
use crate::invariant::{Breach, Invariant};

/// A6: the entitlement that an admission was decided on is what capacity, pools, usage and demand give.
///
/// Pods and rounds are told by two watches, so it is judged at the end. An epoch whose round was never told is
/// not judged; one that was told without inputs is a breach, as long as the pools are few enough that they fit.
#[derive(Clone, Debug, Default)]
pub struct Recomputed {
    /// By epoch, what its round says that admissions were decided on.
    inputs: BTreeMap<i64, Option<String>>,
    /// By epoch, each record once, with a pod that carries it.
    decided: BTreeMap<i64, BTreeMap<Vec<Figure>, String>>,
    pools: BTreeSet<String>,
}

/// With more pools than this the inputs may not have fitted into the round.
const FIT: usize = 100;

impl Invariant for Recomputed {
    fn name(&self) -> &'static str {
        "A6"
    }

    fn pool_seen(&mut self, pool: &ResourcePool) {
        self.pools.extend(pool.metadata.name.clone());
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        self.inputs.insert(round.spec.epoch, round.spec.inputs.clone());
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        if let Some(Decision { epoch, figures, .. }) = admission.decision.as_ref().filter(|it| !it.figures.is_empty()) {
            let of_epoch = self.decided.entry(*epoch).or_default();
            of_epoch.entry(figures.clone()).or_insert_with(|| admission.pod.full_name());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Breach> {
        let fit = self.pools.len() <= FIT;
        let known = self.decided.iter().filter_map(|(epoch, records)| Some((epoch, self.inputs.get(epoch)?, records)));
        let breaches = known.flat_map(|(epoch, inputs, records)| {
            records.iter().filter_map(move |(figures, pod)| {
                let sentence = match inputs.as_deref().map(|inputs| recomputed(inputs, figures)) {
                    None if !fit => return None,
                    None => format!("round {epoch} does not say what it was decided on"),
                    Some(Ok(unequal)) => unequal.first()?.to_string(),
                    Some(Err(error)) => format!("what round {epoch} was decided on cannot be read: {error}"),
                };
                Some(Breach { pod: pod.clone(), sentence })
            })
        });
        breaches.collect()
    }
}

/// A recorded entitlement that is not what its inputs give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unequal {
    /// The pool; empty for the cluster.
    pub pool: String,
    /// The dimension.
    pub resource: String,
    /// What was recorded.
    pub recorded: i64,
    /// What the inputs give; `None` where they know no such pool.
    pub computed: Option<i64>,
}

impl fmt::Display for Unequal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, resource, recorded, computed } = self;
        match computed {
            Some(computed) => write!(f, "{pool:?} was entitled to {recorded} {resource}; its inputs give {computed}"),
            None => write!(f, "{pool:?} was entitled to {recorded} {resource}; its inputs know no such pool"),
        }
    }
}

/// Every recorded figure that is not what the inputs give.
///
/// ```
/// use weir_api::pod::Figure;
/// use weir_checker::promises::recomputed;
/// let inputs = r#"{"capacity": {"nvidia.com/gpu": 100}, "pools": [
///     {"name": "labs", "resources": {"nvidia.com/gpu": {"reservation": 60}}, "demand": {"nvidia.com/gpu": 80}},
///     {"name": "web", "resources": {"nvidia.com/gpu": {"reservation": 40}}, "demand": {"nvidia.com/gpu": 40}}]}"#;
/// let (pool, resource) = ("labs".to_owned(), "nvidia.com/gpu".to_owned());
/// let figure = Figure { pool, resource, entitlement: 60, usage: 0, beyond: 0, asked: 8 };
/// assert_eq!(recomputed(inputs, &[figure]), Ok(vec![]));
/// ```
///
/// # Errors
/// Inputs that cannot be read, with the field and what to do.
pub fn recomputed(inputs: &str, figures: &[Figure]) -> Result<Vec<Unequal>, String> {
    let Document { dims, tree, input } = Document::read(inputs.as_bytes()).map_err(|error| error.to_string())?;
    let entitlements = entitle(&tree, &dims, &input);
    let compared = figures.iter().filter_map(|Figure { pool, resource, entitlement, .. }| {
        let found = if pool.is_empty() { Some(PoolId::ROOT) } else { tree.find(pool) };
        let computed = found.map(|pool| dims.find(resource).map_or(0, |dim| entitlements.amount(pool, dim).units()));
        let unequal = Unequal { pool: pool.clone(), resource: resource.clone(), recorded: *entitlement, computed };
        (computed != Some(*entitlement)).then_some(unequal)
    });
    Ok(compared.collect())
}
