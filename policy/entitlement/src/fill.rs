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

use crate::fraction::Fraction;

/// A child that wants a part.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// How much at most.
    want: u64,
    /// How much it has in any case (only used when cutting).
    floor: u64,
    /// What it weighs: its share when filling, what it wants when cutting.
    weight: u64,
    /// Its position among its siblings.
    child: usize,
}

/// Divides; keeps its memory from one family to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Divider {
    claims: Vec<Claim>,
    /// The fractional parts that whole numbers left over, over one common denominator, each with its child.
    remainders: Vec<(u128, usize)>,
    /// How many claims the last division looked at before it was done.
    rounds: usize,
}

impl Divider {
    /// Weighted max-min: raises one level, at which each has `level × share`, until each has what it wants
    /// or `available` is used up. Writes into `grants` (zero for a child that gets nothing) and returns what no
    /// child could take. A share of 0 gets nothing.
    pub(crate) fn fill(
        &mut self,
        available: Amount,
        claims: impl Iterator<Item = (Amount, u32)>,
        grants: &mut [Amount],
    ) -> Amount {
        grants.fill(Amount::ZERO);
        self.rounds = 0;
        if available.is_zero() {
            return Amount::ZERO;
        }
        self.claims.clear();
        self.claims.extend(
            claims
                .enumerate()
                .filter(|&(_, (want, share))| share > 0 && !want.is_zero())
                .map(|(child, (want, share))| Claim { want: units(want), floor: 0, weight: share.into(), child }),
        );
        let wanted: u128 = self.claims.iter().map(|claim| u128::from(claim.want)).sum();
        let mut left = units(available);
        if wanted <= left.into() {
            self.claims.iter().for_each(|claim| grants[claim.child] = amount(claim.want));
            return available.minus(amount(u64::try_from(wanted).unwrap_or(left)));
        }
        // The child that reaches its want at the lowest level comes first.
        self.claims.sort_unstable_by(|a, b| order(a.want, a.weight, b.want, b.weight));
        let mut weight: u128 = self.claims.iter().map(|claim| u128::from(claim.weight)).sum();
        for at in 0..self.claims.len() {
            self.rounds += 1;
            let claim = self.claims[at];
            if u128::from(claim.want) * weight > u128::from(left) * u128::from(claim.weight) {
                self.proportionally(at, left, weight, grants);
                return Amount::ZERO;
            }
            grants[claim.child] = amount(claim.want);
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
        for (child, (floor, want)) in claims.enumerate() {
            grants[child] = floor;
            if want.is_zero() {
                left = left.saturating_sub(units(floor));
            } else {
                self.claims.push(Claim { want: units(want), floor: units(floor), weight: units(want), child });
            }
        }
        // λ sinks as floors are set aside; the child whose floor the highest λ falls below comes first.
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
            grants[claim.child] = amount(whole);
            spare -= whole;
            self.remainders.push((rest, claim.child));
        }
        // Fewer units are spare than there are remainders above zero.
        let count = usize::try_from(spare).unwrap_or(usize::MAX).min(self.remainders.len());
        if count == 0 {
            return;
        }
        let by_remainder = |a: &(u128, usize), b: &(u128, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
        self.remainders.select_nth_unstable_by(count - 1, by_remainder);
        for &(_, child) in &self.remainders[..count] {
            grants[child] += Amount::new(1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amounts<const N: usize>(units: [i64; N]) -> [Amount; N] {
        units.map(Amount::new)
    }

    /// What is left, and what each got.
    fn filled<const N: usize>(available: i64, claims: [(i64, u32); N]) -> (i64, [i64; N]) {
        let mut grants = [Amount::MAX; N];
        let claims = claims.into_iter().map(|(want, share)| (Amount::new(want), share));
        let left = Divider::default().fill(Amount::new(available), claims, &mut grants);
        (left.units(), grants.map(Amount::units))
    }

    #[test]
    fn enough_for_all_gives_all_and_leaves_the_rest() {
        assert_eq!(filled(10, [(3, 1), (4, 9)]), (3, [3, 4]));
    }

    #[test]
    fn a_child_that_wants_less_than_the_level_gets_what_it_wants() {
        // 20 over shares 1, 1, 2: the first wants 2, the others stand at level 6.
        assert_eq!(filled(20, [(2, 1), (50, 1), (50, 2)]), (0, [2, 6, 12]));
    }

    #[test]
    fn a_share_of_zero_gets_nothing_even_when_the_rest_goes_begging() {
        assert_eq!(filled(10, [(5, 0), (3, 1)]), (7, [0, 3]));
        assert_eq!(filled(10, [(5, 0)]), (10, [0]));
    }

    #[test]
    fn units_that_cannot_be_split_go_to_the_largest_remainder_and_then_to_the_first() {
        assert_eq!(filled(2, [(9, 1), (9, 1), (9, 1)]), (0, [1, 1, 0]));
        // 5 × 3/8 = 1 7/8 and 5 × 5/8 = 3 1/8.
        assert_eq!(filled(5, [(9, 5), (9, 3)]), (0, [3, 2]));
    }

    #[test]
    fn one_factor_cuts_all_that_are_not_held_up_by_their_floor() {
        let mut grants = amounts([0; 3]);
        let claims = [(8, 10), (0, 20), (0, 10)].map(|(floor, want)| (Amount::new(floor), Amount::new(want)));
        let lambda = Divider::default().cut(Amount::new(20), claims.into_iter(), &mut grants);
        assert_eq!((lambda, grants), (Fraction::new(2, 5), amounts([8, 8, 4])));
    }

    #[test]
    fn a_floor_without_a_want_is_given_in_full() {
        let mut grants = amounts([0; 2]);
        let claims = [(5, 0), (0, 20)].map(|(floor, want)| (Amount::new(floor), Amount::new(want)));
        let lambda = Divider::default().cut(Amount::new(10), claims.into_iter(), &mut grants);
        assert_eq!((lambda, grants), (Fraction::new(1, 4), amounts([5, 5])));
    }

    #[test]
    fn the_widest_numbers_divide_exactly() {
        let claims = [(i64::MAX, u32::MAX), (i64::MAX, u32::MAX)];
        assert_eq!(filled(i64::MAX, claims), (0, [i64::MAX / 2 + 1, i64::MAX / 2]));
    }

    proptest! {
        #[test]
        fn at_most_as_many_rounds_as_claims(
            available in 0..1000i64,
            claims in prop::collection::vec((0..300i64, 0..5u32, 0..100i64), 1..20),
        ) {
            let mut divider = Divider::default();
            let mut grants = vec![Amount::ZERO; claims.len()];
            let wants = claims.iter().map(|&(want, share, _)| (Amount::new(want), share));
            divider.fill(Amount::new(available), wants, &mut grants);
            prop_assert!(divider.rounds <= claims.len());
            let floors = claims.iter().map(|&(want, _, floor)| (Amount::new(floor), Amount::new(want)));
            divider.cut(Amount::new(available), floors, &mut grants);
            prop_assert!(divider.rounds <= claims.len());
        }
    }
}
