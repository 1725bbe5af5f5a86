//! Order, gangs, loans and reclaim: the queue half of admission, as a state that is told events and answers with
//! decisions.
//!
//! ```text
//!   events ──▶ Queue::step(now, events) ──▶ decisions, each with its numbers
//!   pods, nodes, pools, budgets,            Admit, Wait, Evict, Claim, Release, Void, Over
//!   what came of earlier decisions, time
//! ```
//!
//! There is no I/O here and no clock: the caller records a round before it acts on it (B5a), carries it out and
//! reports what came of it. A decided admission counts as usage at once, so that a second step before the first is
//! carried out gives nothing away twice; [`Event::RoundLost`] takes it back, [`Event::Restored`] hands it to a new
//! leader. The same events in the same order give the same decisions.
//!
//! # Folders
//! | folder | holds | knows |
//! |---|---|---|
//! | `contract/` | what the queue is told and what it answers | nothing |
//! | `state/` | what is remembered, each kind with its own invariants; no rule | `contract` |
//! | `preemption/` | which pods go so that a claimant fits, worked out on a copy | `state` |
//! | `round/` | the rules, as functions on a `Round` that borrows the state for one step | all of these |
//!
//! # One step
//! 1. Events are taken in (`round::intake`). Each pod is counted in exactly one way (`state`) and stands in a queue,
//!    in its gang's place in the queue, or outside with a reason (`enqueue`, `gangs`, `elastic`).
//! 2. The demand that may move entitlements is sorted out (`eligibility`), and capacity is divided (`entitle`, by
//!    `weir_entitlement`). Entitlements do not move within a step.
//! 3. Claimants are asked first (`claims`). Then the pools in their fair order (`fair_order`), each by its own order
//!    (`state::queues`), through the list of checks (`checks`) onto nodes (`assumed`, `state::fit`).
//! 4. For workloads that are entitled and find no room a plan is made (`preemption`), carried out when a pool has
//!    been above its entitlement for long enough (`reclaim`).
//! 5. What no entitled workload can use is lent (`loans`).
//! 6. A pod that waits for another reason than before is told (`explain`). Draining pools and pods that were not
//!    placed in time lose theirs (`timeouts`).
//!
//! # Where each rule is
//! | rule | file |
//! |---|---|
//! | A5 capacity, kept up to date node by node | `state::nodes` |
//! | A7 only demand that can become usage counts | `eligibility`, `gangs` |
//! | A12 Hold and Drain; A14 grace period and `enforce: false` | `eligibility`, `timeouts`, `reclaim`, `dry_run` |
//! | B2 order, patience, Strict, which pool goes next | `state::queues`, `fair_order`, `admit`, `claims` |
//! | B3, B4 entitlement and reservation | `checks` |
//! | B5 gangs and replacements; B5a intents that are void | `gangs`, `intake::record` |
//! | B5 gangs that may have more pods than they need (Ray clusters) | `state::gang_members`, `elastic` |
//! | B6 what fits where | `state::fit`, `state::nodes`, `assumed`, `contract::hosts` |
//! | B7 placement timeout | `timeouts` |
//! | B9 loans | `loans` |
//! | C1, C2 which pods a plan takes, and for which claimant; C3 budgets | `reclaim`, `preemption` |
//! | C3 pods that do not end | `overdue` |
//! | C5 claims, so that no pod is evicted twice for one demand | `claims` |
//! | C6 priorities within a pool | `preemption::draft` |
//!
//! # Why it is fast
//! Pods of one template are one shape, and workloads that ask for the same are one bucket of a queue: a check is
//! made once for each bucket of a leaf, whatever stands in it. Sums, answers (`state::demand`, `state::verdicts`)
//! and how many pods of a shape fit on a node (`state::fit`) are kept and brought up to date where something
//! changed.
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

mod contract;
mod preemption;
mod round;
mod state;

