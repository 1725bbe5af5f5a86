//! What planning an eviction reads.

use crate::contract::settings::Config;
use crate::contract::time::Time;
use crate::state::State;

/// What planning an eviction reads.
#[derive(Clone, Copy)]
pub(crate) struct View<'q> {
    pub(crate) state: &'q State,
    pub(crate) config: &'q Config,
    pub(crate) now: Time,
}
