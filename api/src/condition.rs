//! Conditions and their reasons, as exact strings.
//!
//! The reasons are those of [`weir_model::reason`], which the queue decides with. `PodScheduled` is never
//! touched.

pub use weir_model::reason::{Grounds as Admitted, Pool, Preempted, Refusal, Spared, UnknownReason, Waiting};

/// Condition of a pod or gang: whether it was admitted, and why or why not.
pub const ADMITTED: &str = "weir.dev/Admitted";
/// Condition of a pod: it is about to be evicted; set before the eviction, with the numbers and the claimant.
pub const PREEMPTED: &str = "weir.dev/Preempted";
/// Condition of a pod: the last request about it that was refused, and why. Always `True` where it stands; when it
/// was is its last transition.
pub const REFUSED: &str = "weir.dev/Refused";
/// Condition of a pool: it hangs on the root and takes part.
pub const READY: &str = "Ready";
/// Condition of a pool: its children reserve more than it has, so they are scaled.
pub const OVER_RESERVED: &str = "OverReserved";
