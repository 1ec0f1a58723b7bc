//! Values leave with exactly the types of the catalog's schema, or the file is refused by column.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::result_large_err,
    clippy::single_range_in_vec_init
)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Int32Builder, MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::*;
use arrow_buffer::i256;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use half::f16;
use parquet::file::properties::WriterProperties;
use skymargin_scan::{ColumnError, ScanError, ScanOptions, Scanner};
use support::{Memory, RangeFilter, assert_scanned, options, read_all, scan, write};

const ROWS: usize = 60;

fn everything() -> RangeFilter {
    RangeFilter { ranges: vec![0..1000], ..RangeFilter::default() }
}

fn positions() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("index", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("ra", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64)))),
        ("dec", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 - 9.0)))),
    ]
}

/// Every third value null.
fn some<T>(value: impl Fn(usize) -> T) -> impl Iterator<Item = Option<T>> {
    (0..ROWS).map(move |row| (row % 3 != 1).then(|| value(row)))
}

fn every_type() -> Vec<(&'static str, ArrayRef)> {
    let strings: ArrayRef = Arc::new(StringArray::from_iter(some(|row| format!("a string longer than twelve {row}"))));
    let floats: ArrayRef =
        Arc::new(Float64Array::from_iter(some(|row| f64::from_bits(0x7ff8_0000_0000_0001 + row as u64))));
    let integers: ArrayRef = Arc::new(Int64Array::from_iter(some(|row| row as i64 - 20)));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(some(|row| vec![row as u8; row % 20])));
    let of = |array: &ArrayRef, data_type: &DataType| cast(array, data_type).unwrap();
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..ROWS)
            .map(|row| (row % 4 > 0).then(|| (0..row % 5).map(|n| (n != 2).then_some(n as f32)).collect::<Vec<_>>())),
    );
    let lists: ArrayRef = Arc::new(lists);
    let mut pairs = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    let mut triples = FixedSizeListBuilder::new(Int32Builder::new(), 3);
    for row in 0..ROWS {
        for key in 0..row % 3 {
            pairs.keys().append_value(format!("k{key}"));
            pairs.values().append_option((key > 0).then_some(row as i32));
        }
        pairs.append(row % 7 > 0).unwrap();
        triples.values().append_slice(&[1, row as i32, 3]);
        triples.append(row % 5 > 0);
    }
    let nested = StructArray::from(vec![
        (Arc::new(Field::new("light", lists.data_type().clone(), true)), Arc::clone(&lists)),
        (Arc::new(Field::new("name", DataType::Utf8, true)), Arc::clone(&strings)),
        (Arc::new(Field::new("nothing", DataType::Null, true)), Arc::new(NullArray::new(ROWS)) as ArrayRef),
    ]);
    let utc = |unit| DataType::Timestamp(unit, Some("UTC".into()));
    let decimal = |digits, scale| DataType::Decimal128(digits, scale);
    let seconds32: ArrayRef = Arc::new(Int32Array::from_iter(some(|row| row as i32)));
    let seconds64: ArrayRef = Arc::new(Int64Array::from_iter(some(|row| row as i64)));
    let int32s = of(&integers, &DataType::Int32);
    vec![
        ("bool", Arc::new(BooleanArray::from_iter(some(|row| row % 2 == 0)))),
        ("int8", of(&integers, &DataType::Int8)),
        ("int16", of(&integers, &DataType::Int16)),
        ("int32", Arc::clone(&int32s)),
        ("uint8", Arc::new(UInt8Array::from_iter(some(|row| row as u8)))),
        ("uint16", Arc::new(UInt16Array::from_iter(some(|row| 65_500 - row as u16)))),
        ("uint32", Arc::new(UInt32Array::from_iter(some(|row| u32::MAX - row as u32)))),
        ("uint64", Arc::new(UInt64Array::from_iter(some(|row| u64::MAX - row as u64)))),
        ("float16", Arc::new(Float16Array::from_iter(some(|row| f16::from_f32(row as f32 / 8.0))))),
        ("float32", Arc::new(Float32Array::from_iter(some(|row| f32::from_bits(0x7fc0_0001 + row as u32))))),
        ("float64", floats),
        ("date32", of(&int32s, &DataType::Date32)),
        ("date64", of(&of(&int32s, &DataType::Date32), &DataType::Date64)),
        ("time32_ms", of(&seconds32, &DataType::Time32(TimeUnit::Millisecond))),
        ("time32_s", of(&seconds32, &DataType::Time32(TimeUnit::Second))),
        ("time64_us", of(&seconds64, &DataType::Time64(TimeUnit::Microsecond))),
        ("time64_ns", of(&seconds64, &DataType::Time64(TimeUnit::Nanosecond))),
        ("timestamp_s", of(&integers, &DataType::Timestamp(TimeUnit::Second, None))),
        ("timestamp_ms", of(&integers, &DataType::Timestamp(TimeUnit::Millisecond, None))),
        ("timestamp_us_utc", of(&integers, &utc(TimeUnit::Microsecond))),
        (
            "timestamp_ns_zone",
            of(&integers, &DataType::Timestamp(TimeUnit::Nanosecond, Some("America/Santiago".into()))),
        ),
        ("duration", of(&integers, &DataType::Duration(TimeUnit::Microsecond))),
        ("decimal32", of(&integers, &DataType::Decimal32(9, 2))),
        ("decimal64", of(&integers, &DataType::Decimal64(18, 3))),
        ("decimal128", of(&integers, &decimal(38, 10))),
        (
            "decimal256",
            Arc::new(
                Decimal256Array::from_iter(some(|row| i256::from_i128(row as i128)))
                    .with_precision_and_scale(60, 4)
                    .unwrap(),
            ),
        ),
        ("string", Arc::clone(&strings)),
        ("large_string", of(&strings, &DataType::LargeUtf8)),
        ("string_view", of(&strings, &DataType::Utf8View)),
        ("binary", Arc::clone(&bytes)),
        ("large_binary", of(&bytes, &DataType::LargeBinary)),
        ("binary_view", of(&bytes, &DataType::BinaryView)),
        (
            "fixed_binary",
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(some(|row| vec![row as u8; 16]), 16).unwrap(),
            ),
        ),
        ("dictionary", of(&strings, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))),
        ("dictionary8", of(&strings, &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8)))),
        ("dictionary_int", of(&integers, &DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Int64)))),
        ("null", Arc::new(NullArray::new(ROWS))),
        ("list", Arc::clone(&lists)),
        ("large_list", of(&lists, &DataType::LargeList(Arc::new(Field::new("item", DataType::Float32, true))))),
        ("fixed_list", Arc::new(triples.finish())),
        ("map", Arc::new(pairs.finish())),
        ("struct", Arc::new(nested)),
    ]
}

