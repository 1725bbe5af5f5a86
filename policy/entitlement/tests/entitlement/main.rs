//! Entitlement from outside: scenarios, invariants, an independent oracle, and Peloton's own cases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod forest;
mod oracle;
mod peloton;
mod properties;
mod scenarios;
mod scene;
