//! Conditions and their reasons, as exact strings.
//!
//! A reason is an enum here and a string on objects. `PodScheduled` is never touched and `Unschedulable`
//! never written: cluster autoscalers add nodes for it, and a pod that waits for quota needs none.

use std::fmt;
use std::str::FromStr;

/// Condition of a pod or gang: whether it was admitted, and why or why not.
pub const ADMITTED: &str = "weir.dev/Admitted";
/// Condition of a pod: it is about to be evicted; set before the eviction, with the numbers and who benefits.
pub const PREEMPTED: &str = "weir.dev/Preempted";
/// Condition of a pod: the last request about it that was refused, and why. Always `True` where it stands; when it
/// was is its last transition.
pub const REFUSED: &str = "weir.dev/Refused";
/// Condition of a pool: it hangs on the root and takes part.
pub const READY: &str = "Ready";
/// Condition of a pool: its children reserve more than it has, so they are scaled.
pub const OVER_RESERVED: &str = "OverReserved";

/// Declares an enum whose variants are written exactly as they are named.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The reason as it stands in conditions, events and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownReason;
            fn from_str(text: &str) -> Result<Self, UnknownReason> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
            }
        }
    };
}

/// A reason that none of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a reason of Weir's conditions")
    }
}

impl std::error::Error for UnknownReason {}

reasons! {
    /// Why a pod waits: the reason of [`ADMITTED`] with status `False`.
    ///
    /// ```
    /// use weir_api::condition::Waiting;
    /// assert_eq!(Waiting::WaitingForGang.to_string(), "WaitingForGang");
    /// assert_eq!("PoolHeld".parse(), Ok(Waiting::PoolHeld));
    /// ```
    Waiting {
        /// Usage and request together are above the entitlement of the pool or an ancestor.
        WaitingForQuota,
        /// Not all announced members exist yet.
        WaitingForGang,
        /// The entitlement is there, but no set of nodes that takes it.
        WaitingForPlacement,
        /// Others are being evicted for it.
        WaitingForPreemption,
        /// Larger than the entitlement that present demand leaves; a loan may still admit it.
        ExceedsEntitlement,
        /// Above the limit or the largest workload of the pool or an ancestor: never admissible as it is.
        ExceedsMaxQuota,
        /// Non-preemptible and above what the reservation allows.
        ExceedsReservation,
        /// The pool that it names does not exist or is not valid.
        PoolNotFound,
        /// The pool that it names has children; only leaves hold pods.
        PoolNotLeaf,
        /// The pool or an ancestor takes nothing new.
        PoolHeld,
        /// The pool does not take pods of this namespace.
        PoolNotAllowed,
        /// The GPU model that it names is neither in the list of special hardware nor on a node.
        UnknownModel,
        /// What it says contradicts itself; the message says how to correct it.
        Misconfigured,
        /// It was admitted, found no place in time and was killed; its successor waits.
        PlacementTimeout,
        /// Its owner's pods were killed repeatedly; the next attempt waits.
        BackingOff,
    }
}

reasons! {
    /// Why a pod was admitted: the reason of [`ADMITTED`] with status `True`.
    Admitted {
        /// Its pool's entitlement covers it.
        WithinEntitlement,
        /// Above the entitlement, on capacity that nobody is entitled to now; taken back first.
        OnLoan,
        /// It takes the place of a member that its admitted gang lost.
        Replacement,
        /// It ran before Weir did.
        Adopted,
        /// Admission is not enforced; the message says what would have happened.
        NotEnforced,
        /// Somebody with the right to released it by hand.
        Released,
    }
}

reasons! {
    /// Why a pod is about to be evicted: the reason of [`PREEMPTED`] with status `True`.
    Preempted {
        /// Its pool is above its entitlement and somebody entitled waits.
        Reclaimed,
        /// It ran on loan, and what it used is asked for.
        LoanRecalled,
        /// A pod of higher priority in the same pool takes its place.
        HigherPriority,
        /// Its pool is drained.
        Drained,
        /// It was admitted and found no place in time.
        PlacementTimeout,
    }
}

reasons! {
    /// Why a pod is not evicted after all: the reason of [`PREEMPTED`] with status `False`.
    Spared {
        /// Whoever it was to make room for found some elsewhere or is gone.
        NotNeeded,
        /// The API server refused the eviction, because of a budget.
        Refused,
        /// Admission is not enforced; the message says what would have happened.
        NotEnforced,
    }
}

reasons! {
    /// What somebody asked for and the admission policy refused: the reason of [`REFUSED`]. The pod stands as
    /// before, and [`ADMITTED`] still says how.
    ///
    /// ```
    /// use weir_api::condition::Refusal;
    /// assert_eq!("GateRemoval".parse(), Ok(Refusal::GateRemoval));
    /// ```
    Refusal {
        /// To remove the gate, which is the admission.
        GateRemoval,
        /// To change pool, gang or preemptible of an admitted pod.
        KeyChange,
        /// To change what Weir recorded of an admission.
        RecordChange,
        /// To let an admitted pod grow in place.
        Growth,
    }
}

reasons! {
    /// Why a pool is, or is not, part of the tree: the reason of [`READY`].
    Pool {
        /// It hangs on the root and takes part.
        InTree,
        /// Its parent does not exist or is not valid.
        ParentNotFound,
        /// Going up from it leads back to it.
        ParentCycle,
        /// What it says is not valid; the message names the field.
        Invalid,
        /// It is deleted as soon as no pod is in it.
        Terminating,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reason_makes_an_autoscaler_add_nodes() {
        let mut all = Waiting::ALL.iter().map(|reason| reason.as_str()).chain(Admitted::ALL.iter().map(|r| r.as_str()));
        assert!(all.all(|reason| reason != "Unschedulable"));
    }

    #[test]
    fn every_reason_reads_back_as_itself_and_nothing_else_reads() {
        assert!(Waiting::ALL.iter().all(|&reason| reason.as_str().parse() == Ok(reason)));
        assert!(Preempted::ALL.iter().all(|&reason| reason.as_str().parse() == Ok(reason)));
        assert_eq!("waitingForGang".parse::<Waiting>(), Err(UnknownReason));
    }

    #[test]
    fn the_waiting_reasons_are_those_of_the_contract() {
        let reasons: Vec<_> = Waiting::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(
            reasons.join(" "),
            "WaitingForQuota WaitingForGang WaitingForPlacement WaitingForPreemption ExceedsEntitlement \
             ExceedsMaxQuota ExceedsReservation PoolNotFound PoolNotLeaf PoolHeld PoolNotAllowed UnknownModel \
             Misconfigured PlacementTimeout BackingOff"
        );
    }
}
