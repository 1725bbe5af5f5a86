//! The leaves of a run's tree of pools.
//!
//! The trace names no tenants, so they are made up: three organisations, each with research, which may be taken back,
//! and production, which may not. Which pool gets how many pods is not what is reserved for it: some lend and others
//! borrow. What becomes of them is the sidecar's to decide.
//!
//! ```text
//! cluster
//! ├ vision     50 %   G3
//! │ ├ vision-production     30 %
//! │ └ vision-research       20 %
//! ├ speech     30 %   V100M32
//! │ ├ speech-production     18 %
//! │ └ speech-research       12 %
//! └ ranking    10 %
//!   ├ ranking-production     7 %
//!   └ ranking-research       3 %   takes more pods than that and borrows, but may never have more than 4 %
//! ```

/// A leaf of the tree.
pub(super) struct Leaf {
    pub(super) name: &'static str,
    pub(super) organisation: &'static str,
    /// What it reserves of CPU hosts and general GPUs, in hundredths of what there is.
    pub(super) reserved: i64,
    /// What it reserves of its organisation's special model, in hundredths.
    pub(super) of_special: i64,
    /// What it may have at most of general GPUs, in hundredths of what there is; `None` where nothing bounds it.
    pub(super) at_most: Option<i64>,
    /// Its part of the pods, against those of the others.
    pub(super) pods: u64,
    pub(super) use_: Use,
}

/// What a leaf is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// May be taken back, and comes in gangs.
    Research,
    /// Runs within its reservation and stays.
    Production,
}

/// The leaves, children of one organisation side by side.
pub(super) const LEAVES: [Leaf; 6] = [
    Leaf {
        name: "vision-production",
        organisation: "vision",
        reserved: 30,
        of_special: 50,
        at_most: None,
        pods: 25,
        use_: Use::Production,
    },
    Leaf {
        name: "vision-research",
        organisation: "vision",
        reserved: 20,
        of_special: 50,
        at_most: None,
        pods: 25,
        use_: Use::Research,
    },
    Leaf {
        name: "speech-production",
        organisation: "speech",
        reserved: 18,
        of_special: 60,
        at_most: None,
        pods: 12,
        use_: Use::Production,
    },
    Leaf {
        name: "speech-research",
        organisation: "speech",
        reserved: 12,
        of_special: 40,
        at_most: None,
        pods: 13,
        use_: Use::Research,
    },
    Leaf {
        name: "ranking-production",
        organisation: "ranking",
        reserved: 7,
        of_special: 0,
        at_most: None,
        pods: 5,
        use_: Use::Production,
    },
    Leaf {
        name: "ranking-research",
        organisation: "ranking",
        reserved: 3,
        of_special: 0,
        at_most: Some(4),
        pods: 20,
        use_: Use::Research,
    },
];

/// The pool that a special model belongs to.
pub(super) const SPECIAL: [(&str, &str); 2] = [("vision", "G3"), ("speech", "V100M32")];
