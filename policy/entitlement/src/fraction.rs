//! Exact fractions, for factors that a division comes out with.

use std::fmt;

/// An exact fraction in lowest terms.
///
/// ```
/// use weir_entitlement::Fraction;
/// assert_eq!(Fraction::new(50, 75), Fraction::new(2, 3));
/// assert_eq!(Fraction::new(50, 75).to_string(), "2/3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    numerator: u128,
    denominator: u128,
}

impl Fraction {
    /// `numerator ÷ denominator`; a denominator of zero counts as one.
    ///
    /// ```
    /// use weir_entitlement::Fraction;
    /// assert_eq!(Fraction::new(3, 0), Fraction::new(3, 1));
    /// ```
    #[must_use]
    pub const fn new(numerator: u128, denominator: u128) -> Self {
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        if denominator == 0 || a == 0 {
            return Self { numerator, denominator: 1 };
        }
        Self { numerator: numerator / a, denominator: denominator / a }
    }

    /// The upper number, in lowest terms.
    ///
    /// ```
    /// use weir_entitlement::Fraction;
    /// assert_eq!(Fraction::new(50, 75).numerator(), 2);
    /// ```
    #[must_use]
    pub const fn numerator(self) -> u128 {
        self.numerator
    }

    /// The lower number, in lowest terms, never zero.
    ///
    /// ```
    /// use weir_entitlement::Fraction;
    /// assert_eq!(Fraction::new(50, 75).denominator(), 3);
    /// ```
    #[must_use]
    pub const fn denominator(self) -> u128 {
        self.denominator
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}
