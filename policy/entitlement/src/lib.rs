//! Entitlements: how much each pool may use, by hierarchical max-min fairness, and what the cluster has to divide.
//!
//! [`capacity()`] sums what the nodes have to give. [`Entitler`] divides it down the pool tree, per
//! dimension, level by level, in exact integers:
//!
//! 1. bottom-up, what each pool uses, asks for and may have at most (`bottom_up`);
//! 2. top-down, in each parent (`family`): what cannot be taken, then reservations, then unmet requirement by
//!    weighted max-min, then what no pool asks for;
//! 3. on demand, where each number comes from (`trace`, `lenders`) and what deserves attention (`condition`).
//!
//! It does not decide which pods of a pool run, when a pool is brought back to its entitlement, or which demand
//! is eligible: that is `policy/queue`. `docs/entitlement.md` explains the rule with an example.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

pub mod capacity;
pub mod condition;
#[cfg(feature = "document")]
pub mod document;
pub mod entitler;
pub mod lenders;
pub mod table;
pub mod trace;

mod bottom_up;
mod column;
mod family;
mod fill;
mod fraction;
mod shape;

pub use capacity::{Capacity, Exclusion, Maintenance, NodeUse, capacity};
pub use condition::Condition;
#[cfg(feature = "document")]
pub use document::{BadDocument, Document};
pub use entitler::{Entitlements, Entitler, Input, entitle};
pub use fraction::Fraction;
pub use lenders::{Borrowing, Lender};
pub use table::PoolTable;
pub use trace::{CappedBy, Trace};
