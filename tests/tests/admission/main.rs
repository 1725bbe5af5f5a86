//! The admission sidecar on a real API server: which pods are gated, what each mistake gets, and that no crash and no
//! second leader ever admits half a gang or more than there is.
//!
//! One test for each kind of bad input, named after it. They share a world with one sidecar, each in a namespace and
//! pools of its own; tests that kill or configure a sidecar own a world. All end
//! with the judge of `make run` over everything that the API server's watch told since the world began, and
//! none goes on with a sidecar that was refused a right.
//!
//! | file | what is shown |
//! |---|---|
//! | [`guard`] | which pods are gated, and that no tenant admits one |
//! | [`pods`], [`gangs`], [`pools`] | mistakes on pods, of gangs, in pools |
//! | [`crashes`] | sidecars killed, two leaders, the webhook down |
//! | [`settings`] | pools, namespaces, nodes that change while pods wait: no cluster is listed for it |
//! | [`trouble`] | pods that cannot be written, and that nobody else waits for them |
//! | [`giving_back`] | reclaim, budgets, notice, a leader killed in the middle of it; Drain; pods without a place |
//! | [`aliases`] | other names of GPU models, with the placing scheduler |
//! | [`ray`] | pods that the real KubeRay operator makes |
//! | [`modes`] | pods that ran before, `enforce: false`, release by hand |
//! | [`commands`] | `kubectl weir` |
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod aliases;
mod commands;
mod crashes;
mod gangs;
mod giving_back;
mod guard;
mod modes;
mod pods;
mod pools;
mod ray;
mod settings;
mod trouble;
