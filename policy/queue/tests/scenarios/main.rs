//! Scenarios: a pool tree, a few jobs, and what becomes of them. Each file tells one part of the story.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod admission;
mod borrowing;
mod capacity;
mod cluster;
mod gangs;
mod giving;
mod hour;
mod order;
mod parts;
mod presumed;
mod properties;
mod taking;