/// The columns with metadata on each field, an extension type, and metadata of the schema.
fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            let mut metadata = HashMap::from([("unit".to_string(), format!("unit of {name}"))]);
            if *name == "fixed_binary" {
                metadata.insert("ARROW:extension:name".into(), "arrow.uuid".into());
                metadata.insert("ARROW:extension:metadata".into(), String::new());
            }
            Field::new(*name, array.data_type().clone(), true).with_metadata(metadata)
        })
        .collect();
    let metadata = HashMap::from([("pandas".to_string(), "{}".to_string()), ("catalog".into(), "test".into())]);
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn small_pages() -> WriterProperties {
    WriterProperties::builder()
        .set_data_page_row_count_limit(7)
        .set_write_batch_size(7)
        .set_max_row_group_row_count(Some(25))
        .build()
}

#[test]
fn every_type_leaves_as_it_came() {
    let columns: Vec<_> = positions().into_iter().chain(every_type()).collect();
    let batch = batch_of(columns);
    let bytes = write(&batch, small_pages());
    for memory_bytes in [1 << 20, 1 << 26] {
        let scanned = scan(&options(&batch.schema(), memory_bytes), &Memory::new(bytes.clone(), true), &everything());
        let scanned = scanned.unwrap();
        assert_scanned(&scanned, &batch, &everything(), "every type");
        assert_eq!(scanned.report.hints_ignored, 0);
        for part in &scanned.batches {
            assert_eq!(part.columns.schema(), batch.schema());
            assert_eq!(part.columns.schema().metadata(), batch.schema().metadata());
        }
        assert_same_bits(&scanned.batches, &batch);
    }
}

/// NaNs are not equal to themselves: their bits must be.
fn assert_same_bits(parts: &[skymargin_scan::ScanBatch], batch: &RecordBatch) {
    let whole = batch.column_by_name("float64").unwrap().as_primitive::<Float64Type>();
    for part in parts {
        let found = part.columns.column_by_name("float64").unwrap().as_primitive::<Float64Type>();
        for (at, row) in part.rows.iter().enumerate() {
            let row = (*row - 1000) as usize;
            assert_eq!(found.is_null(at), whole.is_null(row));
            if whole.is_valid(row) {
                assert_eq!(found.value(at).to_bits(), whole.value(row).to_bits());
            }
        }
    }
}

