//! A Kubernetes quantity, such as `500m` or `80Gi`, as an exact number.
//!
//! Decides what a quantity's text means; it does not write one. It accepts and refuses exactly what
//! `resource.ParseQuantity` of Kubernetes does, oddities included (`.` and `Ki` are zero), because a pod
//! that the API server took must not become an error here. Two things differ on purpose, where Kubernetes
//! runs out of its `int64`: it answers 0 or a number that wrapped around, this answers the largest one; and
//! the rounding of negative fractions, where Kubernetes' two representations disagree with each other.

use core::cmp::min;
use core::fmt;
use core::ops::Add;
use core::str::FromStr;

use crate::{Amount, dimension};

/// How many billionths make one.
const NANOS: u32 = 1_000_000_000;

/// An exact number with nine decimal places, as written in a pod's requests or a node's allocatable.
///
/// Anything finer than a billionth is rounded away from zero when it is parsed (a pod that asks for something
/// gets something), anything beyond ±(2⁶³ − 1) is cut off there. Sums are exact until that bound, so that two
/// containers that ask for half a byte each ask for one byte together, as in kube-scheduler.
///
/// ```
/// use weir_model::Quantity;
/// let half: Quantity = "500m".parse()?;
/// assert_eq!(half.milli_value(), 500);
/// assert_eq!(half.value(), 1);
/// assert_eq!((half + half).value(), 1);
/// assert_eq!("1.5Gi".parse::<Quantity>()?.value(), 1_610_612_736);
/// # Ok::<(), weir_model::QuantityError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    /// The whole part, rounded towards minus infinity; the order of the fields makes the derived order right.
    units: i64,
    /// Billionths on top of `units`, below one.
    nanos: u32,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { units: 0, nanos: 0 };
    /// The largest quantity; what is more is taken as this.
    pub const MAX: Self = Self { units: i64::MAX, nanos: 0 };

    /// A whole number.
    ///
    /// ```
    /// use weir_model::Quantity;
    /// assert_eq!(Quantity::from_units(3), "3".parse().unwrap());
    /// ```
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self { units, nanos: 0 }
    }

    /// Reads a quantity as Kubernetes does.
    ///
    /// # Errors
    /// When Kubernetes would refuse it too; the error says what is wrong with the text.
    ///
    /// ```
    /// use weir_model::{Quantity, QuantityError};
    /// assert_eq!(Quantity::parse("1e3"), Ok(Quantity::from_units(1000)));
    /// assert_eq!(Quantity::parse("1 Gi"), Err(QuantityError::Character { at: 1 }));
    /// assert_eq!(Quantity::parse("1KB"), Err(QuantityError::Character { at: 2 }));
    /// assert_eq!(Quantity::parse("1K"), Err(QuantityError::Suffix));
    /// ```
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if let Some(units) = plain_number(text.as_bytes()) {
            return Ok(Self::from_units(units));
        }
        let parts = Parts::split(text)?;
        let scale = parts.scale()?;
        if scale.needs_digits() && parts.whole.is_empty() && parts.fraction.is_empty() {
            return Err(QuantityError::NoDigits);
        }
        let magnitude = match scale {
            Scale::Ten(exponent) => parts.times_power_of_ten(exponent),
            Scale::Two(exponent) => parts.times_power_of_two(exponent),
        };
        Ok(if parts.negative { magnitude.negated() } else { magnitude })
    }

    /// The number of whole units, rounded away from zero: what kube-scheduler counts for everything but CPU.
    ///
    /// ```
    /// use weir_model::Quantity;
    /// assert_eq!("1500m".parse::<Quantity>()?.value(), 2);
    /// # Ok::<(), weir_model::QuantityError>(())
    /// ```
    #[must_use]
    pub const fn value(self) -> i64 {
        if self.nanos > 0 && self.units >= 0 { self.units.saturating_add(1) } else { self.units }
    }

    /// The number of thousandths, rounded away from zero: what kube-scheduler counts for CPU.
    ///
    /// ```
    /// use weir_model::Quantity;
    /// assert_eq!("2".parse::<Quantity>()?.milli_value(), 2000);
    /// assert_eq!("1u".parse::<Quantity>()?.milli_value(), 1);
    /// assert_eq!("1E".parse::<Quantity>()?.milli_value(), i64::MAX);
    /// # Ok::<(), weir_model::QuantityError>(())
    /// ```
    #[must_use]
    pub const fn milli_value(self) -> i64 {
        let below = (self.nanos / 1_000_000) as i64;
        let rest = !self.nanos.is_multiple_of(1_000_000) && self.units >= 0;
        let milli = self.units.saturating_mul(1000).saturating_add(below + rest as i64);
        if milli < -i64::MAX { -i64::MAX } else { milli }
    }

    /// How much this is of `resource` in its base unit: thousandths for `cpu`, whole units for all others.
    ///
    /// ```
    /// use weir_model::{Amount, Quantity};
    /// assert_eq!(Quantity::from_units(2).amount("cpu"), Amount::new(2000));
    /// assert_eq!(Quantity::from_units(2).amount("memory"), Amount::new(2));
    /// ```
    #[must_use]
    pub fn amount(self, resource: &str) -> Amount {
        Amount::new(if resource == dimension::CPU { self.milli_value() } else { self.value() })
    }

    /// Whether this is more than nothing.
    ///
    /// ```
    /// use weir_model::Quantity;
    /// assert!("1n".parse::<Quantity>()?.is_positive() && !Quantity::ZERO.is_positive());
    /// # Ok::<(), weir_model::QuantityError>(())
    /// ```
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.units >= 0 && (self.units > 0 || self.nanos > 0)
    }

    const fn negated(self) -> Self {
        match self.nanos {
            0 => Self { units: -self.units, nanos: 0 },
            nanos => Self { units: -self.units - 1, nanos: NANOS - nanos },
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let nanos = self.nanos + other.nanos;
        let carry = i64::from(nanos >= NANOS);
        let units = self.units.saturating_add(other.units).saturating_add(carry);
        if units == i64::MAX { Self::MAX } else { Self { units, nanos: nanos % NANOS } }
    }
}

