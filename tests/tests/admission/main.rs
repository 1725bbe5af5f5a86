//! The admission sidecar on a real API server: who is gated, what each mistake gets, and that no crash and no
//! second leader ever admits half a gang or more than there is.
//!
//! One test for each kind of bad input, named after it. They share a control plane and one sidecar, each in a
//! namespace and pools of its own; tests that kill or configure a sidecar own a control plane. All end
//! with the judge of `make run` over everything that the API server's watch told since the world began, and
//! none goes on with a sidecar that was refused a right.
//!
//! | file | what is shown |
//! |---|---|
//! | [`guard`] | who is gated, and that nobody admits himself |
//! | [`pods`], [`gangs`], [`pools`] | mistakes on pods, of gangs, in pools |
//! | [`crashes`] | sidecars killed, two leaders, the webhook down |
//! | [`giving_back`] | reclaim, budgets, notice, a leader killed in the middle of it; Drain; pods without a place |
//! | [`aliases`] | other names of GPU models, with the placing scheduler |
//! | [`ray`] | pods that the real KubeRay operator makes |
//! | [`modes`] | pods that ran before, `enforce: false`, release by hand |
//! | [`commands`] | `kubectl weir` |
//! | [`world`], [`namespace`], [`history`] | the harness: a control plane with sidecars, a test's part of it, the watch and its judge |
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod aliases;
mod commands;
mod crashes;
mod gangs;
mod giving_back;
mod guard;
mod history;
mod modes;
mod namespace;
mod pods;
mod pools;
mod ray;
mod world;
