//! The tree for people: a bar for each pool, who borrows from whom, and why nobody has more.
//!
//! All bars of a resource have one scale, the cluster's; a bar shows what the entitlement is made of. Only what
//! says something is said: a pool that neither lends nor lacks anything has a bar and its numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use weir_entitlement::{CappedBy, Condition, Entitlements, Lender, Trace};
use weir_model::dimension::{
    CPU, EPHEMERAL_STORAGE, GPU_HOSTS_PREFIX, MEMORY, SKU_CPU_PREFIX, SKU_DISK_PREFIX, SKU_MEMORY_PREFIX,
};
use weir_model::{Amount, Dim, PoolId, ResourceKind};

use super::read::Cluster;

/// Whether to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Coloured,
}

/// How wide the bar of the whole cluster is.
const WIDTH: usize = 30;
/// How many lenders or borrowers a line names.
const LISTED: usize = 4;
const LEGEND: &str = "█ guaranteed  ▓ borrowed  ░ spread: nobody asks for it";

/// The picture, resource by resource.
pub(super) fn draw(cluster: &Cluster, entitlements: &Entitlements, paint: Paint) -> String {
    let mut page = String::new();
    for dim in cluster.dims.iter() {
        let view = View { cluster, entitlements, dim, paint };
        view.draw(&mut page);
        page.push('\n');
    }
    let _ = writeln!(page, "{}", paint.dim(LEGEND));
    page
}

/// One resource.
struct View<'a> {
    cluster: &'a Cluster,
    entitlements: &'a Entitlements,
    dim: Dim,
    paint: Paint,
}

/// One line before its columns are aligned.
struct Line {
    label: String,
    pool: PoolId,
    numbers: [String; 4],
    why: String,
}