/// What is wrong with a quantity's text.
///
/// ```
/// use weir_model::{Quantity, QuantityError};
/// assert_eq!(Quantity::parse("8K"), Err(QuantityError::Suffix));
/// assert_eq!(Quantity::parse("8 Gi"), Err(QuantityError::Character { at: 1 }));
/// assert_eq!(QuantityError::Empty.to_string(), "a quantity is empty; write a number such as 4, 500m or 80Gi");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    /// There is no text at all.
    Empty,
    /// The character at this byte, counted from 0, can stand in no quantity, or not in this place.
    Character {
        /// Its position in bytes.
        at: usize,
    },
    /// What follows the number is no suffix that Kubernetes knows.
    Suffix,
    /// There is a suffix and no digit before it.
    NoDigits,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a quantity is empty; write a number such as 4, 500m or 80Gi"),
            Self::Character { at } => write!(f, "a quantity has an unexpected character at byte {at}"),
            Self::Suffix => f.write_str(
                "a quantity has an unknown suffix; there are n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei and e3",
            ),
            Self::NoDigits => f.write_str("a quantity has no digits"),
        }
    }
}

impl core::error::Error for QuantityError {}

/// Nearly every quantity is a short row of digits, and this is read a thousand times for each pod.
fn plain_number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0, |sum: i64, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

#[derive(Clone, Copy)]
enum Scale {
    Ten(i32),
    Two(u32),
}

impl Scale {
    /// Kubernetes reads most texts without digits as zero. Where the scale is too much for its quick way, it
    /// takes another, which wants to see a digit.
    fn needs_digits(self) -> bool {
        match self {
            Self::Ten(exponent) => exponent < -9,
            Self::Two(exponent) => exponent >= 50,
        }
    }
}

