//! B1a, B3, B4, B5, B5a, C4 and C5: who was admitted and who was evicted, judged from what the API server's watch
//! told.
//!
//! | promise | type | judged |
//! |---|---|---|
//! | nobody admits himself, every admission says on what grounds | [`Grounded`] | when a gate goes |
//! | nobody beyond the entitlement it was decided on | [`WithinEntitlement`] | when a gate goes |
//! | what was free is given once | [`GivenOnce`] | when a gate goes |
//! | whoever was admitted counts for all who follow | [`Counted`] | when a gate goes |
//! | nobody is admitted twice, no gang above its size | [`AdmittedOnce`] | at every change |
//! | nobody non-preemptible above the reservation | [`WithinReservation`] | when a gate goes |
//! | no half gang | [`WholeGangs`] | at the end |
//! | every exception says so on the pod | [`ExceptionsShown`] | at the end |
//! | recorded before it is done | [`RecordedFirst`] | at the end |
//! | an entitlement is what its inputs give | [`Recomputed`] | at the end |
//! | nobody is evicted without a condition before it | [`ReasonFirst`] | at the end |
//! | nobody is evicted twice | [`EvictedOnce`] | at the end |
//! | nobody is evicted for somebody who then does not fit | [`ForSomebody`] | at the end |
//!
//! Pods on loan, adopted, not enforced and released by hand are exceptions to B3 and B4. What those use whom
//! the sidecar did not admit counts for it as soon as it knows of them, which nobody else can tell; so it is
//! left out of the sums that are judged here.

mod counted;
mod evictions;
mod facts;
mod gangs;
mod numbers;
mod recomputed;
mod reservation;
mod shown;

pub use counted::Counted;
pub use evictions::{EvictedOnce, ForSomebody, ReasonFirst, is_evicted, says_why};
pub use facts::Admission;
pub use gangs::{AdmittedOnce, WholeGangs};
pub use numbers::{GivenOnce, Grounded, WithinEntitlement};
pub use recomputed::{Recomputed, Unequal, recomputed};
pub use reservation::WithinReservation;
pub use shown::{ExceptionsShown, RecordedFirst};

use super::Invariant;

/// Every promise about admission and eviction; `special` are the GPU models that have dimensions of their own.
#[must_use]
pub fn all(special: &[&str]) -> Vec<Box<dyn Invariant + Send>> {
    vec![
        Box::new(Grounded),
        Box::new(WithinEntitlement),
        Box::new(GivenOnce::default()),
        Box::new(AdmittedOnce::default()),
        Box::new(WithinReservation::new(special)),
        Box::new(WholeGangs::default()),
        Box::new(ExceptionsShown::default()),
        Box::new(RecordedFirst::default()),
        Box::new(Counted::new(special)),
        Box::new(Recomputed::default()),
        Box::new(ReasonFirst::default()),
        Box::new(EvictedOnce::default()),
        Box::new(ForSomebody::default()),
    ]
}

#[cfg(test)]
mod tests;
