//! The columns of a file in the order and with the types of the catalog's schema.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::conform::{conform, fits, same_values, storage};
use crate::error::{ColumnError, FooterError, ScanError};

/// The key under which writers keep the Arrow schema.
const EMBEDDED_SCHEMA: &str = "ARROW:schema";

/// A column of a file and the field of the catalog's schema that it becomes.
#[derive(Debug)]
pub(super) struct FileColumn {
    field: FieldRef,
    leaves: Range<usize>,
    levels: FieldLevels,
    natural: DataType,
}

impl FileColumn {
    pub(super) fn name(&self) -> &str {
        self.field.name()
    }

    /// The leaf columns of the Parquet schema that it consists of.
    pub(super) fn leaves(&self) -> Range<usize> {
        self.leaves.clone()
    }

    /// How its values are decoded. Its leaves are counted from 0.
    pub(super) fn levels(&self) -> &FieldLevels {
        &self.levels
    }

    /// Its type in the file.
    pub(super) fn natural(&self) -> &DataType {
        &self.natural
    }

    /// Whether it has no values, so that nothing needs to be read.
    pub(super) fn is_null_typed(&self) -> bool {
        self.natural == DataType::Null
    }

    /// The average decoded size of a row in bytes, by the sizes of a row group.
    pub(super) fn row_bytes(&self, group: &RowGroupMetaData) -> u64 {
        let rows = u64::try_from(group.num_rows()).unwrap_or(1).max(1);
        let leaf_bytes = |leaf: usize| {
            let chunk = group.column(leaf);
            let encoded = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
            let values = u64::try_from(chunk.num_values()).unwrap_or(0);
            // With a dictionary the encoded size is smaller than that of the values.
            let strings = chunk.unencoded_byte_array_data_bytes().and_then(|bytes| u64::try_from(bytes).ok());
            encoded.max(strings.unwrap_or(0) + 8 * values) / rows
        };
        self.leaves().map(leaf_bytes).sum::<u64>().max(1)
    }

    /// Converts decoded values to the type of the catalog's schema.
    pub(super) fn conform(&self, array: &ArrayRef, file: &str) -> Result<ArrayRef, ScanError> {
        let failed = |source| ScanError::Column { file: file.to_string(), column: self.name().to_string(), source };
        let conformed = conform(array, self.field.data_type()).map_err(|source| {
            failed(ColumnError::Cast { found: self.natural.clone(), wanted: self.field.data_type().clone(), source })
        })?;
        if !self.field.is_nullable() && conformed.logical_null_count() > 0 {
            return Err(failed(ColumnError::Nulls));
        }
        Ok(conformed)
    }
}

/// All columns of a file, in the order of the catalog's schema.
#[derive(Debug)]
pub(super) struct Projection {
    columns: Vec<FileColumn>,
    root: TypePtr,
    embedded: Option<String>,
}

impl Projection {
    /// Matches the columns of a file to a schema by name.
    pub(super) fn new(file: &str, metadata: &ParquetMetaData, schema: &SchemaRef) -> Result<Self, ScanError> {
        let metadata = metadata.file_metadata();
        let parquet = metadata.schema_descr();
        let refused =
            |column: &str, source| ScanError::Column { file: file.to_string(), column: column.to_string(), source };
        let schema_of = |key_values| {
            parquet_to_arrow_schema(parquet, key_values).map_err(|source| ScanError::Footer {
                file: file.to_string(),
                source: FooterError::EmbeddedSchema(source),
            })
        };
        let natural = schema_of(metadata.key_value_metadata())?;
        // Readers use the embedded schema differently: the stored type may be that of the catalog.
        let stored = schema_of(None)?;
        let leaves = leaves_of_roots(parquet);
        let roots = match_names(&natural, schema).map_err(|(column, source)| refused(&column, source))?;
        let columns = schema
            .fields()
            .iter()
            .zip(roots)
            .map(|(field, root)| {
                let (natural, stored) = (natural.field(root).data_type(), stored.field(root).data_type());
                let wanted = field.data_type();
                let found = if same_values(stored, wanted) && !fits(natural, wanted) { stored } else { natural };
                let undecodable =
                    |source| ScanError::Decode { file: file.to_string(), column: field.name().clone(), source };
                if !fits(found, wanted) {
                    let (found, wanted) = (found.clone(), wanted.clone());
                    return Err(refused(field.name(), ColumnError::Drift { found, wanted }));
                }
                let root_type = &parquet.root_schema().get_fields()[root];
                Ok(FileColumn {
                    field: Arc::clone(field),
                    leaves: leaves[root].clone(),
                    levels: levels(root_type, found, wanted).map_err(undecodable)?,
                    natural: found.clone(),
                })
            })
            .collect::<Result<_, ScanError>>()?;
        Ok(Self { columns, root: parquet.root_schema_ptr(), embedded: embedded(metadata).cloned() })
    }

