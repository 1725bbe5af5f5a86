//! A list whose places are given back and used again, so that it is as long as what is there now.

/// Items by position. A position of which the item was given back reads as the empty item.
#[derive(Debug, Default)]
pub(crate) struct Arena<T> {
    places: Vec<Option<Box<T>>>,
    unused: Vec<usize>,
    nothing: T,
}

impl<T> Arena<T> {
    /// Puts an item somewhere and returns its position.
    pub(crate) fn insert(&mut self, item: T) -> usize {
        match self.unused.pop() {
            Some(at) => {
                self.places[at] = Some(Box::new(item));
                at
            }
            None => {
                self.places.push(Some(Box::new(item)));
                self.places.len() - 1
            }
        }
    }

    /// The item at a position.
    pub(crate) fn at(&self, at: usize) -> &T {
        self.places.get(at).and_then(Option::as_deref).unwrap_or(&self.nothing)
    }

    /// Puts another item in the place of one.
    pub(crate) fn replace(&mut self, at: usize, item: T) {
        if let Some(Some(place)) = self.places.get_mut(at) {
            **place = item;
        }
    }

    /// The items with their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(at, place)| Some((at, place.as_deref()?)))
    }

    /// Gives back the items of whose position this is not true, and returns those positions.
    pub(crate) fn retain(&mut self, keeps: impl Fn(usize) -> bool) -> Vec<usize> {
        let gone: Vec<usize> = self.iter().map(|(at, _)| at).filter(|&at| !keeps(at)).collect();
        gone.iter().for_each(|&at| self.places[at] = None);
        self.places.truncate(self.places.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        self.places.shrink_to(2 * self.places.len());
        self.unused = (0..self.places.len()).filter(|&at| self.places[at].is_none()).collect();
        gone
    }

    /// How many items there are.
    pub(crate) const fn len(&self) -> usize {
        self.places.len() - self.unused.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_given_back_is_used_again() {
        let mut arena = Arena::default();
        let [a, b, c] = ["a", "b", "c"].map(|item| arena.insert(item));
        assert_eq!(arena.retain(|at| at == b), [a, c]);
        assert_eq!((arena.at(a), arena.at(b), arena.len()), (&"", &"b", 1));
        assert_eq!((arena.insert("d"), arena.insert("e")), (a, c));
    }
}
