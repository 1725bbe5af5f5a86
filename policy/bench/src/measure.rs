//! Timing: the same work several times, each time prepared anew, and what is in the middle and at the ends. Memory is
//! counted here too.

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cap::Cap;

/// Counts what is allocated, so that memory is a figure too.
#[global_allocator]
pub(crate) static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// One measured quantity.
pub(crate) struct Row {
    /// Its key in the JSON, ending in the unit.
    pub(crate) name: &'static str,
    /// What was done, for people.
    pub(crate) what: String,
    /// The middle of all runs.
    pub(crate) median: f64,
    /// The quickest run, or the smallest value.
    pub(crate) min: f64,
    /// The slowest run, or the largest value.
    pub(crate) max: f64,
    /// How many runs there were.
    pub(crate) runs: usize,
}

/// A quantity by its name, and how to measure it.
pub(crate) type Quantity = (&'static str, fn(&'static str) -> Row);

/// Times `work` in milliseconds, `runs` times after one run to warm up; `prepare` is not timed and is told the
/// number of the run.
pub(crate) fn milliseconds<State, Answer>(
    name: &'static str,
    what: String,
    runs: usize,
    state: &mut State,
    mut prepare: impl FnMut(&mut State, usize),
    mut work: impl FnMut(&mut State) -> Answer,
) -> Row {
    let mut once = |run| {
        prepare(state, run);
        let start = Instant::now();
        black_box(work(state));
        start.elapsed()
    };
    once(0);
    let mut times: Vec<Duration> = (1..=runs).map(once).collect();
    times.sort_unstable();
    // Tenths of a microsecond: more digits would only look exact.
    let at = |index: usize| times.get(index).map_or(0.0, |time| (time.as_secs_f64() * 1e7).round() / 1e4);
    let median = at(runs / 2);
    Row { name, what, median, min: at(0), max: at(runs - 1), runs }
}

/// Numbers that look random and are the same each time (Lehmer's generator modulo 2⁶⁴, the high half).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number from 0 to below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0xda94_2042_e4dd_58b5);
        (self.0 >> 32) % end
    }
}
