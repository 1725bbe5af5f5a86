//! Properties over random histories.
