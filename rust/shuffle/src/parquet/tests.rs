//! Files are written and read back: what Python's tests cannot do, such as sinks that fail.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaDataReader;

use super::*;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("mag", DataType::Float64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

fn write<W: Write + Send>(
    writer: &mut ParquetWriter<'_, W>,
    columns: &[ArrayRef],
    rows: usize,
) -> Result<(), WriteError> {
    writer.write_row_group(rows, |place| Ok(Arc::clone(&columns[place])))
}

fn columns(rows: i32) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int32Array::from_iter_values(0..rows)),
        Arc::new(Float64Array::from_iter((0..rows).map(|n| (n % 3 > 0).then(|| f64::from(n) / 7.0)))),
        Arc::new(StringArray::from_iter((0..rows).map(|n| (n % 5 > 0).then(|| format!("{}", n % 11))))),
    ]
}

fn template(schema: &SchemaRef) -> Vec<u8> {
    ArrowWriter::try_new(Vec::new(), Arc::clone(schema), None).unwrap().into_inner().unwrap()
}

fn format(options: ParquetOptions) -> ParquetFormat {
    ParquetFormat::new(&template(&schema()), schema(), options).unwrap()
}

fn with_codec(codec: Codec) -> ParquetOptions {
    let column = ColumnOptions { codec, ..ColumnOptions::default() };
    ParquetOptions { columns: vec![column; 3], page_index: true, ..ParquetOptions::default() }
}

fn written(format: &ParquetFormat, compressors: &mut Compressors, groups: &[i32]) -> (Vec<u8>, RowGroups) {
    let mut writer = ParquetWriter::new(format, compressors, Vec::new()).unwrap();
    for &rows in groups {
        write(&mut writer, &columns(rows), rows as usize).unwrap();
    }
    let (file, bytes, row_groups) = writer.finish("a.parquet").unwrap();
    assert_eq!(bytes, file.len() as u64);
    (file, row_groups)
}

fn read(file: &[u8]) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    reader.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect()
}

const CODECS: [Codec; 6] =
    [Codec::Uncompressed, Codec::Snappy, Codec::Gzip(6), Codec::Brotli(4), Codec::Lz4Raw, Codec::Zstd(3)];

#[test]
fn every_codec_and_page_version_is_read_back() {
    for codec in CODECS {
        for (data_page_v2, page_checksum) in [(false, false), (true, true)] {
            let format = format(ParquetOptions { data_page_v2, page_checksum, ..with_codec(codec) });
            let (file, row_groups) = written(&format, &mut Compressors::default(), &[17, 0, 40_000]);
            let batches = read(&file);
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            assert_eq!((rows, row_groups.rows, row_groups.count), (40_017, 40_017, 2));
            let first = batches[0].slice(0, 17);
            assert_eq!(first.columns(), columns(17));
        }
    }
}

#[test]
fn kept_contexts_do_not_change_the_bytes() {
    let mut kept = Compressors::default();
    for codec in CODECS.into_iter().chain([Codec::Zstd(9), Codec::Gzip(1)]) {
        let format = format(with_codec(codec));
        written(&format, &mut kept, &[5000]);
        for rows in [1, 17, 3000] {
            let fresh = written(&format, &mut Compressors::default(), &[rows]);
            assert_eq!(written(&format, &mut kept, &[rows]), fresh, "{codec:?}");
        }
    }
}

#[test]
fn the_footer_begins_with_that_of_the_template() {
    let (file, row_groups) = written(&format(with_codec(Codec::Snappy)), &mut Compressors::default(), &[9]);
    let template = template(&schema());
    let parts = footer::FooterParts::of(footer::footer_of(&template).unwrap()).unwrap();
    let before = &footer::footer_of(&template).unwrap()[..parts.rows_at];
    assert_eq!(row_groups.before, before);
    assert!(footer::footer_of(&file).unwrap().starts_with(before));
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(file)).unwrap();
    assert_eq!(metadata.row_group(0).column(0).file_path(), None);
    // The row groups for `_metadata` are a footer's too, with paths.
    let mut footer = [row_groups.before, vec![0x16, 18, 0x19, 0x1c], row_groups.content, row_groups.after].concat();
    let length = footer.len() as u32;
    footer.splice(0..0, *b"PAR1");
    footer.extend(length.to_le_bytes());
    footer.extend(b"PAR1");
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(footer)).unwrap();
    assert_eq!(metadata.row_group(0).num_rows(), 9);
    assert!(metadata.row_group(0).columns().iter().all(|column| column.file_path() == Some("a.parquet")));
}