use weir_entitlement::{Entitlements, Input};
use weir_model::{Amount, Dim, Dimensions, PoolError, PoolId, PoolTree};

pub use contract::decision::*;
pub use contract::event::*;
pub use contract::explanation::{Explanation, PoolName};
pub use contract::filters::{FilterHosts, ShapeView};
pub use contract::hosts::{Hosts, Node};
pub use contract::pod::*;
pub use contract::selector::{Effect, Operator, Requirement, Taint, Term, Toleration};
pub use contract::settings::*;
pub use contract::time::Time;

use round::{Round, explain, overdue};
use state::State;
use state::clocks::Clocks;
use state::queues::LeafQueue;

/// What is remembered of pods, nodes and pools, and the door to the rules.
///
/// See the [crate's documentation](crate) for what a queue is told and what it answers.
///
/// ```
/// # use weir_placement::{Filters, gpu::GpuNames};
/// use weir_queue::{Config, FilterHosts, Queue};
/// # let gpu = GpuNames::new(vec!["nvidia.com/gpu".into()], vec![])?;
/// let hosts = FilterHosts { filters: Filters::default(), gpu };
/// let queue = Queue::new(Box::new(hosts), Config::default());
/// assert!(queue.is_empty());
/// # Ok::<(), weir_placement::gpu::GpuNamesError>(())
/// ```
pub struct Queue {
    config: Config,
    state: State,
    clocks: Clocks,
    now: Time,
    /// The round that is decided next.
    round: u64,
}

impl Queue {
    /// An empty queue: no pools, no nodes, no pods.
    #[must_use]
    pub fn new(hosts: Box<dyn Hosts>, config: Config) -> Self {
        Self { config, state: State::new(hosts), clocks: Clocks::default(), now: Time::ZERO, round: 1 }
    }

