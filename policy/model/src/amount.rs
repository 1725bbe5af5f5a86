//! An amount of one resource: an exact integer in the resource's base unit.
//!
//! The base units are those of kube-scheduler: milli-CPU for `cpu`, bytes for `memory` and
//! `ephemeral-storage`, pieces for everything else. Which unit an amount is in follows from the
//! dimension it stands beside; this type only sees to it that the arithmetic cannot lie.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign};

/// An amount of one resource in its base unit, never negative.
///
/// Addition saturates at [`Amount::MAX`] and subtraction at zero: a tenant that asks for 2⁶³ bytes twice
/// gets "very much", not a small number. There is no `-`, because a subtraction has to say what happens below
/// zero; see [`Amount::minus`].
///
/// ```
/// use weir_model::Amount;
/// let (one, two) = (Amount::new(1), Amount::new(2));
/// assert_eq!(one + two, Amount::new(3));
/// assert_eq!(one.minus(two), Amount::ZERO);
/// assert_eq!(Amount::MAX + one, Amount::MAX);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount; sums stop here.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of `units` base units; a negative number is taken as zero.
    ///
    /// ```
    /// use weir_model::Amount;
    /// assert_eq!(Amount::new(-3), Amount::ZERO);
    /// ```
    #[must_use]
    pub const fn new(units: i64) -> Self {
        Self(if units < 0 { 0 } else { units })
    }

    /// The number of base units, between 0 and `i64::MAX`.
    ///
    /// ```
    /// use weir_model::Amount;
    /// assert_eq!(Amount::new(2000).units(), 2000);
    /// ```
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// What is left after taking `other` away, zero at the least.
    ///
    /// ```
    /// use weir_model::Amount;
    /// assert_eq!(Amount::new(5).minus(Amount::new(2)), Amount::new(3));
    /// assert_eq!(Amount::new(2).minus(Amount::new(5)), Amount::ZERO);
    /// ```
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self::new(self.0.saturating_sub(other.0))
    }

    /// Whether there is nothing.
    ///
    /// ```
    /// use weir_model::Amount;
    /// assert!(Amount::ZERO.is_zero() && !Amount::new(1).is_zero());
    /// ```
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `self × numerator ÷ denominator`, rounded down, computed without overflow in between.
    ///
    /// A denominator of zero or less gives zero: a share of nothing is nothing.
    ///
    /// ```
    /// use weir_model::Amount;
    /// assert_eq!(Amount::new(10).scale(2, 3), Amount::new(6));
    /// assert_eq!(Amount::MAX.scale(1, 1), Amount::MAX);
    /// assert_eq!(Amount::new(10).scale(1, 0), Amount::ZERO);
    /// ```
    #[must_use]
    pub fn scale(self, numerator: i64, denominator: i64) -> Self {
        if denominator <= 0 || numerator <= 0 {
            return Self::ZERO;
        }
        // Nearly always enough, and many times quicker: no processor divides 128 bits by itself.
        if let Some(product) = self.0.checked_mul(numerator) {
            return Self(product / denominator);
        }
        let exact = i128::from(self.0) * i128::from(numerator) / i128::from(denominator);
        Self(i64::try_from(exact).unwrap_or(i64::MAX))
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_and_never_wrap() {
        let sum: Amount = [Amount::MAX, Amount::new(1), Amount::new(5)].into_iter().sum();
        assert_eq!(sum, Amount::MAX);
    }

    #[test]
    fn a_negative_amount_is_nothing() {
        assert_eq!(Amount::new(-3), Amount::ZERO);
        assert_eq!(Amount::new(i64::MIN).minus(Amount::MAX), Amount::ZERO);
    }

    #[test]
    fn scaling_the_largest_amount_does_not_overflow() {
        assert_eq!(Amount::MAX.scale(i64::MAX, i64::MAX), Amount::MAX);
        assert_eq!(Amount::MAX.scale(3, 1), Amount::MAX);
        assert_eq!(Amount::MAX.scale(1, 2), Amount::new(i64::MAX / 2));
    }
}
