//! Amounts by dimension: what a pod asks for, what a pool uses.

use alloc::vec::Vec;

use crate::{Amount, Dim};

/// Amounts by dimension, zero where nothing is said.
///
/// Kept as a short list sorted by dimension without zeros, so that two vectors that mean the same are
/// equal, and a pod costs a few bytes.
///
/// ```
/// use weir_model::{Amount, Dimensions, ResourceVec};
/// let mut dims = Dimensions::new();
/// let (cpu, gpu) = (dims.intern("cpu"), dims.intern("nvidia.com/gpu"));
/// let mut used = ResourceVec::from_iter([(gpu, Amount::new(8))]);
/// used.add(&ResourceVec::from_iter([(cpu, Amount::new(500)), (gpu, Amount::new(1))]));
/// assert_eq!(used.amount(gpu), Amount::new(9));
/// assert_eq!(used.amount(cpu), Amount::new(500));
/// used.subtract(&ResourceVec::from_iter([(gpu, Amount::new(9))]));
/// used.set(cpu, Amount::ZERO);
/// assert!(used.is_zero() && used.iter().next().is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceVec(Vec<(Dim, Amount)>);

impl ResourceVec {
    /// Nothing of anything.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The amount of one dimension.
    ///
    /// ```
    /// use weir_model::{Amount, Dimensions, ResourceVec};
    /// let cpu = Dimensions::new().intern("cpu");
    /// assert_eq!(ResourceVec::new().amount(cpu), Amount::ZERO);
    /// ```
    #[must_use]
    pub fn amount(&self, dim: Dim) -> Amount {
        self.position(dim).map_or(Amount::ZERO, |at| self.0[at].1)
    }

    /// Sets one dimension.
    ///
    /// ```
    /// use weir_model::{Amount, Dimensions, ResourceVec};
    /// let cpu = Dimensions::new().intern("cpu");
    /// let mut asked = ResourceVec::new();
    /// asked.set(cpu, Amount::new(500));
    /// asked.set(cpu, Amount::ZERO);
    /// assert_eq!(asked, ResourceVec::new(), "zero is the same as not listed");
    /// ```
    pub fn set(&mut self, dim: Dim, amount: Amount) {
        match (self.position(dim), amount.is_zero()) {
            (Ok(at), true) => drop(self.0.remove(at)),
            (Ok(at), false) => self.0[at].1 = amount,
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (dim, amount)),
        }
    }

    /// Adds `other`, dimension by dimension, saturating.
    ///
    /// ```
    /// use weir_model::{Amount, Dimensions, ResourceVec};
    /// let cpu = Dimensions::new().intern("cpu");
    /// let mut sum = ResourceVec::from_iter([(cpu, Amount::MAX)]);
    /// sum.add(&ResourceVec::from_iter([(cpu, Amount::new(1))]));
    /// assert_eq!(sum.amount(cpu), Amount::MAX);
    /// ```
    pub fn add(&mut self, other: &Self) {
        for (dim, amount) in other.iter() {
            self.set(dim, self.amount(dim) + amount);
        }
    }

    /// Takes `other` away, dimension by dimension, stopping at zero.
    ///
    /// ```
    /// use weir_model::{Amount, Dimensions, ResourceVec};
    /// let cpu = Dimensions::new().intern("cpu");
    /// let mut left = ResourceVec::from_iter([(cpu, Amount::new(500))]);
    /// left.subtract(&ResourceVec::from_iter([(cpu, Amount::new(700))]));
    /// assert!(left.is_zero());
    /// ```
    pub fn subtract(&mut self, other: &Self) {
        for (dim, amount) in other.iter() {
            self.set(dim, self.amount(dim).minus(amount));
        }
    }

    /// The dimensions with an amount above zero, in their order.
    ///
    /// ```
    /// use weir_model::{Amount, Dimensions, ResourceVec};
    /// let mut dims = Dimensions::new();
    /// let (cpu, gpu) = (dims.intern("cpu"), dims.intern("nvidia.com/gpu"));
    /// let asked = ResourceVec::from_iter([(gpu, Amount::new(1)), (cpu, Amount::new(500))]);
    /// assert!(asked.iter().map(|(dim, _)| dim).eq([cpu, gpu]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Dim, Amount)> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, dim: Dim) -> Result<usize, usize> {
        self.0.binary_search_by_key(&dim, |&(dim, _)| dim)
    }
}

impl FromIterator<(Dim, Amount)> for ResourceVec {
    /// A dimension that is named twice gets the sum.
    fn from_iter<I: IntoIterator<Item = (Dim, Amount)>>(amounts: I) -> Self {
        let mut vector = Self::new();
        for (dim, amount) in amounts {
            vector.set(dim, vector.amount(dim) + amount);
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dimensions;

    #[test]
    fn what_became_zero_is_as_if_it_had_never_been() {
        let mut dims = Dimensions::new();
        let (cpu, gpu) = (dims.intern("cpu"), dims.intern("nvidia.com/gpu"));
        let mut used = ResourceVec::from_iter([(gpu, Amount::new(1)), (cpu, Amount::new(2))]);
        used.subtract(&ResourceVec::from_iter([(gpu, Amount::new(3))]));
        assert_eq!(used, ResourceVec::from_iter([(cpu, Amount::new(2))]));
    }

    #[test]
    fn an_amount_named_twice_is_the_sum() {
        let cpu = Dimensions::new().intern("cpu");
        let sum = ResourceVec::from_iter([(cpu, Amount::new(2)), (cpu, Amount::new(3))]);
        assert_eq!(sum.amount(cpu), Amount::new(5));
    }
}
