//! One pod, one node: may the pod run there, and how well would it sit.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod binpack;
pub mod load;
pub mod score;

pub use score::Score;
