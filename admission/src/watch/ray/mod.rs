//! Ray as it comes: pods that KubeRay makes are gangs although they announce nothing.
//!
//! Where the pool, the namespace or the pod asks for gangs by `ray.io/cluster`, the pod's RayCluster says what the gang
//! needs. Nothing is decided here: `weir_queue` decides which pods of a gang are needed and which go first, from what
//! [`needs`](needs::needs) reads.
//!
//! | part | does |
//! |---|---|
//! | [`needs`] | how large the gang of a RayCluster is: a pure function of the object |
//! | [`member`] | the pods that belong to one, and what the queue is told of them |
//! | [`roster`] | the pods of each RayCluster, so that the queue can be told of them again |
//! | [`watch`] | the RayClusters, in clusters that have such a kind |

pub mod member;
pub mod needs;
pub mod roster;
pub mod watch;

pub use member::Member;
pub use needs::{Group, Needs};
pub use roster::Roster;
pub use watch::{RayCluster, RayClusters};
