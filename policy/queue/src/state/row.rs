//! Amounts on one node, by position of the resource name.

/// Amounts by position of the resource name; what is not listed is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row(Vec<i64>);

impl Row {
    /// The amount of a resource.
    pub(crate) fn at(&self, resource: usize) -> i64 {
        self.0.get(resource).copied().unwrap_or(0)
    }

    /// How many resources the row lists.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds `times` × the needs, saturating.
    pub(crate) fn change(&mut self, needs: &[(usize, i64)], times: i64) {
        for &(resource, amount) in needs {
            if self.0.len() <= resource {
                self.0.resize(resource + 1, 0);
            }
            let cell = &mut self.0[resource];
            *cell = cell.saturating_add(amount.saturating_mul(times));
        }
    }

    /// Adds another row, saturating.
    pub(crate) fn add(&mut self, other: &Self) {
        for (resource, &amount) in other.0.iter().enumerate() {
            self.change(&[(resource, amount)], 1);
        }
    }

    /// Takes another row away, saturating.
    pub(crate) fn take(&mut self, other: &Self) {
        for (resource, &amount) in other.0.iter().enumerate() {
            self.change(&[(resource, amount)], -1);
        }
    }

    /// Of each resource the smaller amount, and nothing where one is below zero.
    pub(crate) fn common(&self, other: &Self) -> Self {
        Self((0..self.0.len().min(other.0.len())).map(|at| self.at(at).min(other.at(at)).max(0)).collect())
    }

    /// The amounts above zero, by position of the resource name.
    pub(crate) fn positive(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.0.iter().copied().enumerate().filter(|&(_, amount)| amount > 0)
    }

    /// This row less another, saturating.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let length = self.0.len().max(other.0.len());
        Self((0..length).map(|at| self.at(at).saturating_sub(other.at(at))).collect())
    }

    /// How many pods of these needs fit.
    pub(crate) fn holds(&self, needs: &[(usize, i64)]) -> u32 {
        let of = |&(resource, amount): &(usize, i64)| self.at(resource).max(0) / amount.max(1);
        u32::try_from(needs.iter().map(of).min().unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// Whether no amount is below zero, which means that nothing is promised twice.
    pub(crate) fn is_sound(&self) -> bool {
        self.0.iter().all(|&amount| amount >= 0)
    }

    /// Whether one pod of these needs fits.
    pub(crate) fn fits(&self, needs: &[(usize, i64)]) -> bool {
        needs.iter().all(|&(resource, amount)| self.at(resource) >= amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_as_many_pods_as_its_scarcest_resource() {
        let mut row = Row::default();
        row.change(&[(0, 3), (2, 100)], 1);
        assert_eq!(row.holds(&[(0, 1), (2, 40)]), 2);
        assert_eq!(row.holds(&[(0, 1), (1, 1)]), 0);
        row.change(&[(0, 4)], -1);
        assert!(!row.is_sound() && row.holds(&[(0, 1)]) == 0);
    }
}
