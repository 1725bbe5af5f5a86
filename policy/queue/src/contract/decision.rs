//! Decisions, each with the numbers that it was made on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use weir_model::Amount;

use super::explanation::{Explanation, PoolName};
use super::pod::{Grounds, Uid};
use super::time::Time;

/// One decision. The caller records it before it carries it out (B5a), and reports what came of it as events.
///
/// ```
/// use weir_queue::{Decision, Uid};
/// let decisions = [Decision::Void(vec![Uid::new(1), Uid::new(2)])];
/// let void = decisions.iter().filter(|decision| matches!(decision, Decision::Void(_)));
/// assert_eq!(void.count(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Pods may run: one pod, or a gang whole.
    Admit(Admission),
    /// Pods wait, for another reason than before.
    Wait(Waiting),
    /// Pods have to go.
    Evict(Eviction),
    /// Pods would have to go if admission were enforced; they stay.
    WouldEvict(Eviction),
    /// Room or quota is kept for a workload that waits; recorded, so that it survives a change of leader.
    Claim(Claimed),
    /// A claim is dropped; what it kept is free for other workloads.
    Release(Released),
    /// An admission that was recorded and not carried out is void: a member of its gang is gone.
    Void(Vec<Uid>),
    /// A pool has been above its entitlement since a moment, while a workload waits for what it gives.
    Over {
        /// The pool.
        pool: String,
        /// The dimension.
        dim: String,
        /// The moment; `None` when the pool no longer is.
        since: Option<Time>,
    },
}

/// The admission of one workload.
///
/// ```
/// use weir_queue::{Admission, Grounds, Uid};
/// let admission = Admission {
///     round: 7,
///     pods: vec![(Uid::new(1), Some("node-0".into()))],
///     pool: "research".into(),
///     amounts: vec![("nvidia.com/gpu".into(), weir_model::Amount::new(8))],
///     grounds: Grounds::WithinEntitlement,
///     decided_on: vec![],
///     would_have: None,
/// };
/// assert_eq!(admission.pods.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// The round that the admission belongs to; see [`crate::Event::RoundLost`].
    pub round: u64,
    /// The pods, each with the node on which the model found room. The scheduler is free to choose another.
    pub pods: Vec<(Uid, Option<Arc<str>>)>,
    /// The pool of the pods.
    pub pool: String,
    /// What the pods ask for together, by dimension.
    pub amounts: Vec<(String, Amount)>,
    /// The grounds of the admission.
    pub grounds: Grounds,
    /// What the pool and each ancestor were entitled to and used just before.
    pub decided_on: Vec<DecidedOn>,
    /// Why the pods would have waited, where nothing is enforced.
    pub would_have: Option<Explanation>,
}

/// What a pool was entitled to and used just before an admission.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::{DecidedOn, PoolName};
/// let fact = DecidedOn {
///     pool: PoolName("research".into()),
///     dim: "nvidia.com/gpu".into(),
///     entitlement: Amount::new(16),
///     usage: Amount::new(10),
///     beyond: Amount::new(2),
///     asked: Amount::new(8),
/// };
/// assert!(fact.usage.minus(fact.beyond) + fact.asked <= fact.entitlement);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedOn {
    /// The pool, or an ancestor.
    pub pool: PoolName,
    /// A dimension that the admitted pods ask for and that is checked there.
    pub dim: String,
    /// What the pool was entitled to.
    pub entitlement: Amount,
    /// What the pool used just before.
    pub usage: Amount,
    /// The part of the usage that leaves below it use beyond their own entitlements and that can be taken from
    /// them: it does not count against the pool's entitlement.
    pub beyond: Amount,
    /// What the admitted pods ask for.
    pub asked: Amount,
}

/// Pods that wait for one reason.
///
/// ```
/// use weir_queue::{Explanation, Uid, Waiting};
/// let waiting = Waiting { pods: vec![Uid::new(1)], why: Explanation::Gang { created: 3, size: 4 } };
/// assert_eq!(waiting.why.to_string(), "3 of 4 members are there");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The pods whose reason changed.
    pub pods: Vec<Uid>,
    /// The reason, in numbers.
    pub why: Explanation,
}

/// Pods that have to go.
///
/// ```
/// use weir_queue::{Cause, Eviction, PoolName};
/// let cause = Cause::Drain { pool: PoolName("research".into()) };
/// let eviction = Eviction { cause, victims: vec![], budgets: vec![] };
/// assert_eq!(eviction.to_string(), "pool \"research\" drains (spec.state)");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Eviction {
    /// What the pods are evicted for.
    pub cause: Cause,
    /// The pods that go; the members of a gang stand together.
    pub victims: Vec<Victim>,
    /// What the budgets of the victims allowed, and how many of their pods go.
    pub budgets: Vec<BudgetFact>,
}

/// A pod that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The pod.
    pub uid: Uid,
    /// Its pool.
    pub pool: String,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// How long before its eviction the pod is warned.
    pub notice: Duration,
}

/// What pods are evicted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A pool above its entitlement is brought back, for a workload within its own pool's entitlement.
    Reclaim {
        /// The pods that get the room, each with the node that is kept for it.
        claimant: Vec<(Uid, Arc<str>)>,
        /// The claimant's pool.
        pool: String,
        /// The pools above their entitlement that give.
        over: Vec<OverBy>,
    },
    /// A pod of higher priority in the same pool takes the place of the victims.
    WithinPool {
        /// The pods that get the room, each with the node that is kept for it.
        claimant: Vec<(Uid, Arc<str>)>,
        /// The pool of claimant and victims.
        pool: String,
    },
    /// The victims' pool, or an ancestor, drains.
    Drain {
        /// The pool whose state says so.
        pool: PoolName,
    },
    /// The victims were admitted and not placed in time.
    PlacementTimeout {
        /// For how long the scheduler tried, without the time in which it made no progress.
        waited: Duration,
        /// How many of the gang, or of one pod, were placed.
        placed: u32,
        /// How many there are.
        of: u32,
    },
}

