//! The rule once more, as it is written and not as it is fast: recursive, in fractions, by trying.
//!
//! It shares no code with the library. Where the library sweeps over sorted claims, this finds the level (and
//! λ) by trying every set of children that could be satisfied and keeping the one that agrees with itself.

use weir_model::ResourceKind;

use crate::forest::Forest;

/// What the oracle says of each pool, by place in the forest's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) cap: Vec<i128>,
    pub(crate) requirement: Vec<i128>,
    pub(crate) entitlement: Vec<i128>,
}

/// No cap.
const ENDLESS: i128 = i64::MAX as i128;

pub(crate) fn judge(forest: &Forest) -> Verdict {
    let count = forest.pools.len();
    let mut oracle = Oracle { forest, verdict: Verdict::default(), fixed: vec![0; count] };
    oracle.verdict = Verdict { cap: vec![0; count], requirement: vec![0; count], entitlement: vec![0; count] };
    let top = oracle.children(None);
    top.iter().for_each(|&child| oracle.look_up_from(child));
    let fixed: i128 = top.iter().map(|&child| oracle.fixed[child]).sum();
    oracle.divide(i128::from(forest.capacity).max(fixed), &top);
    oracle.verdict
}

struct Oracle<'a> {
    forest: &'a Forest,
    verdict: Verdict,
    /// What non-preemptible pods use.
    fixed: Vec<i128>,
}

impl Oracle<'_> {
    fn children(&self, parent: Option<usize>) -> Vec<usize> {
        (0..self.forest.pools.len()).filter(|&at| self.forest.pools[at].parent == parent).collect()
    }

    fn kept(&self, at: usize) -> i128 {
        let pool = &self.forest.pools[at];
        if pool.kind == ResourceKind::Static { pool.reservation.into() } else { 0 }
    }

    /// The bottom-up half.
    fn look_up_from(&mut self, at: usize) {
        let pool = &self.forest.pools[at];
        let reservation = i128::from(pool.reservation);
        let mut cap = if pool.share == 0 { reservation } else { pool.limit.map_or(ENDLESS, i128::from) };
        let children = self.children(Some(at));
        if children.is_empty() {
            self.fixed[at] = pool.non_preemptible.into();
            self.verdict.requirement[at] = i128::from(pool.usage) + i128::from(pool.demand);
        } else {
            children.iter().for_each(|&child| self.look_up_from(child));
            let sum = |what: &dyn Fn(usize) -> i128| children.iter().map(|&child| what(child)).sum::<i128>();
            let within = |child: usize| self.verdict.requirement[child].min(self.verdict.cap[child]);
            self.fixed[at] = sum(&|child| self.fixed[child]);
            cap = cap.min(sum(&|child| self.verdict.cap[child]));
            let asked = sum(&within);
            let with_static = sum(&|child| within(child).max(self.kept(child)));
            let requirement = if with_static > asked { asked.max(with_static.min(reservation)) } else { asked };
            self.verdict.requirement[at] = requirement;
        }
        self.verdict.cap[at] = cap.max(self.fixed[at]).max(self.kept(at));
    }

    /// The top-down half.
    fn divide(&mut self, available: i128, children: &[usize]) {
        let (fixed, first) = (self.pick(children, |oracle, at| oracle.fixed[at]), self.pick(children, Self::first));
        let guaranteed: Vec<i128> = fixed.iter().zip(&first).map(|(&fixed, &first)| fixed.max(first)).collect();
        let total: i128 = guaranteed.iter().sum();
        let given = if total > available {
            cut(available, &fixed, &first)
        } else {
            let shares: Vec<i128> = children.iter().map(|&at| self.forest.pools[at].share.into()).collect();
            let caps = self.pick(children, |oracle, at| oracle.verdict.cap[at]);
            let wanted = self.pick(children, |oracle, at| oracle.verdict.requirement[at].min(oracle.verdict.cap[at]));
            let met = add(&guaranteed, &fill(available - total, &beyond(&wanted, &guaranteed), &shares));
            let left = available - met.iter().sum::<i128>();
            add(&met, &fill(left, &beyond(&caps, &met), &shares))
        };
        for (&child, entitlement) in children.iter().zip(given) {
            self.verdict.entitlement[child] = entitlement;
            let below = self.children(Some(child));
            self.divide(entitlement, &below);
        }
    }

    /// What a pool may claim of its reservation.
    fn first(&self, at: usize) -> i128 {
        let reservation = i128::from(self.forest.pools[at].reservation);
        self.verdict.requirement[at].min(reservation).max(self.kept(at))
    }

    fn pick(&self, children: &[usize], what: impl Fn(&Self, usize) -> i128) -> Vec<i128> {
        children.iter().map(|&child| what(self, child)).collect()
    }
}

