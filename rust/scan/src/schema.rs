//! The columns of a file in the order and with the types of the catalog's schema.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, FieldLevels};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, TypePtr};

use crate::conform::{conform, fits, same_values, storage};
use crate::error::{ColumnError, ScanError};
use crate::root_types::{RootType, decoding, root_types};

/// A column of a file and the field of the catalog's schema that it becomes.
#[derive(Debug)]
pub(super) struct FileColumn {
    field: FieldRef,
    leaves: Range<usize>,
    levels: Arc<FieldLevels>,
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
    pub(super) fn levels(&self) -> &Arc<FieldLevels> {
        &self.levels
    }

    /// Its type in the file, without a dictionary.
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
        let conformed = conform(array, self.field.data_type())
            .map_err(|source| failed(ColumnError::of_cast(&self.natural, self.field.data_type(), source)))?;
        if !self.field.is_nullable() && conformed.logical_null_count() > 0 {
            return Err(failed(ColumnError::Nulls));
        }
        Ok(conformed)
    }
}

/// The columns of a file that the catalog's schema has, in its order.
#[derive(Debug)]
pub(super) struct Projection {
    columns: Vec<FileColumn>,
    root: TypePtr,
    embedded: Option<String>,
    hints_ignored: u64,
}

impl Projection {
    /// Matches the columns of a file to a schema by name. `other_columns` says whether the file may have more.
    pub(super) fn new(
        file: &str,
        metadata: &ParquetMetaData,
        schema: &SchemaRef,
        other_columns: bool,
    ) -> Result<Self, ScanError> {
        let metadata = metadata.file_metadata();
        let parquet = metadata.schema_descr();
        let refused =
            |column: &str, source| ScanError::Column { file: file.to_string(), column: column.to_string(), source };
        let undecodable =
            |column: &str, source| ScanError::Decode { file: file.to_string(), column: column.to_string(), source };
        let (types, hints_ignored) =
            root_types(parquet, embedded(metadata)).map_err(|(column, source)| undecodable(&column, source))?;
        let leaves = leaves_of_roots(parquet);
        let roots = match_names(&types, schema, other_columns).map_err(|(column, source)| refused(&column, source))?;
        let columns = schema
            .fields()
            .iter()
            .zip(roots)
            .map(|(field, root)| {
                let wanted = field.data_type();
                let found = found_type(&types[root], wanted);
                if !fits(found, wanted) {
                    let (found, wanted) = (found.clone(), wanted.clone());
                    return Err(refused(field.name(), ColumnError::Drift { found, wanted }));
                }
                let root_type = &parquet.root_schema().get_fields()[root];
                let levels = levels(root_type, found, wanted).map_err(|error| undecodable(field.name(), error))?;
                Ok(FileColumn {
                    field: Arc::clone(field),
                    leaves: leaves[root].clone(),
                    levels: Arc::new(levels),
                    // Dictionaries are never decoded as such.
                    natural: if let DataType::Dictionary(_, values) = found { values.as_ref() } else { found }.clone(),
                })
            })
            .collect::<Result<_, ScanError>>()?;
        let embedded = embedded(metadata).cloned();
        Ok(Self { columns, root: parquet.root_schema_ptr(), embedded, hints_ignored })
    }

    /// Whether a file has the same schema as this one, as most files of a catalog do.
    pub(super) fn is_for(&self, metadata: &ParquetMetaData) -> bool {
        let metadata = metadata.file_metadata();
        *self.root == *metadata.schema_descr().root_schema() && self.embedded.as_ref() == embedded(metadata)
    }

    pub(super) fn columns(&self) -> &[FileColumn] {
        &self.columns
    }

    /// How many parts of the embedded Arrow schema contradict the columns, and are ignored.
    pub(super) fn hints_ignored(&self) -> u64 {
        self.hints_ignored
    }
}

fn embedded(metadata: &FileMetaData) -> Option<&String> {
    let pairs = metadata.key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == ARROW_SCHEMA_META_KEY)?.value.as_ref()
}

/// The type as which a column is read: that of the embedded Arrow schema, or else of the Parquet schema alone, because
/// readers use the embedded one differently.
fn found_type<'a>(root: &'a RootType, wanted: &'a DataType) -> &'a DataType {
    if root.is_int96 && matches!(wanted, DataType::Timestamp(..)) {
        // It has no unit of its own, and is in UTC; what the unit does not hold is refused by its value.
        return wanted;
    }
    let fitting = [&root.natural, &root.stored].into_iter().find(|found| fits(found, wanted));
    fitting.unwrap_or(&root.natural)
}

/// For each field of the schema, the column of the file.
fn match_names(roots: &[RootType], schema: &Schema, other_columns: bool) -> Result<Vec<usize>, (String, ColumnError)> {
    let found = roots.iter().map(|root| &root.name);
    if found.clone().eq(schema.fields().iter().map(|field| field.name())) {
        return Ok((0..roots.len()).collect());
    }
    let mut by_name = std::collections::HashMap::with_capacity(roots.len());
    for (root, name) in found.enumerate() {
        if by_name.insert(name, root).is_some() {
            return Err((name.clone(), ColumnError::Ambiguous));
        }
    }
    let mut roots = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let missing = || (field.name().clone(), ColumnError::Missing { wanted: field.data_type().clone() });
        roots.push(by_name.remove(field.name()).ok_or_else(missing)?);
    }
    match by_name.into_iter().min_by_key(|(_, root)| *root) {
        Some((name, _)) if !other_columns => Err((name.clone(), ColumnError::Unexpected)),
        _ => Ok(roots),
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
fn levels(root: &TypePtr, found: &DataType, wanted: &DataType) -> Result<FieldLevels, ParquetError> {
    if same_values(found, wanted)
        && let Ok(levels) = decoding(root, &storage(wanted))
    {
        return Ok(levels);
    }
    decoding(root, &storage(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Field;

    fn roots(names: &[&str]) -> Vec<RootType> {
        let root = |name: &&str| RootType {
            name: (*name).to_string(),
            stored: DataType::Int64,
            natural: DataType::Int64,
            is_int96: false,
        };
        names.iter().map(root).collect()
    }

    fn schema(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_matched_by_name() {
        let wanted = schema(&["ra", "dec", "id"]);
        assert_eq!(match_names(&roots(&["id", "ra", "dec"]), &wanted, false).unwrap(), [1, 2, 0]);
        let (name, error) = match_names(&roots(&["id", "ra"]), &wanted, true).unwrap_err();
        assert!(name == "dec" && matches!(error, ColumnError::Missing { .. }));
        let more = roots(&["id", "ra", "flux", "dec"]);
        let (name, error) = match_names(&more, &wanted, false).unwrap_err();
        assert!(name == "flux" && matches!(error, ColumnError::Unexpected));
        assert_eq!(match_names(&more, &wanted, true).unwrap(), [1, 3, 0]);
        let (name, error) = match_names(&roots(&["id", "ra", "ra", "dec"]), &wanted, false).unwrap_err();
        assert!(name == "ra" && matches!(error, ColumnError::Ambiguous));
    }

    #[test]
    fn a_name_that_occurs_twice_in_both_is_matched_by_place() {
        let twice = ["flux", "flux"];
        assert_eq!(match_names(&roots(&twice), &schema(&twice), false).unwrap(), [0, 1]);
    }
}
