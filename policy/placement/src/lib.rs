//! One pod, one node: may the pod run there, and how well would it sit.
//!
//! Each rule is a file of its own and a pure function of what [`weir_model::PodView`] and
//! [`weir_model::NodeView`] tell. The scheduler plugins ask here, and so do the admission sidecar and the
//! simulator; what they do with the answer is theirs.
//!
//! | rule | file | plugin |
//! |---|---|---|
//! | GPU hosts are for GPU pods, GPU pods for GPU hosts | [`gpu`] | `gpu-filter` |
//! | special hardware is for pods that name it | [`sku`] | `sku-exclusion-filter` |
//! | GPU pods sit close together | [`binpack`] | `binpack-score` |
//! | CPU pods go to the least occupied CPU nodes | [`load`] | `loadaware-score` |
//! | both filters, seen as a partition of the hosts | [`class`](mod@class) | (entitlement's dimensions) |
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod binpack;
pub mod class;
#[cfg(test)]
mod fixture;
pub mod gpu;
pub mod load;
pub mod score;
pub mod sku;

pub use class::{Filters, NoClass};
pub use score::Score;
