//! Values by key, of which the last used ones are kept.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by key; the one that was not used for longest goes first.
pub(crate) struct Recent<K, V> {
    values: HashMap<K, (u64, V)>,
    uses: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), uses: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let (used, value) = self.values.get_mut(key)?;
        *used = self.uses;
        Some(value.clone())
    }

    /// Whether there is a value; this is no use of it.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.values.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.uses += 1;
        self.values.insert(key, (self.uses, value));
    }

    pub(crate) fn remove_oldest(&mut self) -> Option<V> {
        let key = self.values.iter().min_by_key(|(_, (used, _))| *used)?.0.clone();
        self.values.remove(&key).map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_not_used_for_longest_goes_first() {
        let mut recent = Recent::default();
        for number in 0..3 {
            recent.insert(number, number * 10);
        }
        assert_eq!(recent.get(&0), Some(0));
        assert!(recent.contains(&1));
        assert_eq!(recent.remove_oldest(), Some(10));
        assert!(!recent.contains(&1));
        assert_eq!((recent.len(), recent.get(&1), recent.get(&2)), (2, None, Some(20)));
    }
}
