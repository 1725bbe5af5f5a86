//! The tree for people: a bar for each pool, what it borrows from which pool, and what caps it.
//!
//! All bars of a resource have one scale, the cluster's; a bar shows what the entitlement is made of. Only what
//! says something is said: a pool that neither lends nor lacks anything has a bar and its numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use weir_entitlement::{CappedBy, Condition, Document, Entitlements, Lender, Trace};
use weir_model::{Amount, Dim, PoolId, ResourceKind};

use crate::draw::{Line, Paint, Section, bar, branches, listed, quantity};

const LEGEND: &str = "█ guaranteed  ▓ borrowed  ░ spread: no pool asks for it";

/// The picture, resource by resource.
pub(super) fn draw(document: &Document, entitlements: &Entitlements, paint: Paint) -> String {
    let mut page = String::new();
    for dim in document.dims.iter() {
        let view = View { document, entitlements, dim, paint };
        view.draw(&mut page);
        page.push('\n');
    }
    let _ = writeln!(page, "{}", paint.dim(LEGEND));
    page
}

/// One resource.
struct View<'a> {
    document: &'a Document,
    entitlements: &'a Entitlements,
    dim: Dim,
    paint: Paint,
}

impl View<'_> {
    fn draw(&self, page: &mut String) {
        let title = self.document.dims.name(self.dim).to_owned();
        Section { title, heads: vec!["entitled", "uses", "asks", "reserves"], lines: self.lines() }
            .draw(page, self.paint);
        for condition in self.entitlements.conditions() {
            if let Some(sentence) = self.sentence(condition) {
                let _ = writeln!(page, "{}", self.paint.red(&sentence));
            }
        }
    }

    fn lines(&self) -> Vec<Line> {
        let lent = self.lent();
        let drawn = branches(PoolId::ROOT, |pool| self.document.tree.children(pool).collect());
        let line = |(lead, pool): (String, PoolId)| {
            let why = if pool == PoolId::ROOT { self.about_cluster() } else { self.why(pool, lent.get(&pool)) };
            Line {
                label: format!("{lead}{}", self.name(pool)),
                bar: self.bar(pool),
                numbers: self.numbers(pool).into(),
                why,
            }
        };
        drawn.into_iter().map(line).collect()
    }

    fn name(&self, pool: PoolId) -> &str {
        if pool == PoolId::ROOT { "cluster" } else { self.document.tree.name(pool) }
    }

    fn numbers(&self, pool: PoolId) -> [String; 4] {
        let Self { entitlements, dim, .. } = *self;
        let reserves = match self.document.tree.listed(pool, dim) {
            _ if pool == PoolId::ROOT => String::new(),
            Some(terms) => self.show(terms.reservation),
            None => "-".to_owned(),
        };
        let [entitled, uses, asks] =
            [entitlements.amount(pool, dim), entitlements.usage(pool, dim), entitlements.demand(pool, dim)]
                .map(|amount| self.show(amount));
        [entitled, uses, asks, reserves]
    }

    /// What each pool lends, by borrower. Only leaves count as borrowers: an inner pool borrows for them.
    fn lent(&self) -> BTreeMap<PoolId, Vec<(PoolId, Amount)>> {
        let mut lent: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let tree = &self.document.tree;
        for borrower in tree.iter().filter(|&pool| tree.is_leaf(pool)) {
            for borrowing in self.entitlements.lenders(borrower, self.dim) {
                if let Lender::Pool(lender) = borrowing.lender {
                    lent.entry(lender).or_default().push((borrower, borrowing.amount));
                }
            }
        }
        lent
    }

    /// What is worth knowing about one pool.
    fn why(&self, pool: PoolId, lent: Option<&Vec<(PoolId, Amount)>>) -> String {
        let trace = self.entitlements.trace(pool, self.dim);
        let mut said = Vec::new();
        let spec = self.document.tree.spec(pool, self.dim, &self.document.dims);
        if spec.kind == ResourceKind::Static {
            said.push("static".to_owned());
        }
        if !trace.borrowed.is_zero() {
            said.push(self.paint.yellow(&format!("borrows {}", self.lenders(pool))));
        }
        if let Some(lent) = lent {
            let to = lent.iter().map(|&(borrower, amount)| format!("{} to {}", self.show(amount), self.name(borrower)));
            said.push(self.paint.cyan(&format!("lends {}", listed(to))));
        }
        let above = self.entitlements.usage(pool, self.dim).minus(trace.entitlement);
        if !above.is_zero() {
            said.push(self.paint.red(&format!("uses {} more than that", self.show(above))));
        }
        said.extend(self.cap(pool, &trace));
        said.join("; ")
    }

    fn lenders(&self, pool: PoolId) -> String {
        let lenders = self.entitlements.lenders(pool, self.dim).into_iter().map(|borrowing| {
            let amount = self.show(borrowing.amount);
            match borrowing.lender {
                Lender::Unreserved => format!("{amount} that no pool reserves"),
                Lender::Pool(lender) => format!("{amount} from {}", self.name(lender)),
            }
        });
        listed(lenders)
    }

    /// Why the pool has no more, where it asks for more or cannot have more.
    fn cap(&self, pool: PoolId, trace: &Trace) -> Option<String> {
        let beyond = self.entitlements.usage(pool, self.dim) + self.entitlements.demand(pool, self.dim);
        let short = beyond.minus(trace.entitlement);
        let short = if short.is_zero() { String::new() } else { format!(", {} short", self.show(short)) };
        let because = match trace.capped_by {
            CappedBy::Limit => "at its limit",
            CappedBy::Share => "share 0 never borrows",
            CappedBy::Children => "its pools may have no more",
            CappedBy::Parent => "the pool above has no more",
            CappedBy::Requirement => return None,
        };
        Some(if short.is_empty() { self.paint.dim(because) } else { self.paint.red(&format!("{because}{short}")) })
    }

    fn about_cluster(&self) -> String {
        let trace = self.entitlements.trace(PoolId::ROOT, self.dim);
        let capacity = self.entitlements.capacity(self.dim);
        let mut said = Vec::new();
        if capacity < trace.entitlement {
            said.push(format!("capacity {}, less than non-preemptible pods use", self.show(capacity)));
        }
        if !trace.undivided.is_zero() {
            said.push(format!("{} that no pool may have", self.show(trace.undivided)));
        }
        said.join("; ")
    }

    fn sentence(&self, condition: Condition) -> Option<String> {
        match condition {
            Condition::OverReserved { pool, dim, reserved, available } if dim == self.dim => Some(format!(
                "! OverReserved: the pools under {} reserve {} of {}",
                self.name(pool),
                self.show(reserved),
                self.show(available)
            )),
            Condition::ReservationsScaled { pool, dim, lambda } if dim == self.dim => Some(format!(
                "! ReservationsScaled: the pools under {} get {lambda} of the reservations that they ask for",
                self.name(pool)
            )),
            _ => None,
        }
    }

    /// What the entitlement is made of, on the cluster's scale.
    fn bar(&self, pool: PoolId) -> String {
        let Trace { non_preemptible, from_reservation, borrowed, spread, .. } = self.entitlements.trace(pool, self.dim);
        let whole = self.entitlements.amount(PoolId::ROOT, self.dim);
        bar([non_preemptible + from_reservation, borrowed, spread], whole, self.paint)
    }

    /// An amount in the unit that people use for the resource.
    fn show(&self, amount: Amount) -> String {
        quantity(self.document.dims.name(self.dim), amount)
    }
}