    /// Takes in what happened until `now`, and decides.
    ///
    /// The same events in the same order give the same decisions. A moment before the last one counts as the
    /// last one.
    ///
    /// ```
    /// # use weir_placement::{Filters, gpu::GpuNames};
    /// use weir_queue::{Config, Event, FilterHosts, Node, PoolConfig, Queue, Time};
    /// # let gpu = GpuNames::new(vec!["nvidia.com/gpu".into()], vec![])?;
    /// # let hosts = FilterHosts { filters: Filters::default(), gpu };
    /// let mut queue = Queue::new(Box::new(hosts), Config::default());
    /// let allocatable = [("cpu".to_owned(), weir_model::Amount::new(8000))].into();
    /// let node = Node { name: "node-0".into(), allocatable, ..Node::default() };
    /// let pool = PoolConfig { name: "research".into(), ..PoolConfig::default() };
    /// let decisions = queue.step(Time::from_millis(1), [Event::Node(node), Event::Pools(vec![pool])]);
    /// assert!(decisions.is_empty(), "no pod, no decision");
    ///
    /// let research = queue.pools().0.find("research").unwrap();
    /// let cpu = queue.dimensions().find("cpu").unwrap();
    /// assert_eq!(queue.entitlements().amount(research, cpu).units(), 8000);
    /// # Ok::<(), weir_placement::gpu::GpuNamesError>(())
    /// ```
    pub fn step(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> Vec<Decision> {
        self.now = self.now.max(now);
        let round = Round::new(&mut self.config, &mut self.state, &mut self.clocks, self.now, self.round);
        let decisions = round::run(round, events);
        self.round += 1;
        decisions
    }

    /// Why a pod waits, in the numbers of the last step; `None` if it does not wait.
    #[must_use]
    pub fn explain(&self, uid: Uid) -> Option<Explanation> {
        explain::pod(&self.state, self.now, self.state.pods.find(uid)?)
    }

    /// The grounds on which a pod is admitted, or its admission decided; `None` if it waits.
    #[must_use]
    pub fn grounds(&self, uid: Uid) -> Option<Grounds> {
        Some(self.state.pods.running(self.state.pods.find(uid)?)?.grounds)
    }

    /// The pods at the head of a leaf's queue, at most so many, in their order; of a gang all its members.
    #[must_use]
    pub fn first(&self, leaf: PoolId, most: usize) -> Vec<Uid> {
        let Some(queue) = self.state.queues.get(leaf) else { return Vec::new() };
        let mut heads: Vec<_> = queue.buckets.values().flat_map(|bucket| bucket.order.iter().take(most)).collect();
        heads.sort_unstable_by_key(|(key, _)| **key);
        let members = heads.into_iter().flat_map(|(_, queued)| self.state.uids(queued.workload));
        members.take(most).collect()
    }

    /// What a pool and the pools under it use, ask for in all, and how many pods and gangs wait in a leaf.
    #[must_use]
    pub fn standing(&self, pool: PoolId, dim: Dim) -> Standing {
        let State { usage, queues, .. } = &self.state;
        Standing {
            usage: usage.admitted.amount(pool, dim),
            non_preemptible: usage.non_preemptible.amount(pool, dim),
            demand: usage.waiting.amount(pool, dim),
            waiting: queues.get(pool).map_or(0, LeafQueue::waiting),
        }
    }

    /// The pools that hang on the root, and what is wrong with each of the others.
    #[must_use]
    pub const fn pools(&self) -> (&PoolTree, &[PoolError]) {
        (&self.state.pools.tree, self.state.pools.errors.as_slice())
    }

    /// The dimensions that became known, with their names.
    #[must_use]
    pub const fn dimensions(&self) -> &Dimensions {
        &self.state.shapes.dims
    }

    /// The entitlements that the last step decided on.
    #[must_use]
    pub fn entitlements(&self) -> &Entitlements {
        self.state.pools.entitlements()
    }

    /// What the last step's entitlements follow from, together with [`Queue::pools`]: with these, they can be
    /// computed again.
    #[must_use]
    pub const fn inputs(&self) -> &Input {
        self.state.pools.inputs()
    }

    /// What unmanaged pods hold on all nodes: it is not divided.
    #[must_use]
    pub fn unmanaged_use(&self, dim: Dim) -> Amount {
        self.state.nodes.unmanaged(dim)
    }

    /// The pods that are being deleted and do not end: no plan waits for them any more (C3).
    ///
    /// ```
    /// # use weir_placement::{Filters, gpu::GpuNames};
    /// use weir_queue::{Config, FilterHosts, Queue};
    /// # let gpu = GpuNames::new(vec!["nvidia.com/gpu".into()], vec![])?;
    /// # let hosts = FilterHosts { filters: Filters::default(), gpu };
    /// assert!(Queue::new(Box::new(hosts), Config::default()).stuck().is_empty());
    /// # Ok::<(), weir_placement::gpu::GpuNamesError>(())
    /// ```
    #[must_use]
    pub fn stuck(&self) -> Vec<Stuck> {
        overdue::stuck(&self.state)
    }

    /// How many pods are known, waiting and admitted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.pods.len()
    }

    /// Whether no pod is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many different shapes and requests are kept: at most about twice as many as pods have, and a thousand.
    #[must_use]
    pub fn interned(&self) -> usize {
        self.state.shapes.len()
    }

    /// Forgets all that is only remembered to be quick; the next step finds it out again. Decisions do not depend
    /// on it.
    pub fn forget_verdicts(&mut self) {
        self.state.forget_caches();
    }
}

/// Where a pool stands in one dimension.
///
/// ```
/// use weir_queue::Standing;
/// let idle = Standing::default();
/// assert!(idle.usage.is_zero() && idle.waiting == 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests of admitted pods.
    pub usage: Amount,
    /// The part of it that cannot be taken.
    pub non_preemptible: Amount,
    /// Requests of all waiting pods, eligible or not.
    pub demand: Amount,
    /// How many pods and gangs stand in the queue of a leaf; those that are not complete do not.
    pub waiting: usize,
}
