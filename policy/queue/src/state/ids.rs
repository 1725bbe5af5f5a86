//! Numbers for what the queue remembers, so that the compiler tells a pod from a gang.

/// Declares ids that are positions in a list.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(u32);

        impl $name {
            /// The id of what stands at a position.
            pub(crate) const fn at(position: usize) -> Self {
                Self(position as u32)
            }

            /// The position.
            pub(crate) const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )+};
}

ids! {
    /// A pod in [`Pods`](super::pods::Pods). A pod that comes later gets the number of one that is gone.
    PodId,
    /// A gang in [`Gangs`](super::gangs::Gangs). A gang that comes later gets the number of a forgotten one.
    GangId,
    /// A node in [`Nodes`](super::nodes::Nodes).
    NodeId,
    /// A shape in [`Shapes`](super::shapes::Shapes).
    ShapeId,
    /// A request in [`Shapes`](super::shapes::Shapes).
    RequestId,
}
