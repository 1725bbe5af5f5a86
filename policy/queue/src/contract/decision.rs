//! What was decided, each with the numbers that it was decided on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use weir_model::Amount;

use super::explanation::{Explanation, PoolName};
use super::pod::{Grounds, Uid};
use super::time::Time;

/// One decision. Whoever carries it out records it first (B5a) and reports what came of it as events.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// These pods may run: a pod, or a gang whole.
    Admit(Admission),
    /// These pods wait, for another reason than before.
    Wait(Waiting),
    /// These pods have to go.
    Evict(Eviction),
    /// These pods would have to go if admission were enforced; they stay.
    WouldEvict(Eviction),
    /// Room or quota is kept for somebody; recorded, so that it survives a change of leader.
    Claim(Claimed),
    /// A claim is dropped; what it kept is free for others.
    Release(Released),
    /// An admission that was recorded and not carried out is void: one of its gang is gone.
    Void(Vec<Uid>),
    /// Since when a pool has been above its entitlement while somebody waits for it; `None`: it no longer is.
    Over {
        /// The pool.
        pool: String,
        /// The dimension.
        dim: String,
        /// Since when.
        since: Option<Time>,
    },
}

/// An admission.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// The round that it belongs to; see [`crate::Event::RoundLost`].
    pub round: u64,
    /// The pods, each with the node on which the model found room. The scheduler is free to choose another.
    pub pods: Vec<(Uid, Option<Arc<str>>)>,
    /// Their pool.
    pub pool: String,
    /// What they ask for together, by dimension.
    pub amounts: Vec<(String, Amount)>,
    /// On what grounds.
    pub grounds: Grounds,
    /// For the pool and each ancestor, what they were entitled to and what they used just before.
    pub decided_on: Vec<DecidedOn>,
    /// Where nothing is enforced: why they would have waited.
    pub would_have: Option<Explanation>,
}

/// What a pool was entitled to and used when somebody was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedOn {
    /// The pool, or an ancestor.
    pub pool: PoolName,
    /// A dimension that the admitted ask for and that is checked there.
    pub dim: String,
    /// What it was entitled to.
    pub entitlement: Amount,
    /// What it used just before.
    pub usage: Amount,
    /// The part of the usage that leaves below it use beyond their own entitlements and that can be taken from
    /// them: it does not count against the pool's entitlement.
    pub beyond: Amount,
    /// What the admitted ask for.
    pub asked: Amount,
}

/// Pods that wait for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The pods whose reason changed.
    pub pods: Vec<Uid>,
    /// The reason, in numbers.
    pub why: Explanation,
}

/// Pods that have to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Eviction {
    /// What for.
    pub cause: Cause,
    /// Who goes; the members of a gang stand together.
    pub victims: Vec<Victim>,
    /// What the budgets of the victims allowed, and how many of their pods go.
    pub budgets: Vec<BudgetFact>,
}

/// One that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The pod.
    pub uid: Uid,
    /// Its pool.
    pub pool: String,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// How long it is warned before.
    pub notice: Duration,
}

/// What pods are evicted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A pool above its entitlement is brought back, for somebody who is within theirs.
    Reclaim {
        /// Who gets the room, with the nodes that are kept for each pod.
        claimant: Vec<(Uid, Arc<str>)>,
        /// The claimant's pool.
        pool: String,
        /// The pools above their entitlement that give.
        over: Vec<OverBy>,
    },
    /// A pod of higher priority takes their place in their pool.
    WithinPool {
        /// Who gets the room, with the nodes that are kept for each pod.
        claimant: Vec<(Uid, Arc<str>)>,
        /// The pool of both.
        pool: String,
    },
    /// Their pool, or an ancestor, drains.
    Drain {
        /// The pool whose state says so.
        pool: PoolName,
    },
    /// They were admitted and not placed in time.
    PlacementTimeout {
        /// For how long the scheduler tried, the time left out in which it made no progress.
        waited: Duration,
        /// How many of the gang, or of one pod, were placed.
        placed: u32,
        /// How many there are.
        of: u32,
    },
}

/// By how much a pool is above its entitlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverBy {
    /// The pool.
    pub pool: PoolName,
    /// The dimension.
    pub dim: String,
    /// What it uses, without what is already going.
    pub usage: Amount,
    /// What it is entitled to.
    pub entitlement: Amount,
}

/// What a budget allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetFact {
    /// Namespace and name.
    pub budget: String,
    /// How many of its pods may go now.
    pub allowed: u32,
    /// How many of them go.
    pub taken: u32,
}

/// What is kept for somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// Who it is for.
    pub claimant: Vec<Uid>,
    /// Their pool.
    pub pool: String,
    /// What they ask for together, by dimension.
    pub amounts: Vec<(String, Amount)>,
    /// The nodes that are kept, one for each pod; empty for a claim on quota alone.
    pub nodes: Vec<Arc<str>>,
    /// Who makes room.
    pub victims: Vec<Uid>,
}

/// A claim that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Who it was for.
    pub claimant: Vec<Uid>,
    /// Victims that are not going yet and need not go any more.
    pub spared: Vec<Uid>,
}

impl Eviction {
    /// The sentence of the condition `weir.dev/Preempted`, with pods as `called` names them.
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