#[test]
fn selected_strings_do_not_hold_their_pages() {
    let strings = StringViewArray::from_iter_values((0..ROWS).map(|row| format!("{row:0>1000}")));
    let dictionary =
        cast(&strings, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))).unwrap();
    let mut columns = positions();
    columns.push(("view", Arc::new(strings)));
    columns.push(("dictionary", dictionary));
    let batch = batch_of(columns);
    let filter = RangeFilter { ranges: vec![20..22], ..RangeFilter::default() };
    let bytes = write(&batch, WriterProperties::default());
    let scanned = scan(&options(&batch.schema(), 1 << 20), &Memory::new(bytes, true), &filter).unwrap();
    assert_scanned(&scanned, &batch, &filter, "strings");
    let held: usize = scanned.batches[0].columns.columns().iter().map(|column| column.get_buffer_memory_size()).sum();
    assert!(held < 10_000, "two rows of 2,000 bytes hold {held} of pages of 60,000");
}

/// A file of the positions and one column, scanned with a schema where that column has another type.
fn drift(found: ArrayRef, wanted: &DataType, nullable: bool) -> Result<ArrayRef, ScanError> {
    let (mut columns, mut fields) = (positions(), Vec::new());
    for (name, array) in &columns {
        fields.push(Field::new(*name, array.data_type().clone(), true));
    }
    columns.push(("drifting", found));
    fields.push(Field::new("drifting", wanted.clone(), nullable).with_metadata([("unit".into(), "mas".into())].into()));
    let bytes = write(&batch_of(columns), small_pages());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let scanned = scan(&options(&schema, 1 << 26), &Memory::new(bytes, true), &everything())?;
    let rows: Vec<usize> = scanned.batches.iter().flat_map(|batch| batch.rows.iter().map(|r| *r as usize)).collect();
    assert_eq!(rows.len(), ROWS - 9);
    assert!(scanned.batches.iter().all(|batch| batch.columns.schema() == schema));
    Ok(Arc::clone(scanned.batches[0].columns.column(3)))
}