/// By how much a pool is above its entitlement.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::{OverBy, PoolName};
/// let over = OverBy {
///     pool: PoolName("research".into()),
///     dim: "nvidia.com/gpu".into(),
///     usage: Amount::new(20),
///     entitlement: Amount::new(16),
/// };
/// assert_eq!(over.usage.minus(over.entitlement), Amount::new(4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverBy {
    /// The pool.
    pub pool: PoolName,
    /// The dimension.
    pub dim: String,
    /// What the pool uses, without what is already going.
    pub usage: Amount,
    /// What the pool is entitled to.
    pub entitlement: Amount,
}

/// What a disruption budget allowed when pods were evicted under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetFact {
    /// Namespace and name.
    pub budget: String,
    /// How many of its pods might go.
    pub allowed: u32,
    /// How many of its pods go.
    pub taken: u32,
}

/// What is kept for a workload that waits.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::{Claimed, Uid};
/// let claim = Claimed {
///     claimant: vec![Uid::new(1)],
///     pool: "research".into(),
///     amounts: vec![("nvidia.com/gpu".into(), Amount::new(8))],
///     nodes: vec!["node-0".into()],
///     held: vec![],
///     victims: vec![Uid::new(2), Uid::new(3)],
/// };
/// assert_eq!(claim.nodes.len(), claim.claimant.len());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The pods that the claim is for.
    pub claimant: Vec<Uid>,
    /// The pool of the pods.
    pub pool: String,
    /// What the pods ask for together, by dimension.
    pub amounts: Vec<(String, Amount)>,
    /// The nodes that are kept, one for each pod; empty for a claim on quota alone.
    pub nodes: Vec<Arc<str>>,
    /// What a claim from patience keeps on these nodes so far. It is decided anew each time that this changes.
    pub held: Vec<Held>,
    /// The pods that make room; empty for a claim from patience.
    pub victims: Vec<Uid>,
}

/// What a claim keeps on a node.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::Held;
/// let held = Held { node: "node-0".into(), amounts: vec![("nvidia.com/gpu".into(), Amount::new(1))] };
/// assert_eq!(held.amounts.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The node.
    pub node: Arc<str>,
    /// How much of each resource, by the name of the resource.
    pub amounts: Vec<(String, Amount)>,
}

/// A pod that is being deleted and does not end within its grace period and some slack.
///
/// ```
/// use weir_queue::{Stuck, Time, Uid};
/// let stuck = Stuck { uid: Uid::new(1), pool: "research".into(), node: Some("node-0".into()), since: Time::ZERO };
/// assert!(stuck.since < Time::MAX);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The pod.
    pub uid: Uid,
    /// Its pool.
    pub pool: String,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// When its deletion began.
    pub since: Time,
}

/// A claim that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The pods that the claim was for; empty where pods are spared without one.
    pub claimant: Vec<Uid>,
    /// Victims that are not going yet and need not go any more.
    pub spared: Vec<Uid>,
}

impl Eviction {
    /// The sentence of the condition `weir.dev/Preempted`, with pods as `called` names them.
    ///
    /// ```
    /// use weir_queue::{Cause, Eviction, Uid};
    /// let cause = Cause::WithinPool { claimant: vec![(Uid::new(1), "node-0".into())], pool: "research".into() };
    /// let eviction = Eviction { cause, victims: vec![], budgets: vec![] };
    /// assert_eq!(
    ///     eviction.sentence(|_| "team/train-0".into()),
    ///     "pod team/train-0 of pool \"research\" has a higher priority and takes the place",
    /// );
    /// ```
    #[must_use]
    pub fn sentence(&self, called: impl Fn(Uid) -> String) -> String {
        let mut sentence = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut sentence, &called);
        sentence
    }

    fn write(&self, f: &mut impl fmt::Write, called: &dyn Fn(Uid) -> String) -> fmt::Result {
        match &self.cause {
            Cause::Reclaim { claimant, pool, over } => {
                for OverBy { pool, dim, usage, entitlement } in over {
                    write!(f, "{pool} uses {usage} {dim} and is entitled to {entitlement}; ")?;
                }
                let first = claimant.first().map(|&(uid, _)| called(uid)).unwrap_or_default();
                match claimant.len() {
                    0 | 1 => write!(f, "the room goes to pod {first} of pool {pool:?}"),
                    count => write!(f, "the room goes to {count} pods of pool {pool:?}, the first of them {first}"),
                }
            }
            Cause::WithinPool { claimant, pool } => {
                let first = claimant.first().map(|&(uid, _)| called(uid)).unwrap_or_default();
                write!(f, "pod {first} of pool {pool:?} has a higher priority and takes the place")
            }
            Cause::Drain { pool } => write!(f, "{pool} drains (spec.state)"),
            Cause::PlacementTimeout { waited, placed, of } => write!(
                f,
                "admitted and not placed for {} s; {placed} of {of} placed: killed to give the resources back",
                waited.as_secs()
            ),
        }
    }
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &|uid| uid.to_string())
    }
}
