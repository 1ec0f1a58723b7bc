//! What can go wrong.

use std::io;

use arrow_schema::{ArrowError, DataType};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use skymargin_scan::CompactError;
use thiserror::Error;

/// Why a format cannot be written.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The schema has no columns, so files could not say how many rows they have.
    #[error("the schema has no columns")]
    NoColumns,
    /// The template is not a Parquet file.
    #[error("the template is not a Parquet file: {0}")]
    Template(#[from] ParquetError),
    /// The footer of the template cannot be read.
    #[error("the template has a damaged footer: {0}")]
    Footer(#[from] CompactError),
    /// The fields of the arrays nest or allow nulls differently from the template.
    #[error("column '{column}' of the template has other levels of lists and nulls than its field")]
    Levels {
        /// The Parquet column.
        column: String,
    },
    /// The fields have another number of Parquet columns than the template.
    #[error("the template has {template} columns, the fields have {fields}")]
    ColumnCount {
        /// The number in the template.
        template: usize,
        /// The number that the fields would have.
        fields: usize,
    },
    /// The options have another number of columns than the template.
    #[error("there are options for {options} columns, the template has {template}")]
    OptionCount {
        /// The number in the options.
        options: usize,
        /// The number in the template.
        template: usize,
    },
    /// Values of a type cannot be written to a Parquet column.
    #[error("column '{column}' has type {data_type}, which is not written as {physical}")]
    Type {
        /// The Parquet column.
        column: String,
        /// The type of the arrays.
        data_type: DataType,
        /// The type in the file.
        physical: Type,
    },
    /// A codec or an encoding does not accept its options.
    #[error("{0}")]
    Options(String),
}

/// Why a file was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The sink refused bytes.
    #[error("{0}")]
    Io(io::Error),
    /// There is no memory for the pages of a column.
    #[error("there is no memory for {bytes} bytes of a column")]
    NoMemory {
        /// The number of bytes needed.
        bytes: usize,
    },
    /// A value cannot be written in the type that the file has.
    #[error("column '{column}': {source}")]
    Value {
        /// The column.
        column: String,
        /// What the cast said.
        source: ArrowError,
    },
    /// The arrays are not those of the schema.
    #[error("the arrays of a row group do not fit the schema: {0}")]
    Arrays(String),
    /// arrow-rs could not encode the arrays.
    #[error("the rows cannot be encoded as Parquet: {0}")]
    Encode(ParquetError),
    /// A codec could not compress a page.
    #[error("a page cannot be compressed: {0}")]
    Compress(String),
    /// The encoder panicked. The file is lost, the process goes on.
    #[error("the rows cannot be encoded as Parquet: the encoder stopped with: {0}")]
    Panic(String),
}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => Self::Io(*source),
                Err(source) => Self::Encode(ParquetError::External(source)),
            },
            other => Self::Encode(other),
        }
    }
}

impl From<CompactError> for WriteError {
    fn from(error: CompactError) -> Self {
        Self::Encode(ParquetError::General(error.to_string()))
    }
}
