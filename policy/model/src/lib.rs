//! The words that every part of Weir shares: quantities, dimensions, resource vectors, pools, well-known keys
//! and reasons.
//!
//! Nothing here does I/O, reads a clock, logs or knows a Kubernetes client. The crate is `no_std` with
//! `alloc` because the scheduler plugins, which are WebAssembly modules of a few kilobytes, use it too.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod amount;
pub mod dimension;
pub mod names;
pub mod node_state;
pub mod pool;
pub mod quantity;
pub mod reason;
pub mod requests;
pub mod vector;
pub mod view;

pub use amount::Amount;
pub use dimension::{Class, Dim, Dimensions};
pub use pool::{PoolError, PoolId, PoolSpec, PoolTree, ResourceKind, ResourceSpec};
pub use quantity::{Quantity, QuantityError};
pub use requests::{ContainerShape, PodShape, RequestError, Resources};
pub use vector::ResourceVec;
pub use view::{NodeView, PodView, RequirementView, TermView};
