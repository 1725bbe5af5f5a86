//! Settings of administrators: of the whole, and of each pool beside what it is given.

use std::time::Duration;

use weir_model::{Amount, ResourceSpec};

use super::time::Time;

/// What holds for all pools.
///
/// ```
/// use std::time::Duration;
/// use weir_queue::{Config, Enforcement};
/// let trial = Config { enforcement: Enforcement::Off, ..Config::default() };
/// assert_eq!(trial.hysteresis, Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether pods wait at all. Turned off, every pod is admitted and told what would have happened.
    pub enforcement: Enforcement,
    /// No eviction before this moment: the grace period after Weir was turned on in a cluster that runs.
    pub evictions_from: Time,
    /// How long a pool has to be above its entitlement, without a break, before anything is taken from it.
    pub hysteresis: Duration,
    /// How long an admitted pod may stay unplaced.
    pub placement_timeout: Duration,
    /// How long the scheduler counts as working after it last made progress. Longer than the five minutes for
    /// which kube-scheduler may leave a pod alone that it could not place.
    pub scheduler_patience: Duration,
    /// How long a pod is left alone after an eviction of it was refused.
    pub eviction_retry: Duration,
    /// The most pods that may go for one claimant: what one claim of a recorded round can name.
    pub largest_plan: usize,
    /// The most pods of draining pools, or not placed in time, that may go within a minute.
    pub kills_per_minute: u32,
    /// Whether pods that no controller would make again are killed when they are not placed in time.
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
///
/// ```
/// use weir_queue::{Config, Enforcement};
/// assert_eq!(Config::default().enforcement, Enforcement::On);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Pods wait.
    #[default]
    On,
    /// Every pod is admitted and none evicted; decisions say what would have been done.
    Off,
}

/// Whether a pod without a controller is killed when it is not placed in time.
///
/// ```
/// use weir_queue::{BarePods, Config};
/// let config = Config { bare_pods: BarePods::Kill, ..Config::default() };
/// assert_ne!(config.bare_pods, BarePods::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarePods {
    /// The pod stays: no controller would make it again.
    #[default]
    Keep,
    /// The pod goes like any other.
    Kill,
}

/// A pool: its place in the tree, what it is given, how its queue works.
///
/// ```
/// use weir_model::{Amount, ResourceSpec};
/// use weir_queue::{PoolConfig, PoolSettings, Strategy};
/// let gpus = ResourceSpec { reservation: Amount::new(16), ..ResourceSpec::unlisted(1) };
/// let research = PoolConfig {
///     name: "research".into(),
///     parent: Some("labs".into()),
///     resources: vec![("nvidia.com/gpu".into(), gpus)],
///     settings: PoolSettings { strategy: Strategy::Strict, ..PoolSettings::default() },
/// };
/// assert!(research.settings.max_workload.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolConfig {
    /// The pool's name: unique, not empty.
    pub name: String,
    /// The pool above; `None` means directly under the cluster.
    pub parent: Option<String>,
    /// What the pool is given of each dimension, by the dimension's name.
    pub resources: Vec<(String, ResourceSpec)>,
    /// How the pool's queue works.
    pub settings: PoolSettings,
}

/// How a pool's queue works.
///
/// ```
/// use std::time::Duration;
/// use weir_queue::{PoolSettings, PoolState};
/// let settings = PoolSettings { notice: Duration::from_secs(30), ..PoolSettings::default() };
/// assert_eq!((settings.state, settings.patience), (PoolState::Active, Duration::from_secs(600)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Whether the pool takes anything new.
    pub state: PoolState,
    /// Whether others may pass a blocked head.
    pub strategy: Strategy,
    /// How long a blocked head lets others pass before it holds a claim.
    pub patience: Duration,
    /// How long a pod runs before it may be taken.
    pub min_runtime: Duration,
    /// How long before an eviction a pod is warned.
    pub notice: Duration,
    /// The longest grace period of an evicted pod: its own counts where that is shorter.
    pub max_grace: Duration,
    /// Whether a pod of higher priority may take the place of preemptible ones of lower priority.
    pub within_pool: WithinPool,
    /// The largest pod or gang that the pool takes, by dimension; where nothing is listed, there is no bound.
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
            max_grace: Duration::from_secs(600),
            within_pool: WithinPool::Never,
            max_workload: Vec::new(),
        }
    }
}

/// Whether a pool takes anything new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolState {
    /// The pool takes new pods.
    #[default]
    Active,
    /// The pool takes nothing new; what runs, runs on.
    Hold,
    /// The pool takes nothing new, and its preemptible pods are evicted; others run to their end.
    Drain,
}

/// Whether others may pass a blocked head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Others may pass, until the head has waited for the pool's patience.
    #[default]
    BestEffort,
    /// No pod passes.
    Strict,
}

/// Whether a waiting pod may take the place of running ones of its own pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithinPool {
    /// A waiting pod may not.
    #[default]
    Never,
    /// A waiting pod may take the place of preemptible ones of lower priority.
    LowerPriority,
}
