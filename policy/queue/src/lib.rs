//! Who goes next, gangs, who gives way: the queue half of admission, as a state that is told events and
//! answers with decisions.
//!
//! ```text
//!   events ──▶ Queue::step(now, events) ──▶ decisions, each with its numbers
//!   pods, nodes, pools, budgets,            Admit, Wait, Evict, Claim, Release, Void, Over
//!   what came of earlier decisions, time
//! ```
//!
//! There is no I/O here and no clock: whoever calls records a round before it acts on it (B5a), carries it out
//! and reports what came of it. A decided admission counts as usage at once, so that a second step before the
//! first is carried out gives nothing away twice; [`Event::RoundLost`] takes it back, [`Event::Restored`]
//! hands it to a new leader. The same events in the same order give the same decisions.
//!
//! # One step
//! 1. Events are taken in (`intake`). Each pod is counted in exactly one way (`state`) and stands in a queue,
//!    in its gang's place in the queue, or aside with a reason (`gangs`).
//! 2. What of the waiting may move entitlements is sorted out (`eligibility`), and capacity is divided
//!    (`weir_entitlement`, through `pools`). Entitlements do not move within a step.
//! 3. Whoever has a claim is asked first (`claims`). Then the pools in turn (`fair_order`), each by its own order
//!    (`queues`), through the list of admitters (`admit`) onto nodes (`fit`, `nodes`).
//! 4. For those who are entitled and find no room a plan is made (`reclaim`, `plan`, `node_costs`,
//!    `candidates`), carried out when a pool has been above its entitlement for long enough.
//! 5. What nobody entitled can use is lent (`loans`).
//! 6. Whoever waits for another reason than before is told (`explanation`). Draining pools and pods that were not
//!    placed in time lose theirs (`timeouts`).
//!
//! # Where each rule is
//! | rule | file |
//! |---|---|
//! | A5 capacity, kept up to date node by node | `nodes` |
//! | A7 only demand that can become usage counts | `eligibility`, `gangs` |
//! | A12 Hold and Drain; A14 grace period and `enforce: false` | `eligibility`, `timeouts`, `reclaim`, `dry_run` |
//! | B2 order, patience, Strict, whose turn it is | `queues`, `fair_order`, `admit`, `claims` |
//! | B3, B4 entitlement and reservation | `admit` |
//! | B5 gangs and replacements; B5a intents that are void | `gangs`, `intake` |
//! | B5 gangs that may have more pods than they need (Ray clusters) | `elastic` |
//! | B6 what fits where | `fit`, `nodes`, `assumed`, `selector` |
//! | B7 placement timeout | `timeouts` |
//! | B9 loans | `loans` |
//! | C1, C2 whom a plan takes, and for whom; C3 budgets | `reclaim`, `plan`, `node_costs`, `candidates` |
//! | C5 claims, so that nobody is evicted twice for one demand | `claims` |
//! | C6 priorities within a pool | `plan` |
//!
//! # Why it is fast
//! Pods of one template are one shape, and workloads that ask for the same are one bucket of a queue: a check is
//! made once for each bucket of a leaf, whatever stands in it. Sums, answers (`eligibility`, `verdicts`) and how
//! many pods of a shape fit on a node are kept and brought up to date where something changed.
//!
//! # Example
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use weir_model::{Amount, Class};
//! use weir_queue::*;
//!
//! struct OneClass;
//! impl Hosts for OneClass {
//!     fn is_gpu(&self, resource: &str) -> bool { resource == "nvidia.com/gpu" }
//!     fn pod_class(&self, _: &PodShape) -> Result<Class, Obstacle> { Ok(Class::GpuHosts) }
//!     fn node_class(&self, _: &Node) -> Class { Class::GpuHosts }
//! }
//!
//! let resources = |gpus| BTreeMap::from([("nvidia.com/gpu".to_owned(), Amount::new(gpus))]);
//! let mut allocatable = resources(8);
//! allocatable.insert("pods".to_owned(), Amount::new(110));
//! let node = Node { name: "node-0".into(), allocatable, ..Node::default() };
//! let pool = PoolConfig { name: "research".into(), ..PoolConfig::default() };
//! let pod = |uid, gpus| Event::Pod(Pod {
//!     uid: Uid::new(uid),
//!     pool: "research".into(),
//!     priority: 0,
//!     created: Time::ZERO,
//!     preemptible: true,
//!     gang: None,
//!     shape: Arc::new(PodShape { requests: resources(gpus), ..PodShape::default() }),
//!     phase: Phase::Waiting,
//!     obstacle: None,
//!     back_off: None,
//!     controlled: true,
//! });
//!
//! let mut queue = Queue::new(Box::new(OneClass), Config::default());
//! let events = [Event::Node(node), Event::Pools(vec![pool]), pod(1, 6), pod(2, 4)];
//! let decisions = queue.step(Time::from_millis(1), events);
//! assert!(matches!(&decisions[0], Decision::Admit(admission) if admission.pods[0].0 == Uid::new(1)));
//! assert_eq!(
//!     queue.explain(Uid::new(2)).unwrap().to_string(),
//!     "asks for 4 nvidia.com/gpu; pool \"research\" uses 6 of 8 that it is entitled to now",
//! );
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

mod admit;
mod assumed;
mod candidates;
mod claims;
mod decision;
mod dry_run;
mod elastic;
mod eligibility;
mod event;
mod explanation;
mod fair_order;
mod filters;
mod fit;
mod gangs;
mod hosts;
mod intake;
mod ledger;
mod loans;
mod node_costs;
mod nodes;
mod plan;
mod pod;
mod pods;
mod pools;
mod progress;
mod queues;
mod reclaim;
mod refusal;
mod selector;
mod settings;
mod shapes;
mod simulation;
mod state;
mod step;
mod time;
mod timeouts;
mod verdicts;

pub use decision::*;
pub use event::*;
pub use explanation::{Explanation, PoolName};
pub use filters::{FilterHosts, ShapeView};
pub use hosts::{Hosts, Node};
pub use pod::*;
pub use selector::{Effect, Operator, Requirement, Taint, Term, Toleration};
pub use settings::*;
pub use state::{Queue, Standing};
pub use time::Time;
