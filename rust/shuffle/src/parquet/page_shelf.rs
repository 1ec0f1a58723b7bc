//! Where arrow-rs leaves the pages of a row group, for the writer to compress.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

/// The headers and bodies of the pages of a column, in turn. The dictionary comes after pages that use it.
type Pages = Vec<Bytes>;

/// The pages of each column of a row group.
#[derive(Clone)]
pub(super) struct PageShelf(Arc<Mutex<Vec<Pages>>>);

impl PageShelf {
    pub(super) fn new(columns: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![Pages::new(); columns])))
    }

    /// The pages of a column, which are not kept.
    pub(super) fn take(&self, column: usize) -> Pages {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(column).map(std::mem::take).unwrap_or_default()
    }
}

impl fmt::Debug for PageShelf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PageShelf").finish_non_exhaustive()
    }
}

impl PageStoreFactory for PageShelf {
    fn create(&self, args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(ColumnPages { shelf: self.clone(), column: args.column_index() }))
    }
}

struct ColumnPages {
    shelf: PageShelf,
    column: usize,
}

impl PageStore for ColumnPages {
    fn put(&mut self, part: Bytes) -> Result<PageKey> {
        let mut columns = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = columns
            .get_mut(self.column)
            .ok_or_else(|| ParquetError::General(format!("there is no column {}", self.column)))?;
        pages.push(part);
        Ok(PageKey::new(pages.len() as u64 - 1))
    }

    fn take(&mut self, _key: PageKey) -> Result<Bytes> {
        Err(ParquetError::General("the pages of a column are taken from the shelf".to_string()))
    }
}
