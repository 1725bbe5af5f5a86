//! Pods as the queue is told of them. Reading Kubernetes objects, defaults and aliases is the caller's work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use weir_model::Amount;
pub use weir_model::reason::Grounds;

use super::selector::{Term, Toleration};
use super::time::Time;

/// A pod's UID: 32 hexadecimal digits, with or without hyphens. Sixteen bytes instead of a string for
/// each of a hundred thousand waiting pods, in the same order.
///
/// ```
/// use weir_queue::Uid;
/// let uid: Uid = "0b7a6d1c-9b8e-4c55-8f3e-2d1f0a9c7e61".parse().unwrap();
/// assert_eq!(uid.to_string(), "0b7a6d1c-9b8e-4c55-8f3e-2d1f0a9c7e61");
/// assert!("web-0".parse::<Uid>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid {
    // Halves: one number of 128 bits would be aligned to 16 bytes, and the queues grow by a quarter.
    high: u64,
    low: u64,
}

impl Uid {
    /// The UID with these 128 bits.
    ///
    /// ```
    /// use weir_queue::Uid;
    /// assert_eq!(Uid::new(10).to_string(), "00000000-0000-0000-0000-00000000000a");
    /// assert!(Uid::new(1) < Uid::new(2));
    /// ```
    #[must_use]
    pub const fn new(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:016x}{:016x}", self.high, self.low);
        write!(f, "{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not 32 hexadecimal digits.
///
/// ```
/// use weir_queue::Uid;
/// assert_eq!(
///     "web-0".parse::<Uid>().unwrap_err().to_string(),
///     "uid: \"web-0\" is not 32 hexadecimal digits; take metadata.uid as the API server wrote it",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAUid(String);

impl fmt::Display for NotAUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid: {:?} is not 32 hexadecimal digits; take metadata.uid as the API server wrote it", self.0)
    }
}

impl std::error::Error for NotAUid {}

impl FromStr for Uid {
    type Err = NotAUid;
    fn from_str(text: &str) -> Result<Self, NotAUid> {
        let digits: String = text.chars().filter(|&digit| digit != '-').collect();
        let hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bits = if hex { u128::from_str_radix(&digits, 16).ok() } else { None };
        bits.map(Self::new).ok_or_else(|| NotAUid(text.to_owned()))
    }
}

/// A pod that asked for admission, as it is now.
///
/// ```
/// use std::sync::Arc;
/// use weir_queue::{Phase, Pod, PodShape, Time, Uid};
/// let waiting = Pod {
///     uid: Uid::new(1),
///     pool: "research".into(),
///     priority: 0,
///     created: Time::ZERO,
///     preemptible: true,
///     gang: None,
///     shape: Arc::new(PodShape::default()),
///     phase: Phase::Waiting,
///     obstacle: None,
///     back_off: None,
///     controlled: true,
/// };
/// let urgent = Pod { uid: Uid::new(2), priority: 10, ..waiting.clone() };
/// assert!(Arc::ptr_eq(&waiting.shape, &urgent.shape), "pods of a template share one shape");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// The pod's UID, unique for ever; a recreated pod has another.
    pub uid: Uid,
    /// The pool that the pod names, or that was given to it by default.
    pub pool: Arc<str>,
    /// The pod's priority; higher goes first.
    pub priority: i32,
    /// When the pod was created.
    pub created: Time,
    /// Whether the pod may be evicted to give back what its pool borrowed.
    pub preemptible: bool,
    /// The gang that the pod belongs to, if any.
    pub gang: Option<Membership>,
    /// What the pod asks for and where it may run. Share one `Arc` between the pods of a template.
    pub shape: Arc<PodShape>,
    /// How far the pod is.
    pub phase: Phase,
    /// What keeps the pod from being considered, as the reader of the object found.
    pub obstacle: Option<Obstacle>,
    /// How the pod's owner backs off after placement timeouts.
    pub back_off: Option<BackOff>,
    /// Whether a controller makes another pod when this one is killed.
    pub controlled: bool,
}

/// How the owner of a pod backs off because its pods were not placed in time.
///
/// ```
/// use std::time::Duration;
/// use weir_queue::{BackOff, Time};
/// let back_off = BackOff { until: Time::ZERO.after(Duration::from_secs(60)), times: 1 };
/// assert!(back_off.until > Time::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The end of the wait.
    pub until: Time,
    /// How often the owner's pods were killed.
    pub times: u32,
}

/// The name of a gang: pods that are admitted together or not at all.
///
/// ```
/// use weir_queue::{GangKey, Uid};
/// let first = GangKey { namespace: "team".into(), name: "ray".into(), owner: Some(Uid::new(1)) };
/// let second = GangKey { owner: Some(Uid::new(2)), ..first.clone() };
/// assert_ne!(first, second, "a recreated RayCluster is another gang");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GangKey {
    /// The namespace of the gang's pods.
    pub namespace: String,
    /// The gang's name.
    pub name: String,
    /// The UID of the controlling owner: a second RayCluster of the same name is another gang.
    pub owner: Option<Uid>,
}

