//! What administrators set: of the whole, and of each pool beside what it is given.

use std::time::Duration;

use weir_model::{Amount, ResourceSpec};

use super::time::Time;

/// What holds for all pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether pods wait at all. Turned off, everybody is admitted and told what would have happened.
    pub enforcement: Enforcement,
    /// No eviction before this moment: the grace period after Weir was turned on in a cluster that runs.
    pub evictions_from: Time,
    /// How long a pool has to be above its entitlement, without a break, before anything is taken from it.
    pub hysteresis: Duration,
    /// How long an admitted pod may stay unplaced.
    pub placement_timeout: Duration,
    /// The scheduler counts as working for this long after it last made progress. Longer than the five
    /// minutes for which kube-scheduler may leave a pod alone that it could not place.
    pub scheduler_patience: Duration,
    /// How long a pod is left alone after an eviction of it was refused.
    pub eviction_retry: Duration,
    /// How many pods may go at most for one claimant: what one claim of a recorded round can name.
    pub largest_plan: usize,
    /// How many pods of draining pools, or killed for not being placed, may go at most within a minute.
    pub kills_per_minute: u32,
    /// What becomes of unplaced pods that no controller would make again.
    pub bare_pods: BarePods,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enforcement: Enforcement::On,
            evictions_from: Time::ZERO,
            hysteresis: Duration::from_secs(60),
            placement_timeout: Duration::from_secs(25 * 60),
            scheduler_patience: Duration::from_secs(6 * 60),
            eviction_retry: Duration::from_secs(60),
            largest_plan: 4096,
            kills_per_minute: 60,
            bare_pods: BarePods::Keep,
        }
    }
}

/// Whether pods wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// They do.
    #[default]
    On,
    /// Everybody is admitted and nobody evicted; decisions say what would have been done.
    Off,
}

/// Whether a pod without a controller is killed when it is not placed in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarePods {
    /// It stays: nobody would make it again.
    #[default]
    Keep,
    /// It goes like any other.
    Kill,
}

/// A pool: its place in the tree, what it is given, how its queue works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolConfig {
    /// Unique, not empty.
    pub name: String,
    /// The pool above; `None` means directly under the cluster.
    pub parent: Option<String>,
    /// What is given of each dimension, by the dimension's name.
    pub resources: Vec<(String, ResourceSpec)>,
    /// How its queue works.
    pub settings: PoolSettings,
}

/// How a pool's queue works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Whether it takes anything new.
    pub state: PoolState,
    /// Whether others may pass a blocked head.
    pub strategy: Strategy,
    /// How long a blocked head lets others pass before it holds a claim.
    pub patience: Duration,
    /// How long a pod runs before it may be taken.
    pub min_runtime: Duration,
    /// How long before an eviction a pod is warned.
    pub notice: Duration,
    /// Whether a pod of higher priority may take the place of preemptible ones of lower priority.
    pub within_pool: WithinPool,
    /// The largest pod or gang that it takes, by dimension; nothing listed, no bound.
    pub max_workload: Vec<(String, Amount)>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            state: PoolState::Active,
            strategy: Strategy::BestEffort,
            patience: Duration::from_secs(600),
            min_runtime: Duration::ZERO,
            notice: Duration::ZERO,
            within_pool: WithinPool::Never,
            max_workload: Vec::new(),
        }
    }
}

/// Whether a pool takes anything new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolState {
    /// It does.
    #[default]
    Active,
    /// Nothing new; what runs, runs on.
    Hold,
    /// Nothing new, and preemptible pods are evicted; others run to their end.
    Drain,
}

/// Whether others may pass a blocked head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// They may, until the head has waited for the pool's patience.
    #[default]
    BestEffort,
    /// Nobody passes.
    Strict,
}

/// Whether a waiting pod may take the place of running ones of its own pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithinPool {
    /// It may not.
    #[default]
    Never,
    /// It may, of preemptible ones of lower priority.
    LowerPriority,
}
