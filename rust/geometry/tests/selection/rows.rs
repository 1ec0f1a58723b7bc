//! Single rows: those that are refused, and those that a rounding error moved.

use std::sync::Arc;

use skymargin_geometry::cover::{Filtering, INDEX_SLACK_ARCSEC, Margins, Source};
use skymargin_geometry::healpix;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::select::{CandidateColumns, Fault, SelectError};
use skymargin_geometry::separation::PixelSeparation;
use skymargin_geometry::tiling::Tiling;

use crate::catalogs::{centre_deg, index_of, threshold};

/// Two partitions side by side, and a cover of the first for 10 arcsec.
fn small_cover(index_order: u8) -> (skymargin_geometry::cover::Cover, Pixel) {
    let pixel = Pixel::new(3, 100).unwrap();
    let tiling = Arc::new(Tiling::new([pixel, Pixel::new(3, 101).unwrap()]).unwrap());
    let margins = Margins::new(tiling, threshold(10.0), Filtering::Exact, None).unwrap();
    let source = Source { pixel, rows: 1000, index_order, index_slack: threshold(INDEX_SLACK_ARCSEC) };
    (margins.cover(source).unwrap(), pixel)
}

#[test]
fn a_row_whose_coordinates_contradict_its_index_is_refused() {
    let (cover, pixel) = small_cover(29);
    let (ra_deg, dec_deg) = centre_deg(pixel);
    let wrong = index_of(29, ra_deg, dec_deg) + (1 << 20);
    let candidates =
        CandidateColumns { rows: &[17], index: &[Some(wrong)], coordinates_deg: Some((&[ra_deg], &[dec_deg])) };
    let error = cover.select(candidates).unwrap_err();
    assert!(matches!(error, SelectError::Rows { count: 1, checked: 1, fault: Fault::OffIndex { .. }, .. }), "{error}");
    assert!(error.to_string().contains("the first is row 17"), "{error}");
}

#[test]
fn every_position_can_be_held_against_the_index_whatever_the_filtering() {
    let (cover, pixel) = small_cover(29);
    let tiling = Arc::new(Tiling::new(vec![pixel]).unwrap());
    let ring = Filtering::Ring { margin_order: 12 };
    let margins = Margins::new(tiling, threshold(10.0), ring, Some(12)).unwrap();
    let index_slack = threshold(INDEX_SLACK_ARCSEC);
    let rings = margins.cover(Source { pixel, rows: 1000, index_order: 29, index_slack }).unwrap();
    let (ra_deg, dec_deg) = centre_deg(pixel);
    let right = index_of(29, ra_deg, dec_deg);
    // Near the centre of the partition, where neither cover has a candidate.
    let wrong = right + (1 << 20);
    for cover in [cover, rings] {
        let mut found = Vec::new();
        cover.candidates(&[right, wrong], 0, &mut found);
        assert_eq!(found, []);
        let check = |index, coordinates_deg| {
            cover.check_positions(CandidateColumns {
                rows: &[0, 1],
                index: &[Some(right), Some(index)],
                coordinates_deg,
            })
        };
        let coordinates_deg: (&[f64], &[f64]) = (&[ra_deg; 2], &[dec_deg; 2]);
        assert_eq!(check(right, Some(coordinates_deg)), Ok(()));
        let error = check(wrong, Some(coordinates_deg)).unwrap_err();
        assert!(matches!(error, SelectError::Rows { count: 1, checked: 2, fault: Fault::OffIndex { .. }, .. }));
        assert_eq!(check(right, None), Err(SelectError::NoCoordinates));
    }
}

#[test]
fn a_row_of_another_partition_is_refused() {
    let (cover, _) = small_cover(29);
    let (ra_deg, dec_deg) = centre_deg(Pixel::new(3, 600).unwrap());
    let index = index_of(29, ra_deg, dec_deg);
    let mut found = Vec::new();
    cover.candidates(&[index], 5, &mut found);
    assert_eq!(found, [5], "a value outside the partition is always looked at");
    let candidates =
        CandidateColumns { rows: &found, index: &[Some(index)], coordinates_deg: Some((&[ra_deg], &[dec_deg])) };
    let error = cover.select(candidates).unwrap_err();
    assert!(matches!(error, SelectError::Rows { fault: Fault::OffPartition { .. }, .. }), "{error}");
}

#[test]
fn a_row_without_a_position_is_refused_and_counted() {
    let (cover, pixel) = small_cover(29);
    let (ra_deg, dec_deg) = centre_deg(pixel);
    let index = Some(index_of(29, ra_deg, dec_deg));
    let candidates = CandidateColumns {
        rows: &[3, 4, 5],
        index: &[index, None, index],
        coordinates_deg: Some((&[ra_deg, f64::NAN, ra_deg], &[dec_deg, dec_deg, 90.5])),
    };
    let error = cover.select(candidates).unwrap_err();
    assert_eq!(
        error.to_string().split(';').next().unwrap().split(' ').take(4).collect::<Vec<_>>(),
        ["2", "of", "3", "rows"]
    );
    assert!(error.to_string().contains("row 4: ra NaN"), "{error}");
}

#[test]
fn a_row_a_rounding_error_outside_its_partition_is_never_lost() {
    // The row lies in partition 101, a hair across the border, but is stored in 100's file.
    let (cover, pixel) = small_cover(29);
    let destination = Pixel::new(3, 101).unwrap();
    let shared = skymargin_geometry::boundary::edges(destination)
        .into_iter()
        .flat_map(|edge| (1..100).map(move |step| edge.position(f64::from(step) / 100.0)))
        .find_map(|point| {
            let (ra_deg, dec_deg) = (point.y.atan2(point.x).to_degrees(), point.z.asin().to_degrees());
            let hair_deg = 1e-8;
            let (ra_deg, dec_deg) = (ra_deg + hair_deg, dec_deg + hair_deg);
            let own = PixelSeparation::new(pixel, threshold(1.0));
            let is_there = healpix::index_of_ra_dec_deg(3, ra_deg, dec_deg) == destination.index();
            (is_there && own.separation_arcsec(ra_deg, dec_deg).unwrap() < 1e-3).then_some((ra_deg, dec_deg))
        });
    let (ra_deg, dec_deg) = shared.expect("the two pixels share an edge");
    for index in [Some(index_of(29, ra_deg, dec_deg)), None] {
        let mut found = Vec::new();
        cover.candidates(&[index.unwrap_or(-1)], 0, &mut found);
        assert_eq!(found, [0]);
        let coordinates_deg = Some((&[ra_deg][..], &[dec_deg][..]));
        let selected = cover.select(CandidateColumns { rows: &found, index: &[index], coordinates_deg }).unwrap();
        let destinations: Vec<Pixel> = cover.destinations().collect();
        let there = selected.iter().find(|row| destinations[row.destination as usize] == destination);
        assert_eq!(there.map(|row| row.separation_arcsec), Some(0.0));
    }
}

#[test]
fn unequal_columns_are_refused() {
    let (cover, _) = small_cover(29);
    let candidates = CandidateColumns { rows: &[1, 2], index: &[None], coordinates_deg: Some((&[0.0], &[0.0])) };
    assert!(matches!(cover.select(candidates), Err(SelectError::Lengths { rows: 2, index: 1, ra: 1, dec: 1 })));
    let none = CandidateColumns { rows: &[1], index: &[None], coordinates_deg: None };
    assert_eq!(cover.select(none), Err(SelectError::NoCoordinates));
}
