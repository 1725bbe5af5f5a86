//! Moments, as the caller's clock gives them. Nothing in this crate reads a clock.

use std::time::Duration;

/// A moment in milliseconds since any origin, the same one for everything that a [`crate::Queue`] is told.
///
/// ```
/// use std::time::Duration;
/// use weir_queue::Time;
/// let noon = Time::from_millis(43_200_000);
/// assert_eq!(noon.after(Duration::from_secs(1)).since(noon), Duration::from_secs(1));
/// assert_eq!(noon.since(Time::MAX), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Later than everything.
    pub const MAX: Self = Self(u64::MAX);

    /// `millis` milliseconds after the origin.
    ///
    /// ```
    /// use weir_queue::Time;
    /// assert!(Time::ZERO < Time::from_millis(1) && Time::from_millis(1) < Time::MAX);
    /// ```
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that is later, because clocks of two machines differ.
    ///
    /// ```
    /// use std::time::Duration;
    /// use weir_queue::Time;
    /// let (early, late) = (Time::from_millis(500), Time::from_millis(2500));
    /// assert_eq!(late.since(early), Duration::from_secs(2));
    /// assert_eq!(early.since(late), Duration::ZERO);
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `span` later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use weir_queue::Time;
    /// assert_eq!(Time::ZERO.after(Duration::from_secs(1)), Time::from_millis(1000));
    /// assert_eq!(Time::MAX.after(Duration::from_secs(1)), Time::MAX);
    /// ```
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}
