//! What is counted in time: how long pools are above their entitlement, when the scheduler worked, what was
//! killed within the last minute.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_model::Dim;

use super::progress::Progress;
use crate::contract::time::Time;

/// What rules count in time, from one round to the next.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// Since when a pool is above its entitlement while a workload waits for what it gives, by the pool's name.
    pub(crate) over_since: BTreeMap<(String, Dim), Time>,
    /// When the scheduler worked.
    pub(crate) progress: Progress,
    /// The kills of the last minute.
    pub(crate) kills: Kills,
}

/// When pods were killed within the last minute.
#[derive(Debug, Default)]
pub(crate) struct Kills(Vec<Time>);

impl Kills {
    /// Notes the kill of so many pods, if no more than `most` go within a minute. A gang larger than that goes
    /// when nothing else went: it would never go otherwise.
    pub(crate) fn allow(&mut self, now: Time, pods: usize, most: u32) -> bool {
        self.0.retain(|&at| now.since(at) < Duration::from_secs(60));
        let fits = self.0.len() + pods <= most as usize;
        let goes = fits || (self.0.is_empty() && most > 0);
        if goes {
            self.0.extend(std::iter::repeat_n(now, pods));
        }
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_goes_within_a_minute_except_a_gang_that_is_larger() {
        let mut kills = Kills::default();
        let at = |seconds: u64| Time::from_millis(seconds * 1000);
        assert!(kills.allow(at(0), 2, 3));
        assert!(!kills.allow(at(59), 2, 3));
        assert!(kills.allow(at(60), 5, 3));
        assert!(!Kills::default().allow(at(0), 1, 0));
    }
}
