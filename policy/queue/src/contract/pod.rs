//! What the queue is told of a pod. Reading Kubernetes objects, defaults and aliases is the caller's work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

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
pub struct Uid(u128);

impl Uid {
    /// The UID with these 128 bits.
    #[must_use]
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A UID that is not 32 hexadecimal digits.
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
        bits.map(Self).ok_or_else(|| NotAUid(text.to_owned()))
    }
}

/// A pod that asked for admission, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Unique for ever; a recreated pod has another.
    pub uid: Uid,
    /// The pool it names, or that was given to it by default.
    pub pool: Arc<str>,
    /// The pod's priority; higher goes first.
    pub priority: i32,
    /// When it was created.
    pub created: Time,
    /// Whether it may be evicted to give back what its pool borrowed.
    pub preemptible: bool,
    /// The gang it belongs to, if it belongs to one.
    pub gang: Option<Membership>,
    /// What it asks for and where it may run. Share one `Arc` between the pods of a template.
    pub shape: Arc<PodShape>,
    /// How far it is.
    pub phase: Phase,
    /// What keeps it from being considered, found by whoever read the object.
    pub obstacle: Option<Obstacle>,
    /// How its owner backs off after placement timeouts.
    pub back_off: Option<BackOff>,
    /// Whether a controller will make another one when it is killed.
    pub controlled: bool,
}

/// How the owner of a pod backs off because pods of it were not placed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// Until when.
    pub until: Time,
    /// How often its pods were killed.
    pub times: u32,
}

/// A gang: pods that are admitted together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GangKey {
    /// The namespace of its pods.
    pub namespace: String,
    /// The gang's name.
    pub name: String,
    /// The UID of the controlling owner: a second RayCluster of the same name is another gang.
    pub owner: Option<Uid>,
}

/// That a pod belongs to a gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Which gang.
    pub gang: Arc<GangKey>,
    /// How many members it announces, at least 1.
    pub size: u32,
    /// How many pods the owner ever has at once (a Job's parallelism), where that is known.
    pub at_most: Option<u32>,
    /// The part of the gang that it belongs to, where only so many pods of each part are needed; without,
    /// every member is.
    pub part: Option<Arc<Part>>,
}

/// One kind of pods of a gang that may have more of them than it needs, such as a worker group of a Ray
/// cluster. What all parts need together is the size of the gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name within the gang.
    pub name: String,
    /// How many pods of it belong to the gang's size. Those beyond are elastic.
    pub needed: u32,
    /// How many elastic pods are admitted and evicted together, at least 1: the hosts of one worker.
    pub step: u32,
}

/// How far a pod is. One that Succeeded or Failed holds nothing: report it as gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its gate is present.
    Waiting,
    /// Its gate is gone; it counts as usage until the pod is gone.
    Admitted(Admitted),
}

/// An admitted pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// When.
    pub at: Time,
    /// On what grounds.
    pub grounds: Grounds,
    /// The node it is bound to; it then counts in that node's class.
    pub node: Option<Arc<str>>,
    /// When its containers started: what it would lose, and what the pool's minimum run time is counted from.
    pub started: Option<Time>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// What the reader of the object found to be in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A gate that somebody else has to remove.
    OtherGate(String),
    /// A contradiction or a value that means nothing; the sentence names the field.
    Misconfigured(String),
    /// The pool does not take pods of this namespace.
    PoolNotAllowed(String),
    /// A GPU model that is neither in the list nor on a node.
    UnknownModel(String),
    /// What says how large its gang is cannot be asked now; the sentence says why.
    GangUnknown(String),
}

/// What a pod asks for and where it may run: equal for all pods of a template, and kept once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodShape {
    /// What it asks for, by resource name in base units, as kube-scheduler counts it; for a running pod the
    /// larger of spec and allocated.
    pub requests: BTreeMap<String, Amount>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// The terms of the required node affinity; one has to match. Empty: no such affinity.
    pub affinity: Vec<Term>,
    /// `spec.tolerations`.
    pub tolerations: Vec<Toleration>,
    /// The ports it takes on its host.
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
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = |address: &str| matches!(address, "" | "0.0.0.0");
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || any(&self.address) || any(&other.address))
    }
}