/// The text, taken apart: sign, digits before and after the point, suffix.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    suffix: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, QuantityError> {
        let text = text.as_bytes();
        let negative = match text.first() {
            None => return Err(QuantityError::Empty),
            Some(first) => *first == b'-',
        };
        let mut at = usize::from(matches!(text[0], b'-' | b'+'));
        let whole = digits(&text[at..]);
        at += whole.len();
        let mut fraction: &[u8] = &[];
        if text.get(at) == Some(&b'.') {
            fraction = digits(&text[at + 1..]);
            at += 1 + fraction.len();
        }
        let suffix = &text[at..];
        let letters = suffix.iter().take_while(|byte| b"eEinumkKMGTP".contains(byte)).count();
        let sign = usize::from(matches!(suffix.get(letters), Some(b'-' | b'+')));
        let end = letters + sign + digits(&suffix[letters + sign..]).len();
        if end < suffix.len() {
            return Err(QuantityError::Character { at: at + end });
        }
        Ok(Self { negative, whole, fraction, suffix })
    }

    fn scale(&self) -> Result<Scale, QuantityError> {
        Ok(match self.suffix {
            b"" => Scale::Ten(0),
            b"n" => Scale::Ten(-9),
            b"u" => Scale::Ten(-6),
            b"m" => Scale::Ten(-3),
            b"k" => Scale::Ten(3),
            b"M" => Scale::Ten(6),
            b"G" => Scale::Ten(9),
            b"T" => Scale::Ten(12),
            b"P" => Scale::Ten(15),
            b"E" => Scale::Ten(18),
            b"Ki" => Scale::Two(10),
            b"Mi" => Scale::Two(20),
            b"Gi" => Scale::Two(30),
            b"Ti" => Scale::Two(40),
            b"Pi" => Scale::Two(50),
            b"Ei" => Scale::Two(60),
            [b'e' | b'E', exponent @ ..] => Scale::Ten(parse_exponent(exponent)?),
            _ => return Err(QuantityError::Suffix),
        })
    }

    /// Moves the point by `exponent` places, reads what stands before it, nine places after it, and rounds
    /// the rest up.
    fn times_power_of_ten(&self, exponent: i32) -> Quantity {
        let point = self.whole.len() as i64 + i64::from(exponent);
        let mut units = Some(0u64);
        let mut nanos = 0;
        let mut rest = false;
        for (at, digit) in (0i64..).zip(self.digits()) {
            if at < point {
                units = units.and_then(|units| units.checked_mul(10)?.checked_add(digit));
            } else if at < point + 9 {
                nanos = nanos * 10 + digit;
            } else {
                rest |= digit > 0;
            }
        }
        let len = (self.whole.len() + self.fraction.len()) as i64;
        let places = (point + 9 - len.max(point)).clamp(0, 9);
        let nanos = nanos * 10u64.pow(places as u32);
        let zeros = (point - len).max(0);
        let units = units.and_then(|units| match units {
            0 => Some(0),
            _ => units.checked_mul(10u64.checked_pow(u32::try_from(zeros).ok()?)?),
        });
        rounded(units, nanos, rest)
    }

    /// Multiplies the digits before the point, and adds the fraction by long division from its last digit.
    fn times_power_of_two(&self, exponent: u32) -> Quantity {
        let factor = 1u64 << exponent;
        let whole =
            self.whole.iter().try_fold(0u64, |sum, byte| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')));
        let (mut units, mut nanos, mut rest) = (0u64, 0u64, false);
        for byte in self.fraction.iter().rev() {
            // At most 9 × 2⁶⁰ + 2⁶⁰ here, which a u64 holds.
            let sum = u64::from(byte - b'0') * factor + units;
            units = sum / 10;
            let below = sum % 10 * u64::from(NANOS) + nanos;
            nanos = below / 10;
            rest |= !below.is_multiple_of(10);
        }
        rounded(whole.and_then(|whole| whole.checked_mul(factor)?.checked_add(units)), nanos, rest)
    }

    fn digits(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.whole.iter().chain(self.fraction).map(|byte| u64::from(byte - b'0'))
    }
}

/// `None` units are too many.
fn rounded(units: Option<u64>, nanos: u64, rest: bool) -> Quantity {
    let nanos = min(nanos, u64::from(NANOS)) as u32 + u32::from(rest);
    let units = units.and_then(|units| i64::try_from(units).ok());
    match units.and_then(|units| units.checked_add(i64::from(nanos >= NANOS))) {
        Some(i64::MAX) | None => Quantity::MAX,
        Some(units) => Quantity { units, nanos: nanos % NANOS },
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[..count]
}

/// The number behind `e`, in the 32 bits to which Kubernetes cuts it.
fn parse_exponent(text: &[u8]) -> Result<i32, QuantityError> {
    let text = core::str::from_utf8(text).map_err(|_| QuantityError::Suffix)?;
    let exponent: i64 = text.parse().map_err(|_| QuantityError::Suffix)?;
    Ok(exponent as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_too_fine_is_rounded_up_so_that_a_pod_that_asks_gets_something() {
        assert_eq!(parse("0.0000000001"), parse("1n"));
        assert_eq!(parse("1e-30"), parse("1n"));
        assert_eq!(parse("1.0000000001"), parse("1.000000001"));
    }

    #[test]
    fn what_is_too_much_is_cut_off_and_never_wraps() {
        for text in ["9223372036854775808", "100E", "1e100", "8Ei", "99999999999999999999999999999999999999999999"] {
            assert_eq!(parse(text), Quantity::MAX, "{text}");
        }
        assert_eq!(parse("-100E"), parse("-9223372036854775807"));
        assert_eq!((Quantity::MAX + parse("1n")).value(), i64::MAX);
        assert_eq!(Quantity::MAX.milli_value(), i64::MAX);
    }

    #[test]
    fn a_fraction_of_a_binary_unit_is_exact() {
        assert_eq!(parse("0.1Ki"), parse("102.4"));
        assert_eq!(parse("1.000000000000000001Ei").value(), (1 << 60) + 2);
    }

    #[test]
    fn the_order_is_that_of_the_numbers() {
        let mut quantities = ["1", "-1500m", "0", "999m", "-1", "1001m"].map(parse);
        quantities.sort();
        assert_eq!(quantities, ["-1500m", "-1", "0", "999m", "1", "1001m"].map(parse));
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        assert_eq!(Quantity::parse(""), Err(QuantityError::Empty));
        assert_eq!(Quantity::parse("12x"), Err(QuantityError::Character { at: 2 }));
        assert_eq!(Quantity::parse("1e"), Err(QuantityError::Suffix));
        assert_eq!(Quantity::parse("1e99999999999999999999"), Err(QuantityError::Suffix));
    }
}
