//! What can go wrong in a scan. Every message names the file, and the column where there is one.

use std::error::Error;
use std::io;

use arrow_schema::{ArrowError, DataType};
use parquet::errors::ParquetError;
use thiserror::Error;

use crate::int96::Int96Error;
use crate::one_line::OneLine;

/// Why a file could not be scanned.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The source could not be read.
    #[error("{file}: cannot be read: {}", OneLine(source))]
    Read {
        /// The file.
        file: String,
        /// What the source said.
        source: io::Error,
    },
    /// The footer is not that of a Parquet file that can be read.
    #[error("{file}: {}", OneLine(source))]
    Footer {
        /// The file.
        file: String,
        /// What is wrong.
        source: FooterError,
    },
    /// A column is not what the catalog's schema says, or not usable for what it is named for.
    #[error("{file}: column '{}': {}", OneLine(column), OneLine(source))]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What is wrong.
        source: ColumnError,
    },
    /// The pages of a column are damaged.
    #[error("{file}: column '{}', row group {row_group}: damaged page: {}", OneLine(column), OneLine(source))]
    Page {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The row group, from 0.
        row_group: usize,
        /// What is wrong.
        source: PageError,
    },
    /// The values of a column could not be decoded.
    #[error("{file}: column '{}': cannot be decoded: {}", OneLine(column), OneLine(source))]
    Decode {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What the decoder said.
        source: ParquetError,
    },
    /// There is no memory for what a column holds.
    #[error("{file}: column '{}': there is no memory for {bytes} bytes of it", OneLine(column))]
    Room {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The number of bytes needed.
        bytes: usize,
    },
    /// The row filter refused rows, or gave an invalid answer.
    #[error("{file}: {source}")]
    Filter {
        /// The file.
        file: String,
        /// The filter's own error; `downcast_ref` returns it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A decoder panicked on the bytes of the file. The scan ends, the process goes on.
    #[error("{file}: damaged: the Parquet decoder stopped with: {}", OneLine(message))]
    Panic {
        /// The file.
        file: String,
        /// The panic's message.
        message: String,
    },
}

/// What is wrong with a footer.
#[derive(Debug, Error)]
pub enum FooterError {
    /// No `PAR1` at the end.
    #[error("is not a Parquet file: it does not end in PAR1 ({file_bytes} bytes)")]
    NotParquet {
        /// The size of the file.
        file_bytes: u64,
    },
    /// The footer is encrypted.
    #[error("is encrypted; encrypted Parquet is not supported")]
    Encrypted,
    /// A column is encrypted, though the footer is not.
    #[error("column '{column}' is encrypted; encrypted Parquet is not supported")]
    EncryptedColumn {
        /// The column.
        column: String,
    },
    /// The footer claims more bytes than there are, or than any real footer has.
    #[error("damaged footer: it claims {claimed_bytes} bytes, allowed are up to {allowed_bytes}")]
    Size {
        /// The bytes it claims.
        claimed_bytes: u64,
        /// The bytes it may have.
        allowed_bytes: u64,
    },
    /// The Thrift encoding is broken.
    #[error("damaged footer: {0}")]
    Malformed(#[from] CompactError),
    /// The schema is nested too deeply, or its elements do not form a tree.
    #[error("damaged footer: its schema is not a tree of at most {allowed} levels")]
    SchemaShape {
        /// The levels allowed.
        allowed: usize,
    },
    /// More row groups than the Parquet library numbers.
    #[error("has {found} row groups; at most {allowed} are supported")]
    RowGroups {
        /// The row groups it has.
        found: usize,
        /// How many it may have.
        allowed: usize,
    },
    /// A schema that does not say whether a column may be null, but something of another type.
    #[error(
        "damaged footer: it does not say whether column '{column}' may be null; fastparquet writes such files with \
         has_nulls='infer', and readers misread the text in them: write it again with has_nulls=True"
    )]
    Repetition {
        /// The column.
        column: String,
    },
    /// The Parquet library refuses it.
    #[error("damaged footer: {0}")]
    Undecodable(#[from] ParquetError),
    /// Rows do not add up.
    #[error("damaged footer: its row groups hold {in_row_groups} rows, it claims {claimed}")]
    Rows {
        /// The sum over the row groups, -1 when one is negative.
        in_row_groups: i64,
        /// The count of the footer.
        claimed: i64,
    },
    /// The footer describes a column chunk that is impossible.
    #[error("damaged footer: row group {row_group}, column '{column}': {problem}")]
    Chunk {
        /// The row group, from 0.
        row_group: usize,
        /// The column.
        column: String,
        /// What is impossible about it.
        problem: ChunkProblem,
    },
}

