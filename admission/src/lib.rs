//! The admission sidecar: nobody runs before their turn.
//!
//! It watches the cluster, lets `policy/queue` decide, writes the round down and applies it. This crate reads
//! and writes Kubernetes objects and keeps the clock; who may run is decided in `policy/` alone.
//!
//! | module | does |
//! |---|---|
//! | [`config`] | the configuration file |
//! | [`managed`] | which pods are managed: one rule for webhook, policy and process |
//! | [`keys`] | what a pod says in labels and annotations |
//! | [`mutate`] | what the webhook does to a pod |
//! | [`guard`] | the policy that lets nobody admit himself |
//! | [`watched`] | namespaces, pools and the list of special hardware, on every replica |
//! | [`webhook`], [`http`], [`certificates`], [`install`] | what every replica serves and keeps right |
//! | [`refusals`] | what becomes of requests that the policy refuses |
//! | [`hardware`], [`schedulers`] | special hardware, and which list of it the scheduler has in force |
//! | [`pod_groups`], [`budgets`] | PodGroups of other schedulers, and disruption budgets |
//! | [`read`] | Kubernetes objects as the queue is told of them |
//! | [`ray`] | gangs of Ray clusters, whose pods announce nothing |
//! | [`reign`], [`book`], [`pods`], [`record`], [`writes`] | what the leader does: decide, record, carry out, report |
//! | [`program`] | the order in which all of it starts |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

pub mod book;
pub mod budgets;
pub mod certificates;
pub mod config;
pub mod guard;
pub mod hardware;
pub mod http;
pub mod install;
pub mod keys;
pub mod managed;
pub mod metrics;
pub mod mutate;
pub mod pod_groups;
pub mod pods;
pub mod program;
pub mod ray;
pub mod read;
pub mod record;
pub mod refusals;
pub mod reign;
pub mod schedulers;
pub mod watched;
pub mod webhook;
pub mod writes;
