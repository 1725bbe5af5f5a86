//! What a run leaves behind: plain lines while nobody looks, a summary, one JSON document, a picture.

mod json;
mod plain;
mod summary;
mod svg;

pub use json::{Bound, Outcome, Plugin};
pub use plain::LineLog;
pub use summary::summary;
pub use svg::chart;
