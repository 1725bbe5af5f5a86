//! The promises, each in a file of its own.
//!
//! | promise | type | judged |
//! |---|---|---|
//! | only pods that ask for GPUs run on GPU hosts, and they run nowhere else | [`GpuHosts`] | when a pod gets its node |
//! | special hardware is kept for the pods that name it | [`SpecialHosts`] | when a pod gets its node |
//! | no pod admits itself, every admission says on what grounds | [`Grounded`] | when a gate goes |
//! | no pod goes beyond the entitlement that it was decided on | [`WithinEntitlement`] | when a gate goes |
//! | what was free is given once | [`GivenOnce`] | when a gate goes |
//! | an admitted pod counts for every decision that follows | [`Counted`] | when a gate goes |
//! | no pod is admitted twice, no gang above its size | [`AdmittedOnce`] | at every change |
//! | what cannot be taken back stays within the reservation | [`WithinReservation`] | when a gate goes |
//! | no half gang | [`WholeGangs`] | at the end |
//! | every exception says so on the pod | [`ExceptionsShown`] | at the end |
//! | recorded before it is done | [`RecordedFirst`] | at the end |
//! | an entitlement is what its inputs give | [`Recomputed`] | at the end |
//! | no pod is evicted without a condition before it | [`ReasonFirst`] | at the end |
//! | no pod is evicted twice | [`EvictedOnce`] | at the end |
//! | no pod is evicted for a claimant that then does not fit | [`ForSomebody`] | at the end |
//!
//! Pods on loan, adopted, not enforced and released by hand are exceptions to B3 and B4. What pods use that the
//! sidecar did not admit counts for the sidecar as soon as it knows of them, which nothing in the watch tells; so it
//! is left out of the sums that are judged here.

mod admitted_once;
mod counted;
mod evicted_once;
mod exceptions_shown;
mod for_somebody;
mod given_once;
mod gpu_hosts;
mod ground;
mod grounded;
mod reason_first;
mod recomputed;
mod recorded_first;
mod special_hosts;
mod whole_gangs;
mod within_entitlement;
mod within_reservation;

pub use admitted_once::AdmittedOnce;
pub use counted::Counted;
pub use evicted_once::EvictedOnce;
pub use exceptions_shown::ExceptionsShown;
pub use for_somebody::ForSomebody;
pub use given_once::GivenOnce;
pub use gpu_hosts::{GpuHosts, GpuRule};
pub use grounded::Grounded;
pub use reason_first::ReasonFirst;
pub use recomputed::{Recomputed, Unequal, recomputed};
pub use recorded_first::RecordedFirst;
pub use special_hosts::SpecialHosts;
pub use whole_gangs::WholeGangs;
pub use within_entitlement::WithinEntitlement;
pub use within_reservation::WithinReservation;

use crate::invariant::Invariant;
use crate::special_models::SpecialModels;

/// Every promise about where pods run.
#[must_use]
pub fn of_placement(special: &SpecialModels) -> Vec<Box<dyn Invariant + Send>> {
    vec![Box::new(GpuHosts::default()), Box::new(SpecialHosts::new(special.clone()))]
}

/// Every promise about admission and eviction; `special` are the GPU models that have dimensions of their own.
#[must_use]
pub fn of_admission(special: &[&str]) -> Vec<Box<dyn Invariant + Send>> {
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
