//! `make run`: a real GPU cluster's workload on a cluster of processes, told while it happens.
//!
//! The parts here are pure: they are told what happened and when, and say what to show. Who starts the
//! cluster, creates pods and watches them is not here, so each of them is tested without a cluster. Only
//! [`view::Screen`] touches something outside, the terminal.

pub mod checker;
pub mod report;
pub mod story;
pub mod view;
pub mod words;
