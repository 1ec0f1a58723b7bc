//! Record batches read many in one call, where a call takes long.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::shards::Shards;
use crate::slices::Slice;

/// How far from the last place the next one is looked for, when it is held.
const NEAR: usize = 64;

/// A record batch of a shard: the number of the shard, where it begins, and its size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) shard: u32,
    pub(crate) position: u64,
    pub(crate) length: u64,
}

impl Place {
    pub(crate) fn of(shard: u32, slice: &Slice) -> Self {
        Self { shard, position: slice.position, length: slice.length }
    }

    fn range(self) -> Range<u64> {
        self.position..self.position.saturating_add(self.length)
    }
}

/// Reads record batches with those that will be asked for next.
pub(crate) struct ReadAhead<'a> {
    shards: &'a dyn Shards,
    most_bytes: u64,
    /// About the order in which they will be asked for: margin by margin, by the first row of each slice.
    order: Vec<Place>,
    /// Where the last one asked for is in it.
    next: usize,
    held: HashMap<Place, Bytes>,
    held_bytes: u64,
}

impl<'a> ReadAhead<'a> {
    /// For margins that are merged one after the other.
    pub(crate) fn new<'b>(shards: &'a dyn Shards, margins: impl Iterator<Item = &'b [(u32, Slice)]>) -> Self {
        let most_bytes = shards.ahead_bytes();
        let mut order = Vec::new();
        if most_bytes > 0 {
            for slices in margins {
                let mut in_order: Vec<&(u32, Slice)> = slices.iter().collect();
                in_order.sort_by_key(|(_, slice)| slice.key);
                order.extend(in_order.into_iter().map(|(shard, slice)| Place::of(*shard, slice)));
                order.dedup();
            }
        }
        Self { shards, most_bytes, order, next: 0, held: HashMap::new(), held_bytes: 0 }
    }

    /// The bytes of a record batch. `is_known` says which others need not be read.
    pub(crate) fn read(&mut self, place: Place, is_known: impl Fn(Place) -> bool) -> io::Result<Bytes> {
        if let Some(bytes) = self.held.remove(&place) {
            self.held_bytes -= place.length;
            // Runs that overlap are merged in about this order, not exactly.
            let near = self.order[self.next..].iter().take(NEAR).position(|other| *other == place);
            self.next += near.unwrap_or(0);
            return Ok(bytes);
        }
        let mut places = vec![place];
        if self.most_bytes > 0 {
            self.add_following(&mut places, is_known);
        }
        places.sort_unstable_by_key(|place| (place.shard, place.position));
        let wholes = joined(&places);
        let parts = self.shards.read(&wholes)?;
        let complete = parts.len() == wholes.len()
            && wholes.iter().zip(&parts).all(|((_, range), bytes)| bytes.len() as u64 == range.end - range.start);
        if !complete {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut asked = Bytes::new();
        let mut whole = 0;
        for each in places {
            while wholes[whole].0 != each.shard || wholes[whole].1.end < each.range().end {
                whole += 1;
            }
            let start = (each.position - wholes[whole].1.start) as usize;
            let bytes = parts[whole].slice(start..start + each.length as usize);
            if each == place {
                asked = bytes;
            } else {
                self.held_bytes += each.length;
                self.held.insert(each, bytes);
            }
        }
        Ok(asked)
    }

    /// Adds the places that follow the first, as many as may be held.
    fn add_following(&mut self, places: &mut Vec<Place>, is_known: impl Fn(Place) -> bool) {
        let first = places[0];
        let is_first = |place: &Place| *place == first;
        let ahead = self.order[self.next..].iter().position(is_first).map(|at| self.next + at);
        // Merging may come back to an earlier one.
        let Some(at) = ahead.or_else(|| self.order.iter().position(is_first)) else { return };
        self.next = at;
        let mut chosen = HashSet::from([first]);
        let mut bytes = self.held_bytes.saturating_add(first.length);
        for place in &self.order[at + 1..] {
            if self.held.contains_key(place) || is_known(*place) || !chosen.insert(*place) {
                continue;
            }
            bytes = bytes.saturating_add(place.length);
            if bytes > self.most_bytes {
                break;
            }
            places.push(*place);
        }
    }
}

/// Ranges of shards, of places in the order of these; those that touch or overlap are one.
fn joined(places: &[Place]) -> Vec<(u32, Range<u64>)> {
    let mut wholes: Vec<(u32, Range<u64>)> = Vec::new();
    for place in places {
        match wholes.last_mut() {
            Some((shard, range)) if *shard == place.shard && place.position <= range.end => {
                range.end = range.end.max(place.range().end);
            }
            _ => wholes.push((place.shard, place.range())),
        }
    }
    wholes
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use skymargin_geometry::pixel::Pixel;

    use super::*;

    type Call = Vec<(u32, Range<u64>)>;

    /// Shards whose byte at a position is the number of the shard plus the position; keeps what was asked for.
    struct Asked {
        ahead_bytes: u64,
        calls: Mutex<Vec<Call>>,
    }

    impl Shards for Asked {
        fn read(&self, ranges: &[(u32, Range<u64>)]) -> io::Result<Vec<Bytes>> {
            self.calls.lock().unwrap().push(ranges.to_vec());
            let bytes =
                |(shard, range): &(u32, Range<u64>)| range.clone().map(|at| (*shard as u64 + at) as u8).collect();
            Ok(ranges.iter().map(bytes).collect())
        }

        fn ahead_bytes(&self) -> u64 {
            self.ahead_bytes
        }
    }

    fn slice(position: u64, length: u64, key: u64) -> Slice {
        let pixel = Pixel::new(0, 0).unwrap();
        Slice { pixel, position, length, run: 0, first: 0, rows: 1, key: (key, 0, 0) }
    }

    #[test]
    fn following_batches_come_with_the_first_and_touching_ones_in_one_range() {
        let shards = Asked { ahead_bytes: 50, calls: Mutex::default() };
        let margins = [
            vec![(0, slice(0, 10, 1)), (0, slice(10, 10, 4)), (1, slice(40, 10, 2))],
            vec![(1, slice(40, 10, 1)), (1, slice(50, 15, 2)), (0, slice(20, 20, 3))],
        ];
        let mut ahead = ReadAhead::new(&shards, margins.iter().map(Vec::as_slice));
        let mut known = HashSet::new();
        for (shard, slice) in margins.iter().flatten() {
            let place = Place::of(*shard, slice);
            if known.contains(&place) {
                continue;
            }
            let bytes = ahead.read(place, |place| known.contains(&place)).unwrap();
            known.insert(place);
            let expected: Vec<u8> =
                (0..slice.length).map(|at| (u64::from(*shard) + slice.position + at) as u8).collect();
            assert_eq!(bytes[..], expected);
        }
        let calls = shards.calls.lock().unwrap();
        // The last one would have been more than may be held.
        assert_eq!(*calls, [vec![(0, 0..20), (1, 40..65)], vec![(0, 20..40)]]);
    }

    #[test]
    fn nothing_is_read_ahead_where_reading_is_quick() {
        let shards = Asked { ahead_bytes: 0, calls: Mutex::default() };
        let slices = [(0, slice(0, 10, 1)), (0, slice(10, 10, 2))];
        let mut ahead = ReadAhead::new(&shards, std::iter::once(slices.as_slice()));
        for (shard, slice) in &slices {
            ahead.read(Place::of(*shard, slice), |_| false).unwrap();
        }
        assert_eq!(*shards.calls.lock().unwrap(), [vec![(0, 0..10)], vec![(0, 10..20)]]);
    }
}
