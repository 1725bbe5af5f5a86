//! Ray as it comes: pods that KubeRay makes are gangs although they announce nothing.
//!
//! Where the pool, the namespace or the pod asks for gangs by `ray.io/cluster`, what a pod's RayCluster says
//! is what the gang needs. Nothing is decided here: who of a gang is needed and who goes first is decided by
//! `weir_queue`, from what [`needs`](needs::needs) reads.
//!
//! | part | does |
//! |---|---|
//! | [`needs`] | how large the gang of a RayCluster is: a pure function of the object |
//! | [`member`] | which pods belong to one, and what the queue is told of them |
//! | [`roster`] | the pods of each RayCluster, to tell of them anew when it changes |
//! | [`watch`] | the RayClusters, in clusters that have such a kind |

pub mod member;
pub mod needs;
pub mod roster;
pub mod watch;

pub use member::Member;
pub use needs::{Group, Needs};
pub use roster::Roster;
pub use watch::{RayCluster, RayClusters};
