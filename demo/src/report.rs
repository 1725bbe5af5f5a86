//! The output of a run: plain lines without a terminal, a summary, one JSON document, a picture.

mod json;
mod plain;
mod summary;
mod svg;

pub use json::{Bound, Outcome, Plugin};
pub use plain::LineLog;
pub use summary::summary;
pub use svg::chart;