fn add(a: &[i128], b: &[i128]) -> Vec<i128> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn beyond(wanted: &[i128], given: &[i128]) -> Vec<i128> {
    wanted.iter().zip(given).map(|(wanted, given)| (wanted - given).max(0)).collect()
}

/// Weighted max-min: min(want, level × share) with the level that uses up what there is.
fn fill(available: i128, wants: &[i128], shares: &[i128]) -> Vec<i128> {
    let wants: Vec<i128> = wants.iter().zip(shares).map(|(&want, &share)| if share > 0 { want } else { 0 }).collect();
    if wants.iter().sum::<i128>() <= available {
        return wants;
    }
    // Try each want ÷ share as the bound below which claims are satisfied, and no claim satisfied at all.
    let bounds = (0..wants.len()).filter(|&at| shares[at] > 0).map(|at| (wants[at], shares[at])).chain([(-1, 1)]);
    for (bound, of) in bounds {
        let satisfied = |at: usize| shares[at] == 0 || wants[at] * of <= bound * shares[at];
        let left = available - (0..wants.len()).filter(|&at| satisfied(at)).map(|at| wants[at]).sum::<i128>();
        let weight: i128 = (0..wants.len()).filter(|&at| !satisfied(at)).map(|at| shares[at]).sum();
        let agrees = |at: usize| satisfied(at) == (wants[at] * weight <= left * shares[at]);
        if weight > 0 && left >= 0 && (0..wants.len()).filter(|&at| shares[at] > 0).all(agrees) {
            let exact = |at: usize| if satisfied(at) { (wants[at], 1) } else { (left * shares[at], weight) };
            return whole(available, &(0..wants.len()).map(exact).collect::<Vec<_>>());
        }
    }
    panic!("no level for {available} among {wants:?} by {shares:?}")
}

/// max(floor, λ × want) with the λ that uses up what there is.
fn cut(available: i128, floors: &[i128], wants: &[i128]) -> Vec<i128> {
    // Try each floor ÷ want as the λ below which children are at their floor, and all of them.
    let bounds = (0..wants.len()).filter(|&at| wants[at] > 0).map(|at| (floors[at], wants[at])).chain([(-1, 1)]);
    for (bound, of) in bounds {
        let at_floor = |at: usize| wants[at] == 0 || floors[at] * of > bound * wants[at];
        let left = available - (0..wants.len()).filter(|&at| at_floor(at)).map(|at| floors[at]).sum::<i128>();
        let weight: i128 = (0..wants.len()).filter(|&at| !at_floor(at)).map(|at| wants[at]).sum();
        let agrees = |at: usize| at_floor(at) == (floors[at] * weight > left * wants[at]);
        if weight > 0 && left >= 0 && (0..wants.len()).filter(|&at| wants[at] > 0).all(agrees) {
            let exact = |at: usize| if at_floor(at) { (floors[at], 1) } else { (left * wants[at], weight) };
            return whole(available, &(0..wants.len()).map(exact).collect::<Vec<_>>());
        }
    }
    panic!("no factor for {available} among {wants:?} over {floors:?}")
}

/// Fractions to whole numbers that sum to `available`: rounded down, then a unit each to the largest remainder,
/// the first of equals.
fn whole(available: i128, fractions: &[(i128, i128)]) -> Vec<i128> {
    let mut parts: Vec<i128> = fractions.iter().map(|(above, below)| above / below).collect();
    let mut rest: Vec<Option<(i128, i128)>> =
        fractions.iter().map(|&(above, below)| Some((above % below, below))).collect();
    while parts.iter().sum::<i128>() < available {
        let mut best: Option<usize> = None;
        for at in 0..rest.len() {
            let Some((above, below)) = rest[at] else { continue };
            let larger = |other: usize| rest[other].is_none_or(|(a, b)| above * b > a * below);
            if best.is_none_or(larger) {
                best = Some(at);
            }
        }
        let best = best.expect("fewer units than fractions are left over");
        parts[best] += 1;
        rest[best] = None;
    }
    parts
}
