//! A pod, as far as the run needs it.

use weir_model::Amount;

use super::eviction::Eviction;
use super::refusal::Refusal;
use crate::At;
use crate::scenario::role::Role;

/// The part of a pod that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Unique over the run; the UID, because a name may come back.
    pub key: String,
    /// Its name.
    pub name: String,
    /// How it counts.
    pub origin: Origin,
    /// What it asks for.
    pub asks: Asks,
    /// GPU models it accepts; empty means any.
    pub models: Vec<String>,
    /// The special model that it names, if it names one.
    pub special: Option<String>,
    /// The pool that it names.
    pub pool: Option<String>,
    /// The gang that it announces.
    pub gang: Option<GangOf>,
    /// Whether it may be evicted for quota.
    pub preemptible: bool,
    /// The RayCluster that it belongs to.
    pub ray_cluster: Option<String>,
    /// Whether it ends by itself after a time.
    pub ends: bool,
}

/// Where a pod comes from, which decides how it counts at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The trace. A recreated pod has the same name and counts once.
    Trace,
    /// The story, with a role in it; the pod takes room, but is in no sum.
    Story(Role),
    /// An operator or another client; the pod takes room, but is in no sum.
    Other,
}

/// What a pod asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// GPUs.
    pub gpus: Amount,
    /// CPU in milli-CPU.
    pub cpu_milli: Amount,
    /// Memory in bytes.
    pub memory: Amount,
}

/// A gang that a pod belongs to, and how many members it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangOf {
    /// Unique in the run.
    pub name: String,
    /// At least 1.
    pub size: usize,
}

/// A pod as the watch told it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodState {
    /// The pod.
    pub pod: Pod,
    /// Why it waits for admission; `None` once its gate is gone.
    pub gate: Option<Gate>,
    /// Why the scheduler found no node; `None` where it did, or has not looked yet.
    pub refusal: Option<Refusal>,
    /// Its node.
    pub node: Option<String>,
    /// Why it has to go, if it has to.
    pub eviction: Option<Eviction>,
    /// Whether it succeeded or failed: it holds nothing any more.
    pub ended: bool,
    /// When it was first told of.
    pub since: At,
}

/// What a pod that waits for admission was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The reason of its condition; `None` before the sidecar has written one.
    pub reason: Option<String>,
    /// Whether waiting may help.
    pub outlook: Outlook,
}

/// Whether a pod that waits may get a turn by waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outlook {
    /// When others end, or nothing was said yet.
    #[default]
    MayPass,
    /// When the rest of its gang comes.
    Incomplete,
    /// Never as it is: it asks for more than there is, or than its pool may have.
    ForGood,
}

impl Pod {
    /// A pod that is called by its key, goes on any model, names no pool and ends by itself.
    #[must_use]
    pub fn plain(key: &str, origin: Origin, gpus: Amount, cpu_milli: Amount) -> Self {
        Self {
            key: key.to_owned(),
            name: key.to_owned(),
            origin,
            asks: Asks { gpus, cpu_milli, memory: Amount::ZERO },
            models: Vec::new(),
            special: None,
            pool: None,
            gang: None,
            preemptible: false,
            ray_cluster: None,
            ends: true,
        }
    }
}

impl PodState {
    /// A pod that has no gate, no node and no word from the scheduler.
    #[must_use]
    pub const fn new(pod: Pod) -> Self {
        Self { pod, gate: None, refusal: None, node: None, eviction: None, ended: false, since: At::ZERO }
    }

    /// Whether it has no node and has not ended.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.node.is_none() && !self.ended
    }

    /// The node that it holds something of.
    #[must_use]
    pub fn holds(&self) -> Option<&str> {
        self.node.as_deref().filter(|_| !self.ended)
    }

    /// The gate that it waits behind.
    #[must_use]
    pub fn waits_behind(&self) -> Option<&Gate> {
        self.gate.as_ref().filter(|_| self.waits())
    }

    /// Whether it knows why it waits, by a word that will last: the rest of its gang comes at once.
    #[must_use]
    pub fn knows_why(&self) -> bool {
        let lasts = |gate: &Gate| gate.reason.is_some() && gate.outlook != Outlook::Incomplete;
        self.refusal.is_some() || self.gate.as_ref().is_some_and(lasts)
    }

    /// The pool that its general GPUs count in: once it is admitted, and until it has ended.
    #[must_use]
    pub fn counts_in(&self) -> Option<&str> {
        let counts = self.gate.is_none() && !self.ended && self.pod.special.is_none();
        self.pod.pool.as_deref().filter(|_| counts)
    }

    /// Its role in the story.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        match self.pod.origin {
            Origin::Story(role) => Some(role),
            Origin::Trace | Origin::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_the_rest_of_a_gang_is_missing_is_nothing_that_lasts() {
        let knows_why = |reason: Option<&str>, outlook| {
            let gate = Some(Gate { reason: reason.map(Into::into), outlook });
            let pod = Pod::plain("p", Origin::Other, Amount::ZERO, Amount::ZERO);
            PodState { gate, ..PodState::new(pod) }.knows_why()
        };
        assert!(knows_why(Some("WaitingForQuota"), Outlook::MayPass));
        assert!(!knows_why(Some("WaitingForGang"), Outlook::Incomplete));
        assert!(!knows_why(None, Outlook::MayPass));
    }
}
