//! What all files of a margin have in common.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::basic::{Encoding, SortOrder, Type};
use parquet::file::metadata::{ParquetMetaDataReader, SortingColumn as FooterSortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::schema::types::{ColumnDescPtr, TypePtr};

use crate::parquet::chunk::ChunkOptions;
use crate::parquet::error::FormatError;
use crate::parquet::footer::{FooterParts, footer_of};
use crate::parquet::options::{ColumnOptions, ParquetOptions};
use crate::parquet::written_type::written_fields;

/// The schema, the metadata and the options of Parquet files. It is made once, and shared by threads.
pub struct ParquetFormat {
    schema: SchemaRef,
    /// The fields of the arrays that arrow-rs gets.
    pub(super) written: SchemaRef,
    pub(super) root: TypePtr,
    pub(super) properties: WriterPropertiesPtr,
    pub(super) chunks: Vec<ChunkOptions>,
    /// How many rows of each field are encoded at once, at most.
    pub(super) slice_rows: Vec<usize>,
    pub(super) page_bytes: usize,
    pub(super) batch_rows: usize,
    /// The beginning of every footer: version and schema, as in the template.
    pub(super) before: Vec<u8>,
    pub(super) allow_truncated_timestamps: bool,
}

impl ParquetFormat {
    /// A format from a Parquet file without rows and the fields of the arrays that will be written.
    ///
    /// # Errors
    /// When the template is not a Parquet file, or the fields or options do not fit it.
    pub fn new(template: &[u8], fields: SchemaRef, options: ParquetOptions) -> Result<Self, FormatError> {
        if fields.fields().is_empty() {
            return Err(FormatError::NoColumns);
        }
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(template))?;
        let file = metadata.file_metadata();
        let descriptor = file.schema_descr();
        let columns = descriptor.columns();
        let written = written_fields(fields.fields(), columns)?;
        let footer = footer_of(template)?;
        let before = footer[..FooterParts::of(footer)?.rows_at].to_vec();
        let own = if options.columns.is_empty() {
            vec![ColumnOptions::default(); columns.len()]
        } else {
            options.columns.clone()
        };
        if own.len() != columns.len() {
            return Err(FormatError::OptionCount { options: own.len(), template: columns.len() });
        }
        let mut properties = shared_properties(&options).set_key_value_metadata(file.key_value_metadata().cloned());
        for (column, own) in columns.iter().zip(&own) {
            properties = column_properties(properties, column, own, &options);
        }
        let chunks = own
            .iter()
            .map(|own| ChunkOptions {
                codec: own.codec,
                data_page_v2: options.data_page_v2,
                page_index: options.page_index,
                page_checksum: options.page_checksum,
                plain_dictionary: options.plain_dictionary,
            })
            .collect();
        let mut slice_rows = vec![options.max_rows_per_page; written.len()];
        for (number, (column, own)) in columns.iter().zip(&own).enumerate() {
            if let Some(rows) = slice_rows.get_mut(descriptor.get_column_root_idx(number)) {
                *rows = rows_of_page(column, own, &options).min(*rows);
            }
        }
        Ok(Self {
            schema: fields,
            written: Arc::new(Schema::new(written)),
            root: descriptor.root_schema_ptr(),
            properties: Arc::new(properties.build()),
            chunks,
            slice_rows,
            page_bytes: options.data_page_bytes,
            batch_rows: options.write_batch_size.max(1),
            before,
            allow_truncated_timestamps: options.allow_truncated_timestamps,
        })
    }

    /// The fields of the arrays that are given to the writer.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

fn shared_properties(options: &ParquetOptions) -> parquet::file::properties::WriterPropertiesBuilder {
    let sorting = options
        .sorting_columns
        .iter()
        .map(|sorting| FooterSortingColumn {
            column_idx: sorting.column,
            descending: sorting.descending,
            nulls_first: sorting.nulls_first,
        })
        .collect::<Vec<_>>();
    WriterProperties::builder()
        // Pages are rewritten for version 1.0: in that version, arrow-rs has no dictionaries of fixed-size values.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_data_page_size_limit(options.data_page_bytes)
        .set_dictionary_page_size_limit(options.dictionary_page_bytes)
        .set_write_batch_size(options.write_batch_size)
        .set_data_page_row_count_limit(options.max_rows_per_page)
        .set_max_row_group_row_count(None)
        // Long bounds are left out as pyarrow does.
        .set_statistics_truncate_length(None)
        .set_column_index_truncate_length(None)
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
}

fn column_properties(
    properties: parquet::file::properties::WriterPropertiesBuilder,
    column: &ColumnDescPtr,
    own: &ColumnOptions,
    options: &ParquetOptions,
) -> parquet::file::properties::WriterPropertiesBuilder {
    let path = || column.path().clone();
    // Like pyarrow, without the number of nulls where values have no order.
    let has_order = column.sort_order() != SortOrder::UNDEFINED;
    let statistics = if own.statistics && has_order { EnabledStatistics::Page } else { EnabledStatistics::None };
    let properties = properties
        .set_column_encoding(path(), own.encoding)
        .set_column_dictionary_enabled(path(), own.dictionary)
        .set_column_statistics_enabled(path(), statistics)
        .set_column_write_page_header_statistics(path(), !options.page_index);
    match own.bloom_filter {
        Some(filter) => properties
            .set_column_bloom_filter_enabled(path(), true)
            .set_column_bloom_filter_fpp(path(), filter.false_positives)
            .set_column_bloom_filter_max_ndv(path(), filter.distinct_values),
        None => properties,
    }
}

/// How many rows fill a page of a column, at most, where that is known.
///
/// Where no value is null, arrow-rs adds as many rows to a page at once as it may have, and then sees its size.
fn rows_of_page(column: &ColumnDescPtr, own: &ColumnOptions, options: &ParquetOptions) -> usize {
    let width = match column.physical_type() {
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).unwrap_or(1).max(1),
        _ => return usize::MAX,
    };
    let is_fixed = matches!(own.encoding, Encoding::PLAIN | Encoding::BYTE_STREAM_SPLIT);
    if own.dictionary || !is_fixed || column.max_rep_level() > 0 {
        return usize::MAX;
    }
    let batch = options.write_batch_size.max(1);
    options.data_page_bytes.div_ceil(width).max(1).next_multiple_of(batch)
}
