//! How well a pod would sit on a node, in the one form that kube-scheduler takes: a whole number, 0 to 100.

/// A score of 0 to 100; more is better.
///
/// ```
/// use weir_placement::Score;
/// assert_eq!(Score::new(73).points(), 73);
/// assert_eq!(Score::new(-5), Score::MIN);
/// assert_eq!(Score::new(1000), Score::MAX);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u8);

impl Score {
    /// The worst.
    pub const MIN: Self = Self(0);
    /// What says nothing for the node and nothing against it.
    pub const NEUTRAL: Self = Self(50);
    /// The best.
    pub const MAX: Self = Self(100);

    /// A score of so many points; what is below 0 or above 100 is taken as the bound.
    #[must_use]
    pub const fn new(points: i64) -> Self {
        match points {
            i64::MIN..=0 => Self::MIN,
            // The match leaves 1 to 99 here, so nothing is cut off.
            1..=99 => Self(points as u8),
            100.. => Self::MAX,
        }
    }

    /// The points, 0 to 100.
    #[must_use]
    pub const fn points(self) -> u8 {
        self.0
    }
}
