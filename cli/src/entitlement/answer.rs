//! The JSON answer: every number of every trace, in the order in which it came about.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_entitlement::{CappedBy, Condition, Document, Entitlements, Lender, Trace};
use weir_model::{Amount, Dim, PoolId, ResourceKind, ResourceSpec};

/// The whole answer.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    /// By pool, then by resource.
    pools: BTreeMap<&'a str, BTreeMap<&'a str, Entry<'a>>>,
    /// What deserves attention though nothing stops.
    conditions: Vec<Notice<'a>>,
}

/// One pool in one resource.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    entitlement: i64,
    /// The next four add up to the entitlement.
    non_preemptible: i64,
    from_reservation: i64,
    borrowed: i64,
    spread: i64,
    borrowed_from: BorrowedFrom<'a>,
    requirement: i64,
    /// What the pool may have at most; left out where nothing caps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<i64>,
    capped_by: &'static str,
    /// What of an inner pool's entitlement no child could be given.
    undivided: i64,
    usage: i64,
    demand: i64,
    reservation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    share: u32,
    kind: &'static str,
}

/// The lenders; their amounts add up to what is borrowed.
#[derive(Serialize)]
struct BorrowedFrom<'a> {
    unreserved: i64,
    pools: BTreeMap<&'a str, i64>,
}

/// A condition; without a pool it is about the whole cluster.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Notice<'a> {
    OverReserved {
        #[serde(skip_serializing_if = "Option::is_none")]
        pool: Option<&'a str>,
        resource: &'a str,
        reserved: i64,
        available: i64,
    },
    ReservationsScaled {
        #[serde(skip_serializing_if = "Option::is_none")]
        pool: Option<&'a str>,
        resource: &'a str,
        /// A fraction in lowest terms, such as `2/3`.
        lambda: String,
    },
}

impl<'a> Answer<'a> {
    pub(super) fn new(document: &'a Document, entitlements: &Entitlements) -> Self {
        let Document { dims, tree, input: _ } = document;
        let entries =
            |pool| dims.iter().map(move |dim| (dims.name(dim), entry(document, entitlements, pool, dim))).collect();
        let pools = tree.iter().filter(|&pool| pool != PoolId::ROOT).map(|pool| (tree.name(pool), entries(pool)));
        let conditions = entitlements.conditions().map(|condition| Notice::new(document, condition));
        Self { pools: pools.collect(), conditions: conditions.collect() }
    }
}

fn entry<'a>(document: &'a Document, entitlements: &Entitlements, pool: PoolId, dim: Dim) -> Entry<'a> {
    let Trace {
        entitlement,
        non_preemptible,
        from_reservation,
        borrowed,
        spread,
        requirement,
        cap,
        undivided,
        capped_by,
    } = entitlements.trace(pool, dim);
    let ResourceSpec { reservation, limit, share, kind } = document.tree.spec(pool, dim, &document.dims);
    Entry {
        entitlement: entitlement.units(),
        non_preemptible: non_preemptible.units(),
        from_reservation: from_reservation.units(),
        borrowed: borrowed.units(),
        spread: spread.units(),
        borrowed_from: BorrowedFrom::new(document, entitlements, pool, dim),
        requirement: requirement.units(),
        cap: (cap != Amount::MAX).then(|| cap.units()),
        capped_by: word(capped_by),
        undivided: undivided.units(),
        usage: entitlements.usage(pool, dim).units(),
        demand: entitlements.demand(pool, dim).units(),
        reservation: reservation.units(),
        limit: limit.map(Amount::units),
        share,
        kind: match kind {
            ResourceKind::Elastic => "Elastic",
            ResourceKind::Static => "Static",
        },
    }
}

impl<'a> BorrowedFrom<'a> {
    fn new(document: &'a Document, entitlements: &Entitlements, pool: PoolId, dim: Dim) -> Self {
        let mut from = Self { unreserved: 0, pools: BTreeMap::new() };
        for borrowing in entitlements.lenders(pool, dim) {
            match borrowing.lender {
                Lender::Unreserved => from.unreserved = borrowing.amount.units(),
                Lender::Pool(lender) => drop(from.pools.insert(document.tree.name(lender), borrowing.amount.units())),
            }
        }
        from
    }
}

impl<'a> Notice<'a> {
    fn new(document: &'a Document, condition: Condition) -> Self {
        let name = |pool| (pool != PoolId::ROOT).then(|| document.tree.name(pool));
        let resource = |dim| document.dims.name(dim);
        match condition {
            Condition::OverReserved { pool, dim, reserved, available } => Self::OverReserved {
                pool: name(pool),
                resource: resource(dim),
                reserved: reserved.units(),
                available: available.units(),
            },
            Condition::ReservationsScaled { pool, dim, lambda } => {
                Self::ReservationsScaled { pool: name(pool), resource: resource(dim), lambda: lambda.to_string() }
            }
        }
    }
}

/// What capped an entitlement, in one word.
const fn word(capped_by: CappedBy) -> &'static str {
    match capped_by {
        CappedBy::Limit => "limit",
        CappedBy::Share => "share",
        CappedBy::Children => "children",
        CappedBy::Requirement => "requirement",
        CappedBy::Parent => "parent",
    }
}
