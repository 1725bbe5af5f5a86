//! How full the cluster was over the whole run, in bounded memory.
//!
//! A ring that forgets the beginning would be the usual choice; a run's chart must show its beginning too. So when the
//! samples are full, every second one is dropped and the distance between samples doubles: a run of any length is
//! [`CAPACITY`]/2 to [`CAPACITY`] samples, evenly spaced.

use std::time::Duration;

use crate::At;
use crate::cluster_state::levels::Levels;

/// The most samples kept: more than a wide terminal has braille dots across (2 × 200).
const CAPACITY: usize = 1024;

/// The distance between samples at first.
const FIRST_PERIOD: Duration = Duration::from_millis(100);

/// How full the cluster was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, since the replay began.
    pub at: Duration,
    /// How full.
    pub levels: Levels,
}

/// Evenly spaced samples of a whole run, oldest first.
#[derive(Clone, Debug)]
pub struct History {
    began: At,
    period: Duration,
    samples: Vec<Sample>,
}

impl Default for History {
    fn default() -> Self {
        Self { began: At::ZERO, period: FIRST_PERIOD, samples: Vec::new() }
    }
}

impl History {
    /// The samples; empty before the replay begins.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub(super) fn begin(&mut self, at: At, levels: Levels) {
        *self = Self { began: at, ..Self::default() };
        self.push(Sample { at: Duration::ZERO, levels });
    }

    /// Whether a sample is due at `now`.
    pub(super) fn is_due(&self, now: At) -> bool {
        self.due(now).is_some()
    }

    /// Takes the samples that are due up to `now`, during which the levels were `levels`.
    pub(super) fn advance(&mut self, now: At, levels: Levels) {
        while let Some(at) = self.due(now) {
            self.push(Sample { at, levels });
        }
    }

    fn due(&self, now: At) -> Option<Duration> {
        let next = self.samples.last()?.at + self.period;
        (next <= now.saturating_sub(self.began)).then_some(next)
    }

    /// Takes one last sample, so that the chart ends where the run did.
    pub(super) fn close(&mut self, now: At, levels: Levels) {
        let at = now.saturating_sub(self.began);
        match self.samples.last_mut() {
            Some(last) if last.at == at => last.levels = levels,
            Some(_) => self.samples.push(Sample { at, levels }),
            None => {}
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() == CAPACITY {
            let mut even = false;
            self.samples.retain(|_| {
                even = !even;
                even
            });
            self.period *= 2;
        }
        let due = self.samples.last().is_none_or(|last| last.at + self.period <= sample.at);
        if due {
            self.samples.push(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_model::Amount;

    use super::*;
    use crate::cluster_state::levels::Level;

    fn used(gpus: i64) -> Levels {
        Levels { gpu: Level { used: Amount::new(gpus), ..Level::default() }, ..Levels::default() }
    }

    fn shown(history: &History) -> Vec<(u128, i64)> {
        history.samples().iter().map(|sample| (sample.at.as_millis(), sample.levels.gpu.used.units())).collect()
    }

    #[test]
    fn time_in_which_nothing_happens_is_sampled_too() {
        let mut history = History::default();
        history.begin(Duration::from_secs(10), used(0));
        history.advance(Duration::from_millis(10_250), used(0));
        history.advance(Duration::from_millis(10_330), used(7));
        assert_eq!(shown(&history), [(0, 0), (100, 0), (200, 0), (300, 7)]);
    }

    #[test]
    fn a_long_run_keeps_its_beginning_and_stays_bounded_and_even() {
        let mut history = History::default();
        history.begin(Duration::ZERO, used(0));
        history.advance(Duration::from_secs(3600), used(5));
        let samples = history.samples();
        assert_eq!((samples[0].at, samples[1].at), (Duration::ZERO, Duration::from_millis(6_400)));
        assert!(samples.windows(2).all(|pair| pair[1].at - pair[0].at == Duration::from_millis(6_400)));
        assert_eq!(samples.len(), 563);
    }

    #[test]
    fn the_last_sample_is_taken_when_the_run_ends() {
        let mut history = History::default();
        history.begin(Duration::ZERO, used(1));
        history.advance(Duration::from_millis(130), used(2));
        history.close(Duration::from_millis(130), used(3));
        history.close(Duration::from_millis(130), used(4));
        assert_eq!(shown(&history), [(0, 1), (100, 2), (130, 4)]);
    }

    #[test]
    fn before_the_replay_there_is_nothing_to_sample() {
        let mut history = History::default();
        history.advance(Duration::from_secs(3), used(1));
        history.close(Duration::from_secs(3), used(1));
        assert_eq!(shown(&history), []);
    }
}
