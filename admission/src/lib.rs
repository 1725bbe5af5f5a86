//! The admission sidecar: nobody runs before their turn.
//!
//! It watches the cluster, lets `policy/queue` decide, records the round and applies it. This crate reads
//! and writes Kubernetes objects and keeps the clock; who may run is decided in `policy/` alone.
//!
//! | module | does |
//! |---|---|
//! | [`run`] | starts everything, in order, and leads while it holds the lease |
//! | [`config`] | the configuration file |
//! | [`webhook`] | what every replica serves and keeps installed: the webhook and the admission policy |
//! | [`watch`] | what every replica watches: namespaces, pools, special hardware, Ray clusters |
//! | [`convert`] | Kubernetes objects to events of the queue |
//! | [`leader`] | what the leader does: watch, decide, record, apply, report |
//! | [`client`] | the writes, each with an outcome |
//! | [`clock`] | the clocks of this machine, read in one place |
//! | [`http`], [`metrics`] | health, readiness and metrics |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

pub mod client;
pub mod clock;
pub mod config;
pub mod convert;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod run;
pub mod watch;
pub mod webhook;
