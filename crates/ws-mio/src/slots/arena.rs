//! Values under small keys, in chunks that never move.

use std::{
    mem,
    ops::{Index, IndexMut},
};

/// A slab for very many values: it grows a chunk at a time, so that growth
/// neither copies what there is nor holds room for twice as much.
#[derive(Debug)]
pub(crate) struct Arena<V> {
    chunks: Vec<Vec<Entry<V>>>,
    len: usize,
    /// The vacant place that is taken next; behind the last one if all are
    /// taken.
    vacant: u32,
}

#[derive(Debug)]
enum Entry<V> {
    /// The vacant place that is taken after this one.
    Vacant(u32),
    Taken(V),
}

/// How many values lie together.
const CHUNK: usize = 256;

/// No key.
pub(crate) const NOWHERE: u32 = u32::MAX;

impl<V> Arena<V> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
            vacant: 0,
        }
    }

    /// Returns the key that the next value gets.
    pub(crate) const fn next_key(&self) -> usize {
        self.vacant as usize
    }

    /// Puts a value in and returns its key. There is room for `NOWHERE` values.
    pub(crate) fn insert(&mut self, value: V) -> usize {
        let key = self.next_key();
        self.len += 1;
        match self.entry_mut(key) {
            Some(entry) => {
                if let Entry::Vacant(next) = mem::replace(entry, Entry::Taken(value)) {
                    self.vacant = next;
                }
            }
            None => {
                if key.is_multiple_of(CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                self.chunks[key / CHUNK].push(Entry::Taken(value));
                self.vacant += 1;
            }
        }
        key
    }

    /// Takes a value out; `None` if there is none.
    pub(crate) fn remove(&mut self, key: usize) -> Option<V> {
        let vacant = Entry::Vacant(self.vacant);
        let entry = self.entry_mut(key)?;
        if let Entry::Vacant(_) = entry {
            return None;
        }
        match mem::replace(entry, vacant) {
            Entry::Vacant(_) => None,
            Entry::Taken(value) => {
                self.vacant = key as u32;
                self.len -= 1;
                Some(value)
            }
        }
    }

    pub(crate) fn get(&self, key: usize) -> Option<&V> {
        match self.chunks.get(key / CHUNK)?.get(key % CHUNK)? {
            Entry::Vacant(_) => None,
            Entry::Taken(value) => Some(value),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut V> {
        match self.entry_mut(key)? {
            Entry::Vacant(_) => None,
            Entry::Taken(value) => Some(value),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns all values with their keys, in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &V)> {
        let entries = self.chunks.iter().flatten().enumerate();
        entries.filter_map(|(key, entry)| match entry {
            Entry::Vacant(_) => None,
            Entry::Taken(value) => Some((key, value)),
        })
    }

    #[inline]
    fn entry_mut(&mut self, key: usize) -> Option<&mut Entry<V>> {
        self.chunks.get_mut(key / CHUNK)?.get_mut(key % CHUNK)
    }
}

impl<V> Default for Arena<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Index<usize> for Arena<V> {
    type Output = V;

    #[inline]
    fn index(&self, key: usize) -> &V {
        self.get(key).expect("a key of a value")
    }
}

impl<V> IndexMut<usize> for Arena<V> {
    #[inline]
    fn index_mut(&mut self, key: usize) -> &mut V {
        self.get_mut(key).expect("a key of a value")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn arena_agrees_with_a_map_over_a_long_random_history() {
        let mut arena = Arena::new();
        let mut model = BTreeMap::new();
        let mut seed = 1u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005);
            seed = seed.wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for step in 0..20_000 {
            // Grows to several chunks, and empties again.
            if random(10) < if step < 10_000 { 6 } else { 4 } {
                let expected = arena.next_key();
                let key = arena.insert(step);
                assert_eq!(key, expected);
                assert_eq!(model.insert(key, step), None, "a key is given once");
            } else {
                let key = random(3 * CHUNK);
                assert_eq!(arena.remove(key), model.remove(&key));
            }
            assert_eq!(
                (arena.len(), arena.is_empty()),
                (model.len(), model.is_empty())
            );
            let key = random(3 * CHUNK);
            assert_eq!(arena.get(key), model.get(&key));
            assert_eq!(arena.get_mut(key).copied(), model.get(&key).copied());
        }
        let pairs: Vec<_> = arena.iter().map(|(key, value)| (key, *value)).collect();
        assert_eq!(pairs, model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn vacant_place_takes_no_room_of_its_own() {
        assert_eq!(size_of::<Entry<(u64, bool)>>(), size_of::<(u64, bool)>());
    }
}
