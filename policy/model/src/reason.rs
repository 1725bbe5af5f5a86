//! Reasons of conditions, as exact strings: why a pod waits, was admitted, is evicted or stays.
//!
//! A reason is an enum here and a string on objects; its `Display` is that string and its `FromStr` reads it
//! back. The condition types that carry the reasons are constants of `weir_api::condition`. No reason is
//! `Unschedulable`: cluster autoscalers add nodes for that one, and a pod that waits for quota needs none.

use core::fmt;
use core::str::FromStr;

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

/// The error for a text that is none of Weir's reasons.
///
/// ```
/// use weir_model::reason::{UnknownReason, Waiting};
/// assert_eq!("Unschedulable".parse::<Waiting>(), Err(UnknownReason));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a reason of Weir's conditions")
    }
}

impl core::error::Error for UnknownReason {}

reasons! {
    /// Why a pod waits: the reason of the condition `weir.dev/Admitted` with status `False`.
    ///
    /// ```
    /// use weir_model::reason::Waiting;
    /// assert_eq!(Waiting::WaitingForGang.to_string(), "WaitingForGang");
    /// assert_eq!("PoolHeld".parse(), Ok(Waiting::PoolHeld));
    /// ```
    Waiting {
        /// Usage and request together are above the entitlement of the pool or an ancestor.
        WaitingForQuota,
        /// Not all announced members of the gang exist yet.
        WaitingForGang,
        /// The entitlement covers the request, but no set of nodes has room for it.
        WaitingForPlacement,
        /// Other pods are being evicted to make room.
        WaitingForPreemption,
        /// The request is larger than the entitlement that present demand leaves; a loan may still admit it.
        ExceedsEntitlement,
        /// The request is above the limit or the largest workload of the pool or an ancestor, and can never
        /// be admitted as it is.
        ExceedsMaxQuota,
        /// The pod is non-preemptible and asks for more than the reservation allows.
        ExceedsReservation,
        /// The pool that the pod names does not exist or is not valid.
        PoolNotFound,
        /// The pool that the pod names has children; only leaves hold pods.
        PoolNotLeaf,
        /// The pool or an ancestor takes nothing new.
        PoolHeld,
        /// The pool does not take pods of this namespace.
        PoolNotAllowed,
        /// The GPU model that the pod names is neither in the list of special hardware nor on a node.
        UnknownModel,
        /// The pod contradicts itself; the message says how to correct it.
        Misconfigured,
        /// The pod before this one was admitted, found no place in time and was killed.
        PlacementTimeout,
        /// The owner's pods were killed repeatedly, and the next attempt is delayed.
        BackingOff,
        /// The pod asks for a resource that no node has and no pool lists.
        UnknownResource,
    }
}

reasons! {
    /// Grounds on which a pod was admitted: the reason of the condition `weir.dev/Admitted` with status `True`.
    ///
    /// ```
    /// use weir_model::reason::Grounds;
    /// assert_eq!(Grounds::OnLoan.as_str(), "OnLoan");
    /// assert_eq!("Adopted".parse(), Ok(Grounds::Adopted));
    /// ```
    Grounds {
        /// The entitlement of its pool and of every ancestor covers the pod.
        WithinEntitlement,
        /// The pod is above the entitlement, on capacity that no pool is entitled to use now, and is taken back
        /// first.
        OnLoan,
        /// The pod takes the place of a member that its admitted gang lost.
        Replacement,
        /// The pod ran before Weir did.
        Adopted,
        /// Admission is not enforced; the message says what would have happened.
        NotEnforced,
        /// An administrator with the right to do so released the pod by hand.
        Released,
    }
}

reasons! {
    /// Why a pod is about to be evicted: the reason of the condition `weir.dev/Preempted` with status `True`.
    ///
    /// ```
    /// use weir_model::reason::Preempted;
    /// assert_eq!("LoanRecalled".parse(), Ok(Preempted::LoanRecalled));
    /// ```
    Preempted {
        /// The pod's pool is above its entitlement, and a pod within another pool's entitlement waits.
        Reclaimed,
        /// The pod ran on loan, and what it used is asked for.
        LoanRecalled,
        /// A pod of higher priority in the same pool takes its place.
        HigherPriority,
        /// The pod's pool is drained.
        Drained,
        /// The pod was admitted and found no place in time.
        PlacementTimeout,
    }
}

reasons! {
    /// Why a pod is not evicted after all: the reason of the condition `weir.dev/Preempted` with status `False`.
    ///
    /// ```
    /// use weir_model::reason::Spared;
    /// assert_eq!("NotNeeded".parse(), Ok(Spared::NotNeeded));
    /// ```
    Spared {
        /// The pods that were to get the room found it elsewhere or are gone.
        NotNeeded,
        /// The API server refused the eviction, because of a budget.
        Refused,
        /// Admission is not enforced; the message says what would have happened.
        NotEnforced,
    }
}

reasons! {
    /// What a request asked for and the admission policy refused: the reason of the condition
    /// `weir.dev/Refused`. The pod stands as before, and `weir.dev/Admitted` still says how.
    ///
    /// ```
    /// use weir_model::reason::Refusal;
    /// assert_eq!("GateRemoval".parse(), Ok(Refusal::GateRemoval));
    /// ```
    Refusal {
        /// The removal of the gate, which is the admission.
        GateRemoval,
        /// A change of pool, gang or preemptible of an admitted pod.
        KeyChange,
        /// A change of what Weir recorded of an admission.
        RecordChange,
        /// The growth of an admitted pod in place.
        Growth,
    }
}

reasons! {
    /// Why a pool is, or is not, part of the tree: the reason of the condition `Ready` of a pool.
    ///
    /// ```
    /// use weir_model::reason::Pool;
    /// assert_eq!(Pool::ParentCycle.to_string(), "ParentCycle");
    /// ```
    Pool {
        /// The pool hangs on the root and takes part.
        InTree,
        /// The pool's parent does not exist or is not valid.
        ParentNotFound,
        /// Going up from the pool leads back to it.
        ParentCycle,
        /// The pool's specification is not valid; the message names the field.
        Invalid,
        /// The pool is deleted as soon as no pod is in it.
        Terminating,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn no_reason_makes_an_autoscaler_add_nodes() {
        let waiting = Waiting::ALL.iter().map(|reason| reason.as_str());
        let mut all = waiting.chain(Grounds::ALL.iter().map(|reason| reason.as_str()));
        assert!(all.all(|reason| reason != "Unschedulable"));
    }

    #[test]
    fn every_reason_reads_back_as_itself_and_nothing_else_reads() {
        assert!(Waiting::ALL.iter().all(|&reason| reason.as_str().parse() == Ok(reason)));
        assert!(Preempted::ALL.iter().all(|&reason| reason.as_str().parse() == Ok(reason)));
        assert_eq!("waitingForGang".parse::<Waiting>(), Err(UnknownReason));
    }

    #[test]
    fn the_reasons_are_those_of_the_contract() {
        let waiting: Vec<_> = Waiting::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(
            waiting.join(" "),
            "WaitingForQuota WaitingForGang WaitingForPlacement WaitingForPreemption ExceedsEntitlement \
             ExceedsMaxQuota ExceedsReservation PoolNotFound PoolNotLeaf PoolHeld PoolNotAllowed UnknownModel \
             Misconfigured PlacementTimeout BackingOff UnknownResource"
        );
        let grounds: Vec<_> = Grounds::ALL.iter().map(|grounds| grounds.as_str()).collect();
        assert_eq!(grounds.join(" "), "WithinEntitlement OnLoan Replacement Adopted NotEnforced Released");
    }
}
