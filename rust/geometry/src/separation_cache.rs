//! Prepared separations that several sources use, each built once and kept while it is of use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pixel::Pixel;
use crate::separation::PixelSeparation;

/// The number of separations above which unused ones are dropped; each takes up to 13 kB.
const CAPACITY: usize = 4096;

/// Separations by pixel, all for one threshold.
///
/// A separation is built without the lock, so that threads prepare different pixels at the same time. When the cache is
/// full, it drops the separations that nobody holds and that were not asked for again since it was last full.
#[derive(Debug)]
pub(crate) struct SeparationCache {
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    by_pixel: HashMap<Pixel, Entry>,
    /// The number of entries at which some are dropped.
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    separation: Arc<PixelSeparation>,
    /// Whether it was asked for again since the cache was last full.
    used_again: bool,
}

impl Default for SeparationCache {
    fn default() -> Self {
        Self { entries: Mutex::new(Entries { by_pixel: HashMap::new(), limit: CAPACITY }) }
    }
}

impl SeparationCache {
    /// The separation kept for a pixel, or the one that `build` makes.
    ///
    /// Two threads may build the same one at the same time; both get the one that was first put in.
    pub(crate) fn get_or_build(&self, pixel: Pixel, build: impl FnOnce() -> PixelSeparation) -> Arc<PixelSeparation> {
        if let Some(entry) = self.lock().by_pixel.get_mut(&pixel) {
            entry.used_again = true;
            return Arc::clone(&entry.separation);
        }
        let built = Arc::new(build());
        let mut entries = self.lock();
        if entries.by_pixel.len() >= entries.limit {
            entries.drop_unused();
        }
        let entry = entries.by_pixel.entry(pixel).or_insert(Entry { separation: built, used_again: false });
        Arc::clone(&entry.separation)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // A poisoned lock only means that another thread panicked: the entries are complete after every statement.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn drop_unused(&mut self) {
        let is_held = |entry: &Entry| Arc::strong_count(&entry.separation) > 1;
        self.by_pixel.retain(|_, entry| std::mem::take(&mut entry.used_again) || is_held(entry));
        if self.by_pixel.len() > CAPACITY / 2 {
            self.by_pixel.retain(|_, entry| is_held(entry));
        }
        // What is held takes its memory in any case. Twice as many entries until the next pass keep passes rare.
        self.limit = CAPACITY.max(2 * self.by_pixel.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angle::Threshold;

    fn pixel(index: u64) -> Pixel {
        Pixel::new(10, index).unwrap()
    }

    fn get(cache: &SeparationCache, index: u64) -> Arc<PixelSeparation> {
        let threshold = Threshold::from_arcsec(1.0).unwrap();
        cache.get_or_build(pixel(index), || PixelSeparation::new(pixel(index), threshold))
    }

    fn holds(cache: &SeparationCache, index: u64) -> bool {
        cache.lock().by_pixel.contains_key(&pixel(index))
    }

    #[test]
    fn a_separation_is_built_once_and_without_the_lock() {
        let cache = SeparationCache::default();
        let threshold = Threshold::from_arcsec(1.0).unwrap();
        let first = cache.get_or_build(pixel(5), || {
            assert!(cache.entries.try_lock().is_ok(), "the lock is held while a separation is built");
            PixelSeparation::new(pixel(5), threshold)
        });
        let again = cache.get_or_build(pixel(5), || panic!("it is kept"));
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn what_is_held_or_was_used_again_stays_when_the_cache_is_full() {
        let cache = SeparationCache::default();
        let held: Vec<_> = (0..10).map(|index| get(&cache, index)).collect();
        (10..CAPACITY as u64).for_each(|index| drop(get(&cache, index)));
        (20..30).for_each(|index| drop(get(&cache, index)));
        drop(get(&cache, CAPACITY as u64));
        assert_eq!(cache.lock().by_pixel.len(), 21);
        assert!((0..10).chain(20..30).all(|index| holds(&cache, index)) && !holds(&cache, 10));
        assert!(held.iter().zip(0..).all(|(held, index)| Arc::ptr_eq(held, &get(&cache, index))));
        // Used no more, it goes when the cache is full again.
        (5000..5000 + CAPACITY as u64).for_each(|index| drop(get(&cache, index)));
        assert!((0..10).all(|index| holds(&cache, index)) && (20..30).all(|index| !holds(&cache, index)));
    }

    #[test]
    fn the_cache_is_bounded_unless_all_is_held() {
        let cache = SeparationCache::default();
        // Each is used again, so that use alone would keep all.
        for index in 0..3 * CAPACITY as u64 {
            drop(get(&cache, index));
            drop(get(&cache, index));
            assert!(cache.lock().by_pixel.len() <= CAPACITY);
        }
        let held: Vec<_> = (0..2 * CAPACITY as u64).map(|index| get(&cache, index)).collect();
        assert!(held.iter().zip(0..).all(|(held, index)| Arc::ptr_eq(held, &get(&cache, index))));
    }
}
