//! The two ways to divide an amount that is not enough: max-min by weight, and cut by one factor.
//!
//! Both are one sweep over sorted claims, so they need at most as many rounds as there are claims, and both
//! end on a unit: what whole numbers leave over goes, a unit each, to the largest remainders, and among
//! equal ones to the first name (positions are in name order). Nothing here knows pools or reservations.
//!
//! Widths: an amount is below 2⁶³, a weight below 2³² and a family has fewer than 2³² children, so every
//! product stays below 2¹²⁷ and `u128` never overflows.

use std::cmp::Ordering;

use weir_model::Amount;

use crate::condition::Fraction;

/// One who wants a part.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// How much at most.
    want: u64,
    /// How much it has in any case (only used when cutting).
    floor: u64,
    /// What it weighs: its share when filling, what it wants when cutting.
    weight: u64,
    /// Its position among its siblings.
    who: usize,
}

/// Divides; keeps its memory from one family to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Divider {
    claims: Vec<Claim>,
    /// The fractional parts that whole numbers left over, over one common denominator, and whose they are.
    remainders: Vec<(u128, usize)>,
    /// How many claims the last division looked at before it was done.
    rounds: usize,
}

impl Divider {
    /// Weighted max-min: raises one level, at which each has `level × share`, until each has what it wants
    /// or `available` is used up. Writes into `grants` (zero for those who get nothing) and returns what
    /// nobody could take. A share of 0 gets nothing.
    pub(crate) fn fill(
        &mut self,
        available: Amount,
        claims: impl Iterator<Item = (Amount, u32)>,
        grants: &mut [Amount],
    ) -> Amount {
        grants.fill(Amount::ZERO);
        self.rounds = 0;
        self.claims.clear();
        self.claims.extend(
            claims
                .enumerate()
                .filter(|&(_, (want, share))| share > 0 && !want.is_zero())
                .map(|(who, (want, share))| Claim { want: units(want), floor: 0, weight: share.into(), who }),
        );
        let wanted: u128 = self.claims.iter().map(|claim| u128::from(claim.want)).sum();
        let mut left = units(available);
        if wanted <= left.into() {
            self.claims.iter().for_each(|claim| grants[claim.who] = amount(claim.want));
            return available.minus(amount(u64::try_from(wanted).unwrap_or(left)));
        }
        // Whoever reaches its want at the lowest level comes first.
        self.claims.sort_unstable_by(|a, b| order(a.want, a.weight, b.want, b.weight));
        let mut weight: u128 = self.claims.iter().map(|claim| u128::from(claim.weight)).sum();
        for at in 0..self.claims.len() {
            self.rounds += 1;
            let claim = self.claims[at];
            if u128::from(claim.want) * weight > u128::from(left) * u128::from(claim.weight) {
                self.proportionally(at, left, weight, grants);
                return Amount::ZERO;
            }
            grants[claim.who] = amount(claim.want);
            left -= claim.want;
            weight -= u128::from(claim.weight);
        }
        amount(left)
    }

    /// Gives each max(floor, λ × want) with the one λ that uses up `available`, and returns that λ.
    ///
    /// To be called where the wants and floors are together more than `available`, and the floors alone are
    /// not; floors that are (they saturated) are given all the same.
    pub(crate) fn cut(
        &mut self,
        available: Amount,
        claims: impl Iterator<Item = (Amount, Amount)>,
        grants: &mut [Amount],
    ) -> Fraction {
        self.rounds = 0;
        self.claims.clear();
        let mut left = units(available);
        for (who, (floor, want)) in claims.enumerate() {
            grants[who] = floor;
            if want.is_zero() {
                left = left.saturating_sub(units(floor));
            } else {
                self.claims.push(Claim { want: units(want), floor: units(floor), weight: units(want), who });
            }
        }
        // λ sinks as floors are set aside; whoever's floor the highest λ falls below comes first.
        self.claims.sort_unstable_by(|a, b| order(b.floor, b.weight, a.floor, a.weight));
        let mut weight: u128 = self.claims.iter().map(|claim| u128::from(claim.weight)).sum();
        for at in 0..self.claims.len() {
            self.rounds += 1;
            let claim = self.claims[at];
            if divide(left, claim.weight, weight).0 >= claim.floor {
                self.proportionally(at, left, weight, grants);
                return Fraction::new(left.into(), weight);
            }
            left = left.saturating_sub(claim.floor);
            weight -= u128::from(claim.weight);
        }
        Fraction::new(0, 1)
    }

    /// Divides `left` between the claims from `first` on by their weights, which sum to `weight`, to the unit.
    fn proportionally(&mut self, first: usize, left: u64, weight: u128, grants: &mut [Amount]) {
        self.remainders.clear();
        let mut spare = left;
        for claim in &self.claims[first..] {
            let (whole, rest) = divide(left, claim.weight, weight);
            grants[claim.who] = amount(whole);
            spare -= whole;
            self.remainders.push((rest, claim.who));
        }
        // Fewer units are spare than there are remainders above zero.
        let count = usize::try_from(spare).unwrap_or(usize::MAX).min(self.remainders.len());
        if count == 0 {
            return;
        }
        let by_remainder = |a: &(u128, usize), b: &(u128, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
        self.remainders.select_nth_unstable_by(count - 1, by_remainder);
        for &(_, who) in &self.remainders[..count] {
            grants[who] += Amount::new(1);
        }
    }
}

/// Compares the fractions `a ÷ b` and `c ÷ d`.
fn order(a: u64, b: u64, c: u64, d: u64) -> Ordering {
    (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b)))
}

/// `left × part ÷ whole` and the remainder; in the machine's own width where the numbers allow it, which is
/// several times as fast and nearly always.
fn divide(left: u64, part: u64, whole: u128) -> (u64, u128) {
    if let (Some(product), Ok(whole)) = (left.checked_mul(part), u64::try_from(whole)) {
        return (product / whole, u128::from(product % whole));
    }
    let product = u128::from(left) * u128::from(part);
    (u64::try_from(product / whole).unwrap_or(u64::MAX), product % whole)
}

fn units(amount: Amount) -> u64 {
    amount.units().unsigned_abs()
}

fn amount(units: u64) -> Amount {
    Amount::new(i64::try_from(units).unwrap_or(i64::MAX))
}