impl View<'_> {
    fn draw(&self, page: &mut String) {
        let lines = self.lines();
        let label = lines.iter().map(|line| line.label.chars().count()).max().unwrap_or(0);
        let title = self.cluster.dims.name(self.dim);
        let heads = ["entitled", "uses", "asks", "reserves"];
        let width = |at: usize| {
            lines.iter().map(|line| line.numbers[at].chars().count()).chain([heads[at].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let mut head = format!("{title:label$}  {:WIDTH$}", "");
        for (head_word, width) in heads.iter().zip(&widths) {
            let _ = write!(head, "  {head_word:>width$}");
        }
        let _ = writeln!(page, "{}", self.paint.bold(&head));
        for Line { label: name, pool, numbers, why } in &lines {
            let mut line = format!("{name:label$}  {}", self.bar(*pool));
            for (number, width) in numbers.iter().zip(&widths) {
                let _ = write!(line, "  {number:>width$}");
            }
            let _ = writeln!(page, "{}", format!("{line}  {why}").trim_end());
        }
        for condition in self.entitlements.conditions() {
            if let Some(sentence) = self.sentence(condition) {
                let _ = writeln!(page, "{}", self.paint.red(&sentence));
            }
        }
    }

    /// Depth first, as one draws a tree.
    fn lines(&self) -> Vec<Line> {
        let lent = self.lent();
        let mut lines = Vec::new();
        let mut open = vec![(PoolId::ROOT, String::new(), String::new())];
        while let Some((pool, lead, below)) = open.pop() {
            let name = self.name(pool);
            let why = if pool == PoolId::ROOT { self.about_cluster() } else { self.why(pool, lent.get(&pool)) };
            lines.push(Line { label: format!("{lead}{name}"), pool, numbers: self.numbers(pool), why });
            let children: Vec<_> = self.cluster.tree.children(pool).collect();
            for (at, &child) in children.iter().enumerate().rev() {
                let (branch, trunk) = if at + 1 == children.len() { ("└ ", "  ") } else { ("├ ", "│ ") };
                open.push((child, format!("{below}{branch}"), format!("{below}{trunk}")));
            }
        }
        lines
    }

    fn name(&self, pool: PoolId) -> &str {
        if pool == PoolId::ROOT { "cluster" } else { self.cluster.tree.name(pool) }
    }

    fn numbers(&self, pool: PoolId) -> [String; 4] {
        let Self { entitlements, dim, .. } = *self;
        let reserves = match self.cluster.tree.listed(pool, dim) {
            _ if pool == PoolId::ROOT => String::new(),
            Some(terms) => self.show(terms.reservation),
            None => "-".to_owned(),
        };
        let [entitled, uses, asks] =
            [entitlements.amount(pool, dim), entitlements.usage(pool, dim), entitlements.demand(pool, dim)]
                .map(|amount| self.show(amount));
        [entitled, uses, asks, reserves]
    }

    /// What each pool lends, and to whom. Only leaves count as borrowers: an inner pool borrows for them.
    fn lent(&self) -> BTreeMap<PoolId, Vec<(PoolId, Amount)>> {
        let mut lent: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let tree = &self.cluster.tree;
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
        let spec = self.cluster.tree.spec(pool, self.dim, &self.cluster.dims);
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
                Lender::Unreserved => format!("{amount} that nobody reserves"),
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
        let whole = self.entitlements.amount(PoolId::ROOT, self.dim).units().max(1);
        let cells = |amount: Amount| {
            // Rounded to the nearest cell.
            let doubled = i128::from(amount.units()) * 2 * WIDTH as i128 / i128::from(whole);
            usize::try_from((doubled + 1) / 2).unwrap_or(WIDTH).min(WIDTH)
        };
        let guaranteed = non_preemptible + from_reservation;
        let ends = [guaranteed, guaranteed + borrowed, guaranteed + borrowed + spread].map(cells);
        let part = |letter: &str, from: usize, to: usize| letter.repeat(to.saturating_sub(from));
        [
            self.paint.green(&part("█", 0, ends[0])),
            self.paint.yellow(&part("▓", ends[0], ends[1])),
            self.paint.dim(&part("░", ends[1], ends[2])),
            " ".repeat(WIDTH - ends[2].min(WIDTH)),
        ]
        .concat()
    }

    /// An amount in the unit that people use for the resource.
    fn show(&self, amount: Amount) -> String {
        quantity(self.cluster.dims.name(self.dim), amount)
    }
}

/// The first few and how many more there are: a line is read at a glance, `-o json` has them all.
fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(LISTED);
    let mut shown: Vec<_> = items.take(LISTED).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// Cores for milli-CPU, binary units for bytes, everything else as it is.
fn quantity(resource: &str, amount: Amount) -> String {
    let units = amount.units();
    let of_sku = [(SKU_CPU_PREFIX, CPU), (SKU_MEMORY_PREFIX, MEMORY), (SKU_DISK_PREFIX, EPHEMERAL_STORAGE)];
    let kind = match of_sku.into_iter().find(|(prefix, _)| resource.starts_with(prefix)) {
        Some((_, kind)) => kind,
        None => resource.strip_prefix(GPU_HOSTS_PREFIX).unwrap_or(resource),
    };
    match kind {
        CPU if units % 1000 == 0 => (units / 1000).to_string(),
        CPU => format!("{units}m"),
        MEMORY | EPHEMERAL_STORAGE => bytes(units),
        _ => units.to_string(),
    }
}

/// In the largest binary unit that is not more than the number, to a tenth.
fn bytes(units: i64) -> String {
    let step = ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"].iter().zip([60, 50, 40, 30, 20, 10]);
    match step.into_iter().find(|&(_, shift)| units >> shift > 0) {
        None => units.to_string(),
        Some((suffix, shift)) => {
            let tenths = (i128::from(units) * 10) >> shift;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            if tenth == 0 { format!("{whole}{suffix}") } else { format!("{whole}.{tenth}{suffix}") }
        }
    }
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Coloured if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_in_the_unit_people_use() {
        let shown = [
            ("cpu", 32_000),
            ("gpu-hosts.weir.dev/cpu", 1500),
            ("sku-cpu.weir.dev/NVIDIA_H100_80GB_HBM3", 96_000),
            ("memory", 64 << 30),
            ("sku-memory.weir.dev/NVIDIA_H100_80GB_HBM3", 3 << 39),
            ("ephemeral-storage", 1000),
            ("nvidia.com/gpu", 8000),
            ("example.com/memory-slots", 2048),
        ]
        .map(|(resource, units)| quantity(resource, Amount::new(units)));
        assert_eq!(shown, ["32", "1500m", "96", "64Gi", "1.5Ti", "1000", "8000", "2048"]);
    }
}
