//! The admission sidecar: nobody runs before their turn.
//!
//! It watches the cluster, lets `policy/queue` decide, records the round and applies it. This crate reads
//! and writes Kubernetes objects and keeps the clock; who may run is decided in `policy/` alone.
//!
//! | module | does |
//! |---|---|
//! | [`config`] | the configuration file |
//! | [`managed`] | which pods are managed: one rule for webhook, policy and process |
//! | [`metadata`] | what a pod says in labels and annotations |
//! | [`mutate`] | what the webhook does to a pod |
//! | [`policy`] | the admission policy that refuses pods which went around the webhook |
//! | [`caches`] | namespaces, pools and the list of special hardware, on every replica |
//! | [`webhook`], [`http`], [`certificates`], [`install`] | what every replica serves and keeps installed |
//! | [`refusals`] | conditions and events about requests that the policy refuses |
//! | [`hardware`], [`schedulers`] | special hardware, and which list of it the scheduler has in force |
//! | [`pod_groups`], [`budgets`] | PodGroups of other schedulers, and disruption budgets |
//! | [`convert`] | Kubernetes objects to events of the queue |
//! | [`ray`] | gangs of Ray clusters, whose pods announce nothing |
//! | [`leader`], [`round_record`], [`pod_cache`], [`decision`], [`client`] | what the leader does: decide, record, apply, report |
//! | [`run`] | the order in which all of it starts |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

pub mod budgets;
pub mod caches;
pub mod certificates;
pub mod client;
pub mod config;
pub mod convert;
pub mod decision;
pub mod hardware;
pub mod http;
pub mod install;
pub mod leader;
pub mod managed;
pub mod metadata;
pub mod metrics;
pub mod mutate;
pub mod pod_cache;
pub mod pod_groups;
pub mod policy;
pub mod ray;
pub mod refusals;
pub mod round_record;
pub mod run;
pub mod schedulers;
pub mod webhook;
