//! The clocks of this machine. They are read at the edge and passed on, so that what decides can be tested at any
//! time of day.

use std::time::Instant;

use weir_queue::Time;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time of day, as the API server and the queue count it. It may jump.
    pub time: Time,
    /// The monotonic clock, by which waiting times are measured.
    pub instant: Instant,
}

/// Reads both clocks; [`Now::read`] outside tests.
pub type Clock = fn() -> Now;

impl Now {
    /// The clocks of this machine.
    #[must_use]
    pub fn read() -> Self {
        let time = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        Self { time: Time::from_millis(time), instant: Instant::now() }
    }
}
