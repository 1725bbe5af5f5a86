//! The JSON document from which entitlements follow: capacity, pools, usage and demand.
//!
//! `weir entitlement --tree` reads it from a file, and the record of a round holds one, so that its figures can be
//! computed again. Reading gives a tree and its numbers, or one sentence that names the field and says what to do.
//! It is stricter than the live system, where every wrong pool is a condition and the rest goes on: the question is
//! about exactly this document.

mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use weir_model::{Amount, Dim, Dimensions, PoolError, PoolSpec, PoolTree, ResourceKind, ResourceSpec};

use crate::entitler::Input;
use json::Json;

/// A document that was read.
///
/// ```
/// use weir_entitlement::{Document, entitle};
/// let text = r#"{"capacity": {"nvidia.com/gpu": 100}, "pools": [
///     {"name": "labs", "resources": {"nvidia.com/gpu": {"reservation": 60}}, "demand": {"nvidia.com/gpu": 80}}]}"#;
/// let Document { dims, tree, input } = Document::read(text.as_bytes()).unwrap();
/// let (labs, gpu) = (tree.find("labs").unwrap(), dims.find("nvidia.com/gpu").unwrap());
/// assert_eq!(entitle(&tree, &dims, &input).amount(labs, gpu).units(), 100);
/// ```
#[derive(Debug)]
pub struct Document {
    /// Every resource that is named in it.
    pub dims: Dimensions,
    /// The pools.
    pub tree: PoolTree,
    /// Capacity, and what each pool uses and asks for.
    pub input: Input,
}

/// A fault of a document: where it is, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct BadDocument {
    /// The path to the field, as one would write it in a program.
    field: String,
    problem: String,
}

impl std::error::Error for BadDocument {}

impl fmt::Display for BadDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, problem } = self;
        write!(f, "{field}: {problem}")
    }
}

/// One entry of `pools`.
struct PoolEntry {
    spec: PoolSpec,
    usage: Amounts,
    non_preemptible: Amounts,
    demand: Amounts,
}

type Amounts = BTreeMap<Dim, Amount>;

impl Document {
    /// Reads one JSON document.
    ///
    /// # Errors
    /// The first fault, with its field.
    pub fn read(text: &[u8]) -> Result<Self, BadDocument> {
        let document: Json = serde_json::from_slice(text)
            .map_err(|error| bad("the file", format!("is not one JSON document: {error}")))?;
        let mut dims = Dimensions::new();
        let fields = Fields::of(&document, "the file", "")?;
        let capacity = fields.required("capacity", |field| amounts(field, &mut dims))?;
        let pools = fields.required("pools", |field| pools(field, &mut dims))?;
        fields.no_others(&["capacity", "pools"])?;
        unique_names(&pools)?;
        let (tree, errors) = PoolTree::build(pools.iter().map(|pool| pool.spec.clone()).collect(), &dims);
        match first_cause(&errors, &pools) {
            Some(error) => Err(error),
            None => {
                let input = input(&tree, &dims, capacity, &pools)?;
                Ok(Self { dims, tree, input })
            }
        }
    }
}

fn pools(field: &Field<'_>, dims: &mut Dimensions) -> Result<Vec<PoolEntry>, BadDocument> {
    let Json::List(pools) = field.value else {
        return Err(field.bad(format!("is {}; give a list of pools", field.value)));
    };
    let path = |at| format!("{}[{at}]", field.path);
    pools.iter().enumerate().map(|(at, value)| pool(&Field { path: path(at), value }, dims)).collect()
}

fn pool(field: &Field<'_>, dims: &mut Dimensions) -> Result<PoolEntry, BadDocument> {
    let fields = Fields::of(field.value, &field.path, &field.path)?;
    let name = fields.required("name", text)?;
    if name.is_empty() {
        return Err(bad(format!("{}.name", field.path), "is empty; a pool needs a name"));
    }
    let parent = fields.optional("parent", text)?;
    let resources = fields.optional("resources", |field| resources(field, dims))?.unwrap_or_default();
    let mut vector = |key| fields.optional(key, |field| amounts(field, dims)).map(Option::unwrap_or_default);
    let (usage, demand) = (vector("usage")?, vector("demand")?);
    let non_preemptible = vector("nonPreemptibleUsage")?;
    fields.no_others(&["name", "parent", "resources", "usage", "nonPreemptibleUsage", "demand"])?;
    Ok(PoolEntry { spec: PoolSpec { name, parent, resources }, usage, non_preemptible, demand })
}

