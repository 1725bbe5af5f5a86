//! What the queue is told and what it answers: plain data, without a rule.

pub(crate) mod decision;
pub(crate) mod event;
pub(crate) mod explanation;
pub(crate) mod filters;
pub(crate) mod hosts;
pub(crate) mod pod;
pub(crate) mod selector;
pub(crate) mod settings;
pub(crate) mod time;
