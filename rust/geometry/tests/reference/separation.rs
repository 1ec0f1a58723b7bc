//! The separation of a point and a pixel by brute force: dense samples of each edge, then golden sections.

use super::double_double::Dd;
use super::projection::{BaseCell, Vector};

/// Samples along each edge; a bracket around a low sample is sampled again, [`ZOOM_LEVELS`] times, by [`ZOOM`].
const STEPS: usize = 64;
const ZOOM: usize = 16;
const ZOOM_LEVELS: usize = 2;

/// Golden sections stop at this width of the edge parameter, whose doubles are 1e-16 apart.
const WIDTH: f64 = 2e-16;

/// A stretch of the edge is flat when its chords differ by at most half of this (6e-23 arcsec).
const FLAT_CHORD: f64 = 3e-28;

/// The inverse of the golden ratio.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The closed pixel as its four edges, sampled.
pub struct ReferencePixel {
    cell: BaseCell,
    /// The pixel's west-most place within the base cell and its side, in pixels: column, row, pixels per side.
    column: f64,
    row: f64,
    nside: f64,
    samples: Vec<[Vector; STEPS + 1]>,
    /// No point of an edge moves faster than this with the edge parameter.
    speed: f64,
}

/// The lowest squared chord seen, and where.
struct Lowest {
    squared_chord: Dd,
    nearest: Vector,
}

impl Lowest {
    #[inline]
    fn offer(&mut self, squared_chord: Dd, place: Vector) {
        if squared_chord < self.squared_chord {
            *self = Self { squared_chord, nearest: place };
        }
    }
}

/// Equally spaced samples of the squared chord along a stretch of an edge.
struct Stretch<'a> {
    start: f64,
    step: f64,
    squared_chords: &'a [Dd],
}

impl ReferencePixel {
    /// The pixel of that order and nested index, both valid.
    pub fn new(order: u8, index: u64) -> Self {
        let cell = BaseCell::new(index >> (2 * order));
        let (mut column, mut row) = (0_u64, 0_u64);
        for bit in 0..order {
            column |= (index >> (2 * bit) & 1) << bit;
            row |= (index >> (2 * bit + 1) & 1) << bit;
        }
        let mut pixel = Self {
            cell,
            column: column as f64,
            row: row as f64,
            nside: (1_u64 << order) as f64,
            samples: Vec::new(),
            speed: 0.0,
        };
        pixel.samples =
            (0..4).map(|edge| std::array::from_fn(|step| pixel.edge(edge, step as f64 / STEPS as f64))).collect();
        let longest_step = pixel
            .samples
            .iter()
            .flat_map(|samples| samples.windows(2).map(|pair| pair[0].squared_chord(pair[1]).to_f64().sqrt()))
            .fold(0.0, f64::max);
        // The mean speed of the fastest of 64 steps, with a quarter on top for the variation within it.
        pixel.speed = 1.25 * longest_step * STEPS as f64;
        pixel
    }

    /// A point of an edge: edges 0 to 3 run south-east, north-east, north-west, south-west, anticlockwise seen from
    /// outside the sphere, each from 0 to 1.
    pub fn edge(&self, edge: usize, along: f64) -> Vector {
        let (from, to) = (Dd::from(along), Dd::sum_of(1.0, -along));
        let (east, west) = match edge {
            0 => (from, Dd::ZERO),
            1 => (Dd::ONE, from),
            2 => (to, Dd::ONE),
            _ => (Dd::ZERO, to),
        };
        let scale = 1.0 / self.nside;
        let (east, west) = ((east + Dd::from(self.column)).scaled(scale), (west + Dd::from(self.row)).scaled(scale));
        self.cell.deproject(self.cell.plane_point(east, west))
    }

    /// The pixel's centre.
    pub fn centre(&self) -> Vector {
        let scale = 1.0 / self.nside;
        let (east, west) = (Dd::sum_of(self.column, 0.5).scaled(scale), Dd::sum_of(self.row, 0.5).scaled(scale));
        self.cell.deproject(self.cell.plane_point(east, west))
    }

    /// The length of the longest edge in radians, roughly.
    pub fn side_rad(&self) -> f64 {
        self.speed
    }

    /// A place of an edge with its first and second derivative by the edge parameter, by central differences.
    ///
    /// The step is so wide that the differences of double-double numbers keep fifteen digits.
    pub fn derivatives(&self, edge: usize, along: f64) -> ([f64; 3], [f64; 3], [f64; 3]) {
        let step = 1e-6;
        let middle = along.clamp(step, 1.0 - step);
        let [before, here, after] = [middle - step, middle, middle + step].map(|along| self.edge(edge, along));
        let first = |before: Dd, after: Dd| (after - before).to_f64() / (2.0 * step);
        let second = |before: Dd, here: Dd, after: Dd| (after + before - here.scaled(2.0)).to_f64() / (step * step);
        (
            here.to_f64(),
            [first(before.x, after.x), first(before.y, after.y), first(before.z, after.z)],
            [second(before.x, here.x, after.x), second(before.y, here.y, after.y), second(before.z, here.z, after.z)],
        )
    }