/// A pod's membership in a gang, as the pod announces it.
///
/// ```
/// use std::sync::Arc;
/// use weir_queue::{GangKey, Membership};
/// let gang = Arc::new(GangKey { namespace: "team".into(), name: "train".into(), owner: None });
/// let members = vec![Membership { gang, size: 8, at_most: None, part: None }; 8];
/// assert!(members.iter().all(|member| member.size as usize == members.len()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The gang.
    pub gang: Arc<GangKey>,
    /// How many members the gang has, at least 1.
    pub size: u32,
    /// How many pods the owner ever has at once (a Job's parallelism), where that is known.
    pub at_most: Option<u32>,
    /// The part of the gang that the pod belongs to, where only so many pods of each part are needed; without
    /// parts, every member is needed.
    pub part: Option<Arc<Part>>,
}

/// One kind of pods of a gang that may have more of them than it needs, such as a worker group of a Ray cluster.
/// What all parts need together is the size of the gang.
///
/// ```
/// use weir_queue::Part;
/// let head = Part { name: "head".into(), needed: 1, step: 1 };
/// // Two workers of two hosts each are needed; further workers come and go one by one, with both hosts.
/// let workers = Part { name: "gpu-workers".into(), needed: 4, step: 2 };
/// assert_eq!(head.needed + workers.needed, 5, "the size of the gang");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part's name within the gang.
    pub name: String,
    /// How many pods of the part belong to the gang's size. Pods beyond are elastic.
    pub needed: u32,
    /// How many elastic pods are admitted and evicted together, at least 1: the hosts of one worker.
    pub step: u32,
}

/// How far a pod is. A pod that Succeeded or Failed holds nothing: report it as gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The pod's gate is present.
    Waiting,
    /// The pod's gate is gone; the pod counts as usage until it is gone itself.
    Admitted(Admitted),
}

/// What is known of an admitted pod.
///
/// ```
/// use weir_queue::{Admitted, Grounds, Phase, Time};
/// let node = Some("node-0".into());
/// let at = Time::from_millis(60_000);
/// let running = Admitted { at, grounds: Grounds::OnLoan, node, started: Some(at), terminating: None };
/// assert_ne!(Phase::Admitted(running), Phase::Waiting);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// When the pod was admitted.
    pub at: Time,
    /// The grounds of the admission.
    pub grounds: Grounds,
    /// The node that the pod is bound to; the pod then counts in that node's class.
    pub node: Option<Arc<str>>,
    /// When the pod's containers started: what it would lose, and what the pool's minimum run time is counted from.
    pub started: Option<Time>,
    /// The deletion of the pod, while it is being deleted.
    pub terminating: Option<Terminating>,
}

/// The deletion of a pod that takes its time to end.
///
/// ```
/// use std::time::Duration;
/// use weir_queue::{Terminating, Time};
/// let deletion = Terminating { since: Time::ZERO, grace: Duration::from_secs(30) };
/// assert_eq!(deletion.since.after(deletion.grace), Time::from_millis(30_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminating {
    /// When the deletion began: `metadata.deletionTimestamp` less the grace period.
    pub since: Time,
    /// `metadata.deletionGracePeriodSeconds`.
    pub grace: Duration,
}

/// What the reader of a pod found to be in its way.
///
/// ```
/// use weir_queue::Obstacle;
/// let obstacle = Obstacle::Misconfigured("weir.dev/gang-size: \"four\" is no number; write 4".into());
/// assert_ne!(obstacle, Obstacle::OtherGate("example.com/quota".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Another scheduling gate, which another controller has to remove.
    OtherGate(String),
    /// A contradiction or a value that means nothing; the sentence names the field.
    Misconfigured(String),
    /// The pool does not take pods of this namespace.
    PoolNotAllowed(String),
    /// A GPU model that is neither in the list nor on a node.
    UnknownModel(String),
    /// The object that says how large the gang is cannot be read now; the sentence says why.
    GangUnknown(String),
}

/// What a pod asks for and where it may run: equal for all pods of a template, and kept once.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::PodShape;
/// let requests = [("cpu".to_owned(), Amount::new(4000)), ("nvidia.com/gpu".to_owned(), Amount::new(1))].into();
/// let shape = PodShape { requests, ..PodShape::default() };
/// assert!(shape.affinity.is_empty() && shape.ports.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodShape {
    /// What the pod asks for, by resource name in base units, as kube-scheduler counts it; for a running pod the
    /// larger of spec and allocated.
    pub requests: BTreeMap<String, Amount>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// The terms of the required node affinity; one has to match. Empty: no such affinity.
    pub affinity: Vec<Term>,
    /// `spec.tolerations`.
    pub tolerations: Vec<Toleration>,
    /// The ports that the pod takes on its host.
    pub ports: BTreeSet<HostPort>,
}

/// A port that a pod takes on its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The address; empty and `0.0.0.0` mean all of them.
    pub address: String,
    /// The port's number.
    pub port: u16,
}

impl HostPort {
    /// Whether both cannot be on one host.
    ///
    /// ```
    /// use weir_queue::HostPort;
    /// let any = HostPort { protocol: "TCP".into(), address: String::new(), port: 8080 };
    /// let local = HostPort { address: "127.0.0.1".into(), ..any.clone() };
    /// assert!(any.conflicts(&local));
    /// assert!(!any.conflicts(&HostPort { port: 8081, ..local }));
    /// ```
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = |address: &str| matches!(address, "" | "0.0.0.0");
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || any(&self.address) || any(&other.address))
    }
}
