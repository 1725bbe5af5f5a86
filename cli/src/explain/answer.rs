//! The answer: the facts, and what would have to change.

use std::collections::BTreeSet;

use serde::Serialize;

use super::facts::Facts;
use super::read::Seen;
use super::{advice, read};
use crate::pools::Tree;

/// The facts about one pod or gang with the advice that they lead to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    #[serde(flatten)]
    pub(super) facts: Facts,
    pub(super) what_to_do: Vec<String>,
}

impl Explained {
    pub(super) fn of(seen: &Seen, tree: &Tree, special: &BTreeSet<String>) -> Self {
        let facts = read::facts(seen, tree, special);
        Self { what_to_do: advice::of(&facts), facts }
    }
}