fn resources(field: &Field<'_>, dims: &mut Dimensions) -> Result<Vec<(Dim, ResourceSpec)>, BadDocument> {
    named(field)?.into_iter().map(|(name, field)| Ok((dimension(name, &field, dims)?, terms(&field)?))).collect()
}

fn terms(field: &Field<'_>) -> Result<ResourceSpec, BadDocument> {
    let fields = Fields::of(field.value, &field.path, &field.path)?;
    let reservation = fields.optional("reservation", amount)?.unwrap_or_default();
    let limit = fields.optional("limit", amount)?;
    let share = fields.optional("share", share)?.unwrap_or(1);
    let kind = fields.optional("kind", kind)?.unwrap_or_default();
    fields.no_others(&["reservation", "limit", "share", "kind"])?;
    Ok(ResourceSpec { reservation, limit, share, kind })
}

/// An object of amounts by resource.
fn amounts(field: &Field<'_>, dims: &mut Dimensions) -> Result<Amounts, BadDocument> {
    named(field)?.into_iter().map(|(name, field)| Ok((dimension(name, &field, dims)?, amount(&field)?))).collect()
}

fn dimension(name: &str, field: &Field<'_>, dims: &mut Dimensions) -> Result<Dim, BadDocument> {
    if name.is_empty() {
        return Err(field.bad("is a resource without a name; give it one"));
    }
    if dims.find(name).is_none() && dims.len() >= usize::from(u16::MAX) {
        return Err(field.bad("is one resource too many; there can be 65535"));
    }
    Ok(dims.intern(name))
}

fn amount(field: &Field<'_>) -> Result<Amount, BadDocument> {
    let units = whole(field, i64::MAX.into(), "in the resource's base unit")?;
    Ok(Amount::new(i64::try_from(units).unwrap_or(i64::MAX)))
}

fn share(field: &Field<'_>) -> Result<u32, BadDocument> {
    whole(field, u32::MAX.into(), "where 0 never borrows").map(|share| u32::try_from(share).unwrap_or(u32::MAX))
}

fn whole(field: &Field<'_>, most: i128, meaning: &str) -> Result<i128, BadDocument> {
    match *field.value {
        Json::Whole(number) if (0..=most).contains(&number) => Ok(number),
        _ => Err(field.bad(format!("is {}; give a whole number from 0 to {most}, {meaning}", field.value))),
    }
}

fn kind(field: &Field<'_>) -> Result<ResourceKind, BadDocument> {
    match text(field)?.as_str() {
        "Elastic" => Ok(ResourceKind::Elastic),
        "Static" => Ok(ResourceKind::Static),
        other => Err(field.bad(format!("is {other:?}; give \"Elastic\" or \"Static\""))),
    }
}

fn text(field: &Field<'_>) -> Result<String, BadDocument> {
    match field.value {
        Json::Text(text) => Ok(text.clone()),
        other => Err(field.bad(format!("is {other}; give a string"))),
    }
}

/// A pool of a name that an earlier one has.
fn unique_names(pools: &[PoolEntry]) -> Result<(), BadDocument> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, pool) in pools.iter().enumerate() {
        if let Some(other) = first.insert(&pool.spec.name, at) {
            let problem = format!("is {:?}, as is that of pools[{other}]; give each its own", pool.spec.name);
            return Err(bad(format!("pools[{at}].name"), problem));
        }
    }
    Ok(())
}

/// Of all that is wrong with the tree, the one from which the others may follow: a pool under a cycle is missing
/// its parent, too.
fn first_cause(errors: &[PoolError], pools: &[PoolEntry]) -> Option<BadDocument> {
    let names: BTreeMap<&str, usize> =
        pools.iter().enumerate().map(|(at, pool)| (pool.spec.name.as_str(), at)).collect();
    let consequence = |error: &PoolError| match error {
        PoolError::MissingParent { parent, .. } => 2 + usize::from(names.contains_key(parent.as_str())),
        PoolError::Cycle { .. } => 1,
        _ => 0,
    };
    let error = errors.iter().min_by_key(|error| consequence(error))?;
    let pool = format!("pools[{}]", names.get(error.pool()).copied().unwrap_or_default());
    Some(match error {
        PoolError::EmptyName => bad(format!("{pool}.name"), "is empty; a pool needs a name"),
        PoolError::DuplicateName { .. } => bad(format!("{pool}.name"), "stands twice; give each pool its own"),
        PoolError::DuplicateResource { resource, .. } => {
            bad(format!("{pool}.resources[{resource:?}]"), "stands twice; keep one of them")
        }
        PoolError::MissingParent { parent, .. } => bad(
            format!("{pool}.parent"),
            format!("is {parent:?}, which is no pool of this file; add it or name another"),
        ),
        PoolError::Cycle { pool: name, parent } => bad(
            format!("{pool}.parent"),
            format!("is {parent:?}, which leads back to {name:?}; put one of them under another pool"),
        ),
        PoolError::LimitBelowReservation { resource, reservation, limit, .. } => bad(
            format!("{pool}.resources[{resource:?}].limit"),
            format!("is {limit}, below the reservation {reservation}; raise the limit or lower the reservation"),
        ),
    })
}

