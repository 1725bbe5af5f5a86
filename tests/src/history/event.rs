//! One thing that a watch told.

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::Resource as _;
use weir_api::{AdmissionRound, Gang, ResourcePool};

/// An object that is new, changed or gone; one that is gone is as it last was.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "a variant is the kind of its object, and `Gone` says that it is gone")]
pub enum WatchEvent {
    Node(Box<Node>),
    NodeGone(Box<Node>),
    Pod(Box<Pod>),
    PodGone(Box<Pod>),
    Pool(Box<ResourcePool>),
    PoolGone(Box<ResourcePool>),
    Gang(Box<Gang>),
    GangGone(Box<Gang>),
    Round(Box<AdmissionRound>),
    RoundGone(Box<AdmissionRound>),
    Event(Box<Event>),
    EventGone(Box<Event>),
}

impl WatchEvent {
    /// The revision of the store at which it became so.
    pub(super) fn revision(&self) -> u64 {
        let meta = match self {
            Self::Node(node) | Self::NodeGone(node) => node.meta(),
            Self::Pod(pod) | Self::PodGone(pod) => pod.meta(),
            Self::Pool(pool) | Self::PoolGone(pool) => pool.meta(),
            Self::Gang(gang) | Self::GangGone(gang) => gang.meta(),
            Self::Round(round) | Self::RoundGone(round) => round.meta(),
            Self::Event(event) | Self::EventGone(event) => event.meta(),
        };
        meta.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(0)
    }

    /// The namespace of its object; none for one of the whole cluster.
    pub(super) fn namespace(&self) -> Option<&str> {
        let meta = match self {
            Self::Pod(pod) | Self::PodGone(pod) => pod.meta(),
            Self::Gang(gang) | Self::GangGone(gang) => gang.meta(),
            Self::Event(event) | Self::EventGone(event) => event.meta(),
            Self::Node(_) | Self::NodeGone(_) => return None,
            Self::Pool(_) | Self::PoolGone(_) => return None,
            Self::Round(_) | Self::RoundGone(_) => return None,
        };
        meta.namespace.as_deref()
    }
}