/// A sink that has space for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_the_error_of_the_sink_wherever_it_happens() {
    let format = format(with_codec(Codec::Uncompressed));
    let mut compressors = Compressors::default();
    let (file, _) = written(&format, &mut compressors, &[3000]);
    for space in [0, 100, file.len() / 2, file.len() - 1, file.len()] {
        let mut write = || {
            let mut writer = ParquetWriter::new(&format, &mut compressors, Full(space))?;
            write(&mut writer, &columns(3000), 3000)?;
            writer.finish("a.parquet")
        };
        match write() {
            Ok((_, bytes, _)) => assert_eq!((bytes, space), (file.len() as u64, file.len())),
            Err(WriteError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let format = format(ParquetOptions::default());
    let refused = |columns: &[ArrayRef], rows: usize, message: &str| {
        let mut compressors = Compressors::default();
        let mut writer = ParquetWriter::new(&format, &mut compressors, Vec::new()).unwrap();
        let text = write(&mut writer, columns, rows).unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
    };
    refused(&columns(3), 4, "column 'id' has 3 values for 4 rows");
    let mut nulls = columns(3);
    nulls[0] = arrow_array::new_null_array(&DataType::Int32, 3);
    refused(&nulls, 3, "column 'id' has nulls, which it may not");
    let mut text = columns(3);
    text[0] = Arc::new(StringArray::from(vec!["1", "2", "x"]));
    refused(&text, 3, "column 'id': Cast error: Utf8 cannot become Int32");
}

#[test]
fn batches_of_other_columns_are_refused() {
    let format = format(ParquetOptions::default());
    let mut compressors = Compressors::default();
    let mut writer = ParquetWriter::new(&format, &mut compressors, Vec::new()).unwrap();
    let batch = RecordBatch::try_from_iter([("id", columns(3)[0].clone())]).unwrap();
    assert!(writer.write_batch(&batch).unwrap_err().to_string().contains("1 arrays for 3 columns"));
}

#[test]
fn formats_that_do_not_fit_the_template_are_refused() {
    let refused = |fields: Vec<Field>, options: ParquetOptions, message: &str| {
        let error = ParquetFormat::new(&template(&schema()), Arc::new(Schema::new(fields)), options).err().unwrap();
        assert!(error.to_string().contains(message), "{error}");
    };
    let own: Vec<Field> = schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let plain = ParquetOptions::default;
    refused(vec![], plain(), "the schema has no columns");
    refused(own[..2].to_vec(), plain(), "the template has 3 columns, the fields have 2");
    refused([own.clone(), own.clone()].concat(), plain(), "the template has 3 columns");
    let options = ParquetOptions { columns: vec![ColumnOptions::default()], ..plain() };
    refused(own.clone(), options, "there are options for 1 columns, the template has 3");
    let mut nullable = own.clone();
    nullable[0] = Field::new("id", DataType::Int32, true);
    refused(nullable, plain(), "column 'id' of the template has other levels of lists and nulls than its field");
    let mut other = own.clone();
    other[1] = Field::new("mag", DataType::Utf8, true);
    refused(other, plain(), "column 'mag' has type Utf8, which is not written as DOUBLE");
    let not_parquet = ParquetFormat::new(b"PAR1", schema(), plain()).err().unwrap();
    assert!(not_parquet.to_string().contains("the template is not a Parquet file"));
}

#[test]
fn timestamps_take_the_unit_of_the_template_if_they_can() {
    let field = |unit| Arc::new(Schema::new(vec![Field::new("seen", DataType::Timestamp(unit, None), true)]));
    let template = template(&field(TimeUnit::Microsecond));
    let mut compressors = Compressors::default();
    for (allow_truncated_timestamps, value, exact) in [(false, 5_000, true), (false, 5_001, false), (true, 5_001, true)]
    {
        let options = ParquetOptions { allow_truncated_timestamps, ..ParquetOptions::default() };
        let format = ParquetFormat::new(&template, field(TimeUnit::Nanosecond), options).unwrap();
        let mut writer = ParquetWriter::new(&format, &mut compressors, Vec::new()).unwrap();
        // What is below a null does not count.
        let nulls = vec![true, false].into();
        let array: ArrayRef = Arc::new(TimestampNanosecondArray::new(vec![value, 77].into(), Some(nulls)));
        let result = write(&mut writer, &[array], 2);
        assert_eq!(result.is_ok(), exact);
        if let Err(error) = result {
            assert_eq!(
                error.to_string(),
                "column 'seen': Cast error: 5001 of type Timestamp(ns) is not exact as Timestamp(µs)"
            );
            continue;
        }
        let (file, _, _) = writer.finish("").unwrap();
        let column = Arc::clone(read(&file)[0].column(0));
        assert_eq!((column.data_type(), column.null_count()), (field(TimeUnit::Microsecond).field(0).data_type(), 1));
    }
}