#[test]
fn drift_without_loss_is_cast() {
    let integers: ArrayRef = Arc::new(Int32Array::from_iter(some(|row| row as i32 - 5)));
    let strings: ArrayRef = Arc::new(StringArray::from_iter(some(|row| format!("s{row}"))));
    let floats: ArrayRef = Arc::new(Float32Array::from_iter(some(|row| row as f32 / 3.0)));
    let nothing: ArrayRef = Arc::new(NullArray::new(ROWS));
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(some(|row| vec![Some(row as i32), None])));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let list_of = |data_type, name: &str| Arc::new(Field::new(name, data_type, true));
    let times = cast(&integers, &DataType::Int64).unwrap();
    let times = cast(&times, &DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))).unwrap();
    for (found, wanted) in [
        (&integers, DataType::Int64),
        (&integers, DataType::Float64),
        (&floats, DataType::Float64),
        (&strings, DataType::LargeUtf8),
        (&strings, DataType::Utf8View),
        (&strings, dictionary.clone()),
        (&cast(&strings, &dictionary).unwrap(), DataType::Utf8),
        (&cast(&strings, &DataType::LargeUtf8).unwrap(), DataType::Utf8),
        (&cast(&strings, &DataType::Utf8View).unwrap(), DataType::Utf8),
        (&times, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        (&times, DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Paris".into()))),
        (&lists, DataType::List(list_of(DataType::Int64, "element"))),
        (&lists, DataType::LargeList(list_of(DataType::Float64, "item"))),
    ] {
        let column = drift(Arc::clone(found), &wanted, true).unwrap_or_else(|error| panic!("{wanted}: {error}"));
        // The rows before are not selected: their declination is negative.
        assert_eq!(column.data_type(), &wanted);
        let expected = match (found.data_type(), &wanted) {
            (DataType::List(_), DataType::List(field) | DataType::LargeList(field)) => {
                let inner = cast(found, &DataType::List(list_of(field.data_type().clone(), "item"))).unwrap();
                let wide = matches!(wanted, DataType::LargeList(_));
                if wide { cast(&inner, &wanted).unwrap() } else { inner }
            }
            _ => cast(found, &wanted).unwrap(),
        };
        let expected = expected.slice(9, ROWS - 9);
        let as_text = |array: &ArrayRef| {
            let is_time = matches!(array.data_type(), DataType::Timestamp(_, _));
            let array = if is_time { &cast(array, &DataType::Int64).unwrap() } else { array };
            let options = arrow_cast::display::FormatOptions::default().with_null("null");
            let text = arrow_cast::display::ArrayFormatter::try_new(array, &options).unwrap();
            (0..array.len()).map(|row| text.value(row).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(as_text(&column), as_text(&expected), "{wanted}");
    }
    for wanted in [DataType::Utf8, DataType::Float64, dictionary, lists.data_type().clone()] {
        let column = drift(Arc::clone(&nothing), &wanted, true).unwrap();
        assert_eq!((column.data_type(), column.null_count()), (&wanted, ROWS - 9));
    }
}

#[test]
fn drift_with_loss_is_refused_by_file_and_column() {
    let longs: ArrayRef = Arc::new(Int64Array::from_iter(some(|row| row as i64)));
    let strings: ArrayRef = Arc::new(StringArray::from_iter(some(|row| format!("s{row}"))));
    let doubles: ArrayRef = Arc::new(Float64Array::from_iter(some(|row| row as f64)));
    for (found, wanted) in [
        (&longs, DataType::Int32),
        (&longs, DataType::Float64),
        (&longs, DataType::Timestamp(TimeUnit::Second, None)),
        (&longs, DataType::Null),
        (&doubles, DataType::Float32),
        (&strings, DataType::Int64),
        (&strings, DataType::Null),
        (&cast(&strings, &DataType::Binary).unwrap(), DataType::Utf8),
        (&cast(&longs, &DataType::Decimal128(30, 5)).unwrap(), DataType::Decimal256(50, 2)),
        (&cast(&longs, &DataType::Decimal128(30, 5)).unwrap(), DataType::Decimal128(30, 6)),
    ] {
        let error = drift(Arc::clone(found), &wanted, true).unwrap_err();
        let ScanError::Column { file, column, source: ColumnError::Drift { found: was, wanted: should } } = &error
        else {
            panic!("{} to {wanted}: {error}", found.data_type());
        };
        assert_eq!((file.as_str(), column.as_str()), ("memory.parquet", "drifting"));
        assert_eq!((was, should), (found.data_type(), &wanted));
        let text = error.to_string();
        assert!(text.starts_with("memory.parquet: column 'drifting': has type "), "{text}");
    }
    let error = drift(longs, &DataType::Int64, false).unwrap_err();
    assert!(matches!(error, ScanError::Column { source: ColumnError::Nulls, .. }), "{error}");
}

#[test]
fn a_decimal_of_another_scale_is_rescaled_not_reinterpreted() {
    let longs: ArrayRef = Arc::new(Int64Array::from_iter(some(|row| row as i64)));
    let found = cast(&longs, &DataType::Decimal128(30, 5)).unwrap();
    for wanted in [DataType::Decimal256(50, 7), DataType::Decimal128(38, 7), DataType::Decimal256(30, 5)] {
        let column = drift(Arc::clone(&found), &wanted, true).unwrap();
        let expected = cast(&longs, &wanted).unwrap().slice(9, ROWS - 9);
        assert_eq!(&column, &expected, "{wanted}");
    }
}

#[test]
fn struct_fields_are_matched_by_name_and_missing_ones_refused() {
    let (a, b): (ArrayRef, ArrayRef) =
        (Arc::new(Int32Array::from_iter_values(0..ROWS as i32)), Arc::new(StringArray::from_iter(some(|_| "b"))));
    let (field_a, field_b) = (Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true));
    let found: ArrayRef = Arc::new(StructArray::from(vec![
        (Arc::new(field_a), Arc::clone(&a)),
        (Arc::new(field_b.clone()), Arc::clone(&b)),
    ]));
    let wanted = DataType::Struct(Fields::from(vec![field_b, Field::new("a", DataType::Int64, true)]));
    let column = drift(Arc::clone(&found), &wanted, true).unwrap();
    assert_eq!(column.as_struct().column(1).as_ref(), &Int64Array::from_iter_values(9..ROWS as i64) as &dyn Array);
    let less = DataType::Struct(Fields::from(vec![Field::new("a", DataType::Int32, true)]));
    assert!(matches!(drift(found, &less, true), Err(ScanError::Column { source: ColumnError::Drift { .. }, .. })));
}

fn file_without_schema_metadata(batch: &RecordBatch) -> Bytes {
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(small_pages())
        .with_skip_arrow_metadata(true);
    let mut writer = parquet::arrow::ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn a_file_without_an_embedded_schema_takes_the_catalogs() {
    let strings: ArrayRef = Arc::new(LargeStringArray::from_iter(some(|row| format!("s{row}"))));
    let mut columns = positions();
    columns.push((
        "dictionary",
        cast(&strings, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))).unwrap(),
    ));
    columns.push(("name", strings));
    let batch = batch_of(columns);
    let bytes = file_without_schema_metadata(&batch);
    assert_ne!(read_all(&bytes).schema().fields(), batch.schema().fields());
    let scanned = scan(&options(&batch.schema(), 1 << 26), &Memory::new(bytes, true), &everything()).unwrap();
    assert_scanned(&scanned, &batch, &everything(), "no embedded schema");
}

#[test]
fn missing_extra_and_misused_columns_are_named() {
    let batch = batch_of(positions());
    let bytes = write(&batch, small_pages());
    let scan_with = |options: &ScanOptions| scan(options, &Memory::new(bytes.clone(), true), &everything()).map(|_| ());
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();

    let less: SchemaRef = Arc::new(Schema::new(fields[..2].to_vec()));
    let mut missing_dec = options(&less, 1 << 20);
    missing_dec.dec_column = "ra".into();
    let error = scan_with(&missing_dec).unwrap_err();
    assert_eq!(error.to_string(), "memory.parquet: column 'dec': is not in the catalog's schema");

    fields.push(Field::new("flux", DataType::Float32, true));
    let more: SchemaRef = Arc::new(Schema::new(fields));
    let error = scan_with(&options(&more, 1 << 20)).unwrap_err();
    let wanted = "memory.parquet: column 'flux': is missing; the catalog's schema has it as Float32";
    assert_eq!(error.to_string(), wanted);

    let mut float_index = options(&batch.schema(), 1 << 20);
    float_index.index_column = Some("ra".into());
    let error = scan_with(&float_index).unwrap_err();
    assert!(matches!(error, ScanError::Column { source: ColumnError::IndexType { .. }, .. }), "{error}");

    let mut no_column = options(&batch.schema(), 1 << 20);
    no_column.ra_column = "RA".into();
    let error = Scanner::new(no_column).unwrap_err();
    assert_eq!(error.to_string(), "ra_column 'RA' is not among the columns of the catalog: index, ra, dec");
}

#[test]
fn coordinates_may_be_any_number() {
    let exact: ArrayRef = Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 - 9.0)));
    for data_type in [
        DataType::Float32,
        DataType::Float16,
        DataType::Int16,
        DataType::Int64,
        DataType::Decimal128(12, 6),
        DataType::Decimal64(12, 6),
    ] {
        let mut columns = positions();
        columns[2].1 = cast(&exact, &data_type).unwrap();
        let batch = batch_of(columns);
        let bytes = write(&batch, small_pages());
        let scanned = scan(&options(&batch.schema(), 1 << 26), &Memory::new(bytes, true), &everything()).unwrap();
        let rows: Vec<u64> = scanned.batches.iter().flat_map(|batch| batch.rows.iter().map(|row| row - 1000)).collect();
        assert_eq!(rows, (9..ROWS as u64).collect::<Vec<_>>(), "{data_type}");
        assert!(scanned.batches[0].selected.iter().all(|selected| selected.separation_arcsec.fract() == 0.0));
        assert_eq!(scanned.batches[0].columns.column(2).data_type(), &data_type);
    }
    let mut columns = positions();
    columns[2].1 = cast(&exact, &DataType::Utf8).unwrap();
    let batch = batch_of(columns);
    let error =
        scan(&options(&batch.schema(), 1 << 26), &Memory::new(write(&batch, small_pages()), true), &everything());
    let error = error.err().unwrap();
    assert!(matches!(error, ScanError::Column { source: ColumnError::CoordinateType { .. }, .. }), "{error}");
}

#[test]
fn the_filters_own_error_comes_back() {
    let mut columns = positions();
    columns[1].1 = Arc::new(Float64Array::from_iter((0..ROWS).map(|row| (row != 30).then_some(1.0))));
    let batch = batch_of(columns);
    let error =
        scan(&options(&batch.schema(), 1 << 26), &Memory::new(write(&batch, small_pages()), true), &everything());
    assert_eq!(error.err().unwrap().to_string(), "memory.parquet: row 1030 is nowhere");
}
