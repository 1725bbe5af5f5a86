//! That a recorded entitlement is the one that follows from its inputs.
//!
//! The inputs are a document of the form that `weir entitlement --tree` reads, so that anybody can compute
//! the same by hand. Nothing here knows how the sidecar came to its figures.

use std::fmt;

use weir_entitlement::entitle;
use weir_model::PoolId;

use super::facts::{Figure, Record};
use crate::entitlement::Cluster;

/// A recorded entitlement that is not what its inputs give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unequal {
    /// The pool; empty for the cluster.
    pub pool: String,
    /// The dimension.
    pub resource: String,
    /// What was recorded.
    pub recorded: i64,
    /// What the inputs give; `None` where they know no such pool.
    pub computed: Option<i64>,
}

impl fmt::Display for Unequal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, resource, recorded, computed } = self;
        match computed {
            Some(computed) => write!(f, "{pool:?} was entitled to {recorded} {resource}; its inputs give {computed}"),
            None => write!(f, "{pool:?} was entitled to {recorded} {resource}; its inputs know no such pool"),
        }
    }
}

/// Every figure of a record that is not what the inputs give.
///
/// ```
/// use weir_cli::run::checker::admission::{Figure, Record, recomputed};
/// let inputs = r#"{"capacity": {"nvidia.com/gpu": 100}, "pools": [
///     {"name": "labs", "resources": {"nvidia.com/gpu": {"reservation": 60}}, "demand": {"nvidia.com/gpu": 80}},
///     {"name": "web", "resources": {"nvidia.com/gpu": {"reservation": 40}}, "demand": {"nvidia.com/gpu": 40}}]}"#;
/// let (pool, resource) = ("labs".to_owned(), "nvidia.com/gpu".to_owned());
/// let figure = Figure { pool, resource, entitlement: 60, usage: 0, asked: 8 };
/// let record = Record { figures: vec![figure], ..Record::default() };
/// assert_eq!(recomputed(inputs, &record), Ok(vec![]));
/// ```
///
/// # Errors
/// Inputs that cannot be read, with the field and what to do.
pub fn recomputed(inputs: &str, record: &Record) -> Result<Vec<Unequal>, String> {
    let Cluster { dims, tree, input } = Cluster::read(inputs.as_bytes()).map_err(|error| error.to_string())?;
    let entitlements = entitle(&tree, &dims, &input);
    let compared = record.figures.iter().filter_map(|Figure { pool, resource, entitlement, usage: _, asked: _ }| {
        let found = if pool.is_empty() { Some(PoolId::ROOT) } else { tree.find(pool) };
        let computed = found.map(|pool| dims.find(resource).map_or(0, |dim| entitlements.amount(pool, dim).units()));
        let unequal = Unequal { pool: pool.clone(), resource: resource.clone(), recorded: *entitlement, computed };
        (computed != Some(*entitlement)).then_some(unequal)
    });
    Ok(compared.collect())
}