/// What is impossible about a column chunk.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChunkProblem {
    /// Its bytes are not inside the file.
    #[error("its bytes lie outside the file")]
    Outside,
    /// Its data is in another file.
    #[error("its data is in another file")]
    OtherFile,
    /// It has another number of values than the row group has rows.
    #[error("it does not hold one value per row")]
    Values,
    /// A size or count is negative.
    #[error("a size or count is negative")]
    Negative,
}

/// Why a column cannot be used.
#[derive(Debug, Error)]
pub enum ColumnError {
    /// The column is in the schema, but not in the file.
    #[error("is missing; the catalog's schema has it as {wanted}")]
    Missing {
        /// Its type in the catalog's schema.
        wanted: DataType,
    },
    /// The column is in the file, but not in the schema.
    #[error("is not in the catalog's schema")]
    Unexpected,
    /// The file has several columns of that name.
    #[error("occurs more than once")]
    Ambiguous,
    /// A type that does not convert to the schema's without loss.
    #[error("has type {found}, which does not fit the schema's {wanted} without loss")]
    Drift {
        /// The type in the file.
        found: DataType,
        /// The type in the catalog's schema.
        wanted: DataType,
    },
    /// A cast that loses nothing for most values of the type failed for these.
    #[error("a value of type {found} does not fit the schema's {wanted}: {source}")]
    Cast {
        /// The type in the file.
        found: DataType,
        /// The type in the catalog's schema.
        wanted: DataType,
        /// What the cast said.
        source: ArrowError,
    },
    /// A timestamp that the schema's unit does not hold.
    #[error(transparent)]
    Int96(#[from] Int96Error),
    /// The column given as the spatial index has a type that is not an integer.
    #[error("has type {found}; a spatial index is a column of integers")]
    IndexType {
        /// The type in the file.
        found: DataType,
    },
    /// The column given as a coordinate has a type that is not numeric.
    #[error("has type {found}; a coordinate in degrees is a column of floats, decimals or integers")]
    CoordinateType {
        /// The type in the file.
        found: DataType,
    },
    /// A coordinate that is not exact as a float64.
    #[error("the value {value} of row {row} (from 0) is not exact as a float64")]
    CoordinateInexact {
        /// The value.
        value: String,
        /// Its row in the file.
        row: u64,
    },
    /// Nulls in a column that does not allow them.
    #[error("has nulls, which the catalog's schema does not allow")]
    Nulls,
    /// The columns of the file have different numbers of rows.
    #[error("gave {found} rows where {wanted} were asked for")]
    Rows {
        /// The number of rows it returned.
        found: u64,
        /// The number of rows requested.
        wanted: u64,
    },
}

impl ColumnError {
    /// What a failed cast of values says.
    pub(super) fn of_cast(found: &DataType, wanted: &DataType, source: ArrowError) -> Self {
        if let ArrowError::ExternalError(error) = &source
            && let Some(error) = error.downcast_ref::<Int96Error>()
        {
            return Self::Int96(error.clone());
        }
        Self::Cast { found: found.clone(), wanted: wanted.clone(), source }
    }
}

/// What is wrong with a page.
#[derive(Debug, Error)]
pub enum PageError {
    /// The header's Thrift encoding is broken.
    #[error("header at byte {offset}: {source}")]
    Header {
        /// Where the page starts in the file.
        offset: u64,
        /// What is wrong.
        source: CompactError,
    },
    /// An impossible size or count.
    #[error("page at byte {offset}: {what} is {found}, allowed are up to {allowed}")]
    Bound {
        /// Where the page starts in the file.
        offset: u64,
        /// The name of the number.
        what: &'static str,
        /// The number.
        found: i64,
        /// The largest allowed value.
        allowed: u64,
    },
    /// The rows of the pages do not add up to those of the row group.
    #[error("the pages hold {found} rows, the row group has {wanted}")]
    Rows {
        /// The rows of the pages.
        found: u64,
        /// The rows of the row group.
        wanted: u64,
    },
    /// The page index contradicts the file.
    #[error("the page index contradicts the file: {0}")]
    Index(IndexProblem),
    /// The checksum does not match.
    #[error("page at byte {offset}: the checksum does not fit its bytes")]
    Checksum {
        /// Where the page starts in the file.
        offset: u64,
    },
    /// The bytes do not decompress to what the header says.
    #[error("page at byte {offset}: {codec} does not give the {wanted_bytes} bytes the header claims{reason}")]
    Decompress {
        /// Where the page starts in the file.
        offset: u64,
        /// The compression.
        codec: &'static str,
        /// The bytes the header claims.
        wanted_bytes: usize,
        /// The message of the codec, if any.
        reason: String,
    },
    /// A compression that is not supported.
    #[error("compression {0} is not supported")]
    Codec(String),
    /// An encoding number that does not exist.
    #[error("page at byte {offset}: there is no encoding {number}")]
    Encoding {
        /// Where the page starts in the file.
        offset: u64,
        /// The number.
        number: i64,
    },
    /// Values that refer to a dictionary that the column chunk does not have.
    #[error("page at byte {offset}: its values are those of a dictionary, and there is none before it")]
    NoDictionary {
        /// Where the page starts in the file.
        offset: u64,
    },
    /// Levels that end too soon or do not add up to the rows of the page.
    #[error("page at byte {offset}: its repetition or definition levels are damaged")]
    Levels {
        /// Where the page starts in the file.
        offset: u64,
    },
    /// An encoding that claims more values than the page has.
    #[error("page at byte {offset}: its values are damaged")]
    Values {
        /// Where the page starts in the file.
        offset: u64,
    },
}

/// How a page index contradicts its file.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum IndexProblem {
    /// A page lies outside its column chunk.
    #[error("a page lies outside its column chunk")]
    Outside,
    /// The first rows of the pages do not ascend from 0.
    #[error("the first rows of the pages do not ascend from 0")]
    Order,
    /// A page has another size than the index says.
    #[error("a page has another size than the index says")]
    Size,
    /// A page holds another number of rows than the index says.
    #[error("a page holds another number of rows than the index says")]
    Rows,
    /// The Thrift encoding of the index is broken.
    #[error("its encoding is broken")]
    Malformed,
}