fn input(tree: &PoolTree, dims: &Dimensions, capacity: Amounts, pools: &[PoolEntry]) -> Result<Input, BadDocument> {
    let mut input = Input::new(tree);
    input.capacity = capacity.into_iter().collect();
    for (at, PoolEntry { spec, usage, non_preemptible, demand }) in pools.iter().enumerate() {
        let Some(pool) = tree.find(&spec.name) else { continue };
        let Input { capacity: _, usage: used, non_preemptible: fixed, demand: asked } = &mut input;
        let vectors =
            [("usage", usage, used), ("nonPreemptibleUsage", non_preemptible, fixed), ("demand", demand, asked)];
        for (key, amounts, table) in vectors {
            for (&dim, &amount) in amounts {
                let field = || format!("pools[{at}].{key}[{:?}]", dims.name(dim));
                if !amount.is_zero() && !tree.is_leaf(pool) {
                    let problem = format!("is {amount}, but {:?} has children and only leaves hold pods", spec.name);
                    return Err(bad(field(), format!("{problem}; give it to one of them")));
                }
                let used = usage.get(&dim).copied().unwrap_or_default();
                if key == "nonPreemptibleUsage" && amount > used {
                    return Err(bad(
                        field(),
                        format!("is {amount}, a part of the usage, which is {used}; raise the usage"),
                    ));
                }
                table.set(pool, dim, amount);
            }
        }
    }
    Ok(input)
}

/// A value and where it stands.
struct Field<'a> {
    path: String,
    value: &'a Json,
}

impl Field<'_> {
    fn bad(&self, problem: impl Into<String>) -> BadDocument {
        bad(self.path.clone(), problem)
    }
}

fn bad(field: impl Into<String>, problem: impl Into<String>) -> BadDocument {
    BadDocument { field: field.into(), problem: problem.into() }
}

/// The entries of an object whose keys are names, each only once.
fn named<'a>(field: &Field<'a>) -> Result<Vec<(&'a str, Field<'a>)>, BadDocument> {
    let Json::Object(entries) = field.value else {
        return Err(field.bad(format!("is {}; give an object with a key for each resource", field.value)));
    };
    let path = |key: &str| format!("{}[{key:?}]", field.path);
    let mut seen = BTreeSet::new();
    let entry = |(key, value): &'a (String, Json)| {
        let field = Field { path: path(key), value };
        if seen.insert(key) { Ok((key.as_str(), field)) } else { Err(field.bad("stands twice; keep one of them")) }
    };
    entries.iter().map(entry).collect()
}

/// The fields of an object whose keys are known.
struct Fields<'a> {
    entries: &'a [(String, Json)],
    /// What stands before a field's name.
    prefix: String,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Json, what: &str, prefix: &str) -> Result<Self, BadDocument> {
        let Json::Object(entries) = value else {
            return Err(bad(what, format!("is {value}; give an object")));
        };
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
        let mut seen = BTreeSet::new();
        match entries.iter().find(|(key, _)| !seen.insert(key)) {
            Some((key, _)) => Err(bad(format!("{prefix}{key}"), "stands twice; keep one of them")),
            None => Ok(Self { entries, prefix }),
        }
    }

    /// A field that may be left out or null.
    fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, BadDocument>,
    ) -> Result<Option<T>, BadDocument> {
        let entry = self.entries.iter().find(|(name, value)| name == key && *value != Json::Null);
        entry.map(|(key, value)| read(&Field { path: format!("{}{key}", self.prefix), value })).transpose()
    }

    fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, BadDocument>,
    ) -> Result<T, BadDocument> {
        self.optional(key, read)?.ok_or_else(|| bad(format!("{}{key}", self.prefix), "is missing; add it"))
    }

    /// Refuses what none of the known fields is: most likely a slip of the pen, which must not go unnoticed.
    fn no_others(&self, known: &[&str]) -> Result<(), BadDocument> {
        match self.entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => {
                Err(bad(format!("{}{key}", self.prefix), format!("is no known field; there are {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }
}
