//! How fast pods are bound.

use std::collections::VecDeque;
use std::time::Duration;

use crate::At;

/// Over how long pods/s is counted: shorter and the number jumps, longer and it lags.
const WINDOW: Duration = Duration::from_secs(3);

/// Pods bound per second.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    now: At,
    /// When the latest pods were bound, oldest first; not older than [`WINDOW`].
    recent: VecDeque<At>,
    first: Option<At>,
    peak: f64,
}

impl Rate {
    pub(super) fn advance(&mut self, now: At) {
        self.now = now;
        let oldest = now.saturating_sub(WINDOW);
        while self.recent.front().is_some_and(|&bound| bound < oldest) {
            self.recent.pop_front();
        }
    }

    pub(super) fn bound(&mut self) {
        self.recent.push_back(self.now);
        self.peak = self.peak.max(self.per_second());
        self.first.get_or_insert(self.now);
    }

    /// Over the last few seconds.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let span = self.first.map_or(Duration::ZERO, |first| self.now.saturating_sub(first));
        let span = span.clamp(Duration::from_secs(1), WINDOW);
        self.recent.len() as f64 / span.as_secs_f64()
    }

    /// The highest that there was.
    #[must_use]
    pub const fn peak(&self) -> f64 {
        self.peak
    }
}
