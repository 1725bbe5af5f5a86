//! Scenarios: a pool tree, a few jobs, and what becomes of them. Each file tells one part of the story.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod admission;
mod assumed;
mod borrowing;
mod bounded;
mod capacity;
mod cluster;
mod elastic;
mod gangs;
mod giving;
mod hour;
mod order;
mod patience;
mod properties;
mod refusals;
mod taking;
mod victims;
