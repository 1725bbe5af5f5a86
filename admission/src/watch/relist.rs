//! What a list under way has shown, so that what it does not have is known to be gone.

use std::collections::BTreeSet;

/// The keys of a list under way; empty between lists.
#[derive(Debug)]
pub struct Relist<K>(Option<BTreeSet<K>>);

impl<K> Default for Relist<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord + Clone> Relist<K> {
    /// A list begins.
    pub fn begin(&mut self) {
        self.0 = Some(BTreeSet::new());
    }

    /// Notes an object of a list under way; outside of a list this does nothing.
    pub fn saw(&mut self, key: K) {
        if let Some(listed) = &mut self.0 {
            listed.insert(key);
        }
    }

    /// Ends the list, and returns the known keys that it does not have.
    pub fn finish<'k>(&mut self, known: impl Iterator<Item = &'k K>) -> Vec<K>
    where
        K: 'k,
    {
        let Some(listed) = self.0.take() else { return Vec::new() };
        known.filter(|key| !listed.contains(*key)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_does_not_have_is_gone() {
        let mut relist = Relist::default();
        relist.saw(9);
        relist.begin();
        [1, 2].into_iter().for_each(|key| relist.saw(key));
        assert_eq!(relist.finish([1, 2, 3, 9].iter()), [3, 9]);
    }
}