/// What is wrong with bytes of Thrift's compact protocol.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CompactError {
    /// The bytes end too soon.
    #[error("the encoding ends too soon")]
    Truncated,
    /// A variable-length integer beyond 64 bits.
    #[error("an integer is longer than 64 bits")]
    Varint,
    /// A type number that does not exist.
    #[error("there is no type {0}")]
    Type(u8),
    /// A known field with another type than its own.
    #[error("field {id} has type {kind}, which Parquet does not give it")]
    FieldType {
        /// The number of the field.
        id: i16,
        /// The number of the type.
        kind: u8,
    },
    /// A list or map of booleans where there is none.
    #[error("an unknown field is a list or map of booleans")]
    Bools,
    /// A list with more elements than there are bytes.
    #[error("a list claims {claimed} elements in {bytes} bytes")]
    List {
        /// The elements it claims.
        claimed: u64,
        /// The bytes left.
        bytes: usize,
    },
    /// Nested too deeply.
    #[error("nested too deeply")]
    Depth,
    /// A field number beyond 16 bits.
    #[error("a field number is beyond 16 bits")]
    Field,
    /// A field that must be there is not.
    #[error("the required field {0} is missing")]
    Missing(&'static str),
}

#[cfg(test)]
mod tests {
    use arrow_schema::Field;

    use super::*;

    /// A type with a line break in its text.
    fn broken() -> DataType {
        DataType::Struct(vec![Field::new("a\nb", DataType::Int8, true)].into())
    }

    #[test]
    fn messages_are_one_line_whatever_names_and_types_hold() {
        let column = || "c\nd".to_string();
        let drift = ColumnError::Drift { found: broken(), wanted: broken() };
        let repetition = FooterError::Repetition { column: column() };
        for error in [
            ScanError::Column { file: "f".into(), column: column(), source: drift },
            ScanError::Column { file: "f".into(), column: column(), source: ColumnError::Missing { wanted: broken() } },
            ScanError::Footer { file: "f".into(), source: repetition },
            ScanError::Read { file: "f".into(), source: std::io::Error::other("gone\naway") },
        ] {
            let message = error.to_string();
            assert!(message.starts_with("f: ") && message.contains(r"\n") && !message.contains('\n'), "{message}");
        }
    }
}