    /// Whether the position lies in the closed pixel.
    pub fn contains(&self, ra_deg: f64, dec_deg: f64) -> bool {
        let Some((east, west)) = self.cell.project(ra_deg, dec_deg) else { return false };
        let inside = |place: Dd, first: f64| {
            let place = place.scaled(self.nside);
            place >= Dd::from(first) && place <= Dd::from(first + 1.0)
        };
        inside(east, self.column) && inside(west, self.row)
    }

    /// The separation of the position and the closed pixel in radians, right to 1e-27 (2e-22 arcsec).
    pub fn separation_rad(&self, ra_deg: f64, dec_deg: f64) -> Dd {
        if self.contains(ra_deg, dec_deg) { Dd::ZERO } else { self.boundary_separation_rad(ra_deg, dec_deg) }
    }

    /// The separation of the position and the pixel's boundary in radians, inside or outside.
    pub fn boundary_separation_rad(&self, ra_deg: f64, dec_deg: f64) -> Dd {
        let point = Vector::from_ra_dec_deg(ra_deg, dec_deg);
        let sampled: Vec<[Dd; STEPS + 1]> =
            self.samples.iter().map(|samples| std::array::from_fn(|step| samples[step].squared_chord(point))).collect();
        let mut best = Lowest { squared_chord: Dd::from(8.0), nearest: point };
        for (edge, squared_chords) in sampled.iter().enumerate() {
            for (step, &squared_chord) in squared_chords.iter().enumerate() {
                best.offer(squared_chord, self.samples[edge][step]);
            }
        }
        for (edge, squared_chords) in sampled.iter().enumerate() {
            let stretch = Stretch { start: 0.0, step: 1.0 / STEPS as f64, squared_chords };
            self.descend(edge, point, &stretch, ZOOM_LEVELS, &mut best);
        }
        best.nearest.separation_rad(point)
    }

    /// Follows every local minimum of the samples that may still beat the best: zooms in, then golden sections.
    fn descend(&self, edge: usize, point: Vector, stretch: &Stretch, levels: usize, best: &mut Lowest) {
        let squared_chords = stretch.squared_chords;
        let last = squared_chords.len() - 1;
        for (index, &low) in squared_chords.iter().enumerate() {
            let (first, end) = (index.saturating_sub(1), (index + 1).min(last));
            let highest = if squared_chords[first] < squared_chords[end] { end } else { first };
            if squared_chords[first] < low || squared_chords[end] < low {
                continue;
            }
            let chord = low.to_f64().sqrt();
            let out_of_reach = chord - self.speed * stretch.step > best.squared_chord.to_f64().sqrt() * (1.0 + 1e-14);
            let flat = (squared_chords[highest] - low).to_f64() <= FLAT_CHORD * chord;
            if out_of_reach || flat {
                continue;
            }
            let (from, to) = (stretch.start + first as f64 * stretch.step, stretch.start + end as f64 * stretch.step);
            if levels == 0 {
                self.golden_section(edge, point, (from, squared_chords[first]), (to, squared_chords[end]), best);
                continue;
            }
            let step = (to - from) / ZOOM as f64;
            let zoomed: [Dd; ZOOM + 1] = std::array::from_fn(|sample| match sample {
                0 => squared_chords[first],
                ZOOM => squared_chords[end],
                _ => self.measure(edge, from + sample as f64 * step, point, best),
            });
            self.descend(edge, point, &Stretch { start: from, step, squared_chords: &zoomed }, levels - 1, best);
        }
    }

    /// The squared chord at a place of an edge, offered as the best.
    fn measure(&self, edge: usize, along: f64, point: Vector, best: &mut Lowest) -> Dd {
        let place = self.edge(edge, along);
        let squared_chord = place.squared_chord(point);
        best.offer(squared_chord, place);
        squared_chord
    }

    /// Golden sections of a bracket, each end with its squared chord, down to [`WIDTH`] or flatness.
    fn golden_section(&self, edge: usize, point: Vector, from: (f64, Dd), to: (f64, Dd), best: &mut Lowest) {
        let (mut from, mut to) = (from, to);
        let inner = |from: f64, to: f64| (to - GOLDEN * (to - from), from + GOLDEN * (to - from));
        let (left, right) = inner(from.0, to.0);
        let mut left = (left, self.measure(edge, left, point, best));
        let mut right = (right, self.measure(edge, right, point, best));
        while to.0 - from.0 > WIDTH {
            let values = [from.1, left.1, right.1, to.1].map(|value| (value - left.1).to_f64());
            let spread = values.iter().fold(0.0, |widest: f64, value| widest.max(value.abs()));
            if spread <= 0.25 * FLAT_CHORD * left.1.to_f64().sqrt() {
                break;
            }
            if left.1 < right.1 {
                (to, right) = (right, left);
                let place = inner(from.0, to.0).0;
                left = (place, self.measure(edge, place, point, best));
            } else {
                (from, left) = (left, right);
                let place = inner(from.0, to.0).1;
                right = (place, self.measure(edge, place, point, best));
            }
        }
    }
}