    /// Whether a file has the same schema as this one, as most files of a catalog do.
    pub(super) fn is_for(&self, metadata: &ParquetMetaData) -> bool {
        let metadata = metadata.file_metadata();
        *self.root == *metadata.schema_descr().root_schema() && self.embedded.as_ref() == embedded(metadata)
    }

    pub(super) fn columns(&self) -> &[FileColumn] {
        &self.columns
    }
}

fn embedded(metadata: &parquet::file::metadata::FileMetaData) -> Option<&String> {
    let pairs = metadata.key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == EMBEDDED_SCHEMA)?.value.as_ref()
}

/// For each field of the schema, the column of the file.
fn match_names(natural: &Schema, schema: &Schema) -> Result<Vec<usize>, (String, ColumnError)> {
    let names = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let (found, wanted) = (names(natural), names(schema));
    if found == wanted {
        return Ok((0..found.len()).collect());
    }
    let mut by_name = std::collections::HashMap::with_capacity(found.len());
    for (root, name) in found.iter().enumerate() {
        if by_name.insert(name, root).is_some() {
            return Err((name.clone(), ColumnError::Ambiguous));
        }
    }
    let mut roots = Vec::with_capacity(wanted.len());
    for field in schema.fields() {
        let missing = || (field.name().clone(), ColumnError::Missing { wanted: field.data_type().clone() });
        roots.push(by_name.remove(field.name()).ok_or_else(missing)?);
    }
    match by_name.into_iter().min_by_key(|(_, root)| *root) {
        Some((name, _)) => Err((name.clone(), ColumnError::Unexpected)),
        None => Ok(roots),
    }
}

fn leaves_of_roots(parquet: &SchemaDescriptor) -> Vec<Range<usize>> {
    let mut leaves = vec![0..0; parquet.root_schema().get_fields().len()];
    for leaf in 0..parquet.num_columns() {
        let range = &mut leaves[parquet.get_column_root_idx(leaf)];
        *range = if range.end == 0 { leaf..leaf + 1 } else { range.start..leaf + 1 };
    }
    leaves
}

/// How to decode one root column: as the schema's type where the types differ only in representation.
fn levels(root: &TypePtr, natural: &DataType, wanted: &DataType) -> Result<FieldLevels, ParquetError> {
    let alone = Type::group_type_builder("schema").with_fields(vec![Arc::clone(root)]).build()?;
    let alone = SchemaDescriptor::new(Arc::new(alone));
    let decoded = |data_type: &DataType| {
        let hint = Fields::from(vec![Field::new(root.name(), storage(data_type), true)]);
        parquet_to_arrow_field_levels(&alone, ProjectionMask::all(), Some(&hint))
    };
    if same_values(natural, wanted)
        && let Ok(levels) = decoded(wanted)
    {
        return Ok(levels);
    }
    decoded(natural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_matched_by_name() {
        let wanted = schema(&["ra", "dec", "id"]);
        assert_eq!(match_names(&schema(&["id", "ra", "dec"]), &wanted).unwrap(), [1, 2, 0]);
        let (name, error) = match_names(&schema(&["id", "ra"]), &wanted).unwrap_err();
        assert!(name == "dec" && matches!(error, ColumnError::Missing { .. }));
        let (name, error) = match_names(&schema(&["id", "ra", "flux", "dec"]), &wanted).unwrap_err();
        assert!(name == "flux" && matches!(error, ColumnError::Unexpected));
        let (name, error) = match_names(&schema(&["id", "ra", "ra", "dec"]), &wanted).unwrap_err();
        assert!(name == "ra" && matches!(error, ColumnError::Ambiguous));
    }

    #[test]
    fn a_name_that_occurs_twice_in_both_is_matched_by_place() {
        let twice = schema(&["flux", "flux"]);
        assert_eq!(match_names(&twice, &twice).unwrap(), [0, 1]);
    }
}
