//! Where files of a margin are written: a local folder, or whatever implements the traits.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A place for files.
pub trait Output: Send + Sync {
    /// Begins a file by its path relative to this place.
    ///
    /// # Errors
    /// When it cannot be created.
    fn create(&self, name: &str) -> io::Result<Box<dyn OutputFile>>;
}

/// A file that is being written. Dropped before it is finished, it leaves nothing that looks like a complete file.
pub trait OutputFile: Write + Send {
    /// Completes the file.
    ///
    /// # Errors
    /// When it cannot be completed.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A local folder. Files appear under their names when they are complete, and replace a file of that name: a task may
/// run twice.
#[derive(Debug)]
pub struct LocalFolder {
    folder: PathBuf,
}

impl LocalFolder {
    /// The folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

impl Output for LocalFolder {
    fn create(&self, name: &str) -> io::Result<Box<dyn OutputFile>> {
        Ok(Box::new(LocalFile::create(&self.folder.join(name))?))
    }
}

/// A local file under another name until it is complete.
#[derive(Debug)]
pub struct LocalFile {
    /// Until it is closed.
    file: Option<File>,
    aside: PathBuf,
    path: PathBuf,
    done: bool,
}

impl LocalFile {
    /// Begins a file, and creates its folder.
    ///
    /// # Errors
    /// When either cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut aside = path.as_os_str().to_owned();
        // A hasher of its own has random keys.
        aside.push(format!(".{:08x}.part", RandomState::new().build_hasher().finish() as u32));
        let aside = PathBuf::from(aside);
        let file = match File::create(&aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                File::create(&aside)?
            }
            created => created?,
        };
        Ok(Self { file: Some(file), aside, path: path.to_owned(), done: false })
    }
}

impl Write for LocalFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |file| file.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

/// Closes a file with its error: on a network file system, a full disk may show only then.
#[cfg(unix)]
fn close(file: File) -> io::Result<()> {
    Ok(nix::unistd::close(file)?)
}

#[cfg(not(unix))]
fn close(file: File) -> io::Result<()> {
    drop(file);
    Ok(())
}

impl OutputFile for LocalFile {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            close(file)?;
        }
        fs::rename(&self.aside, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if !self.done {
            // The error that ended the file is reported, not this one.
            let _ = fs::remove_file(&self.aside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect()
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let output = LocalFolder::new(folder.path());
        let mut file = output.create("a/b.parquet").unwrap();
        file.write_all(b"rows").unwrap();
        assert!(names(&folder.path().join("a")).iter().all(|name| name.ends_with(".part")));
        file.finish().unwrap();
        assert_eq!(names(&folder.path().join("a")), ["b.parquet"]);
        assert_eq!(fs::read(folder.path().join("a/b.parquet")).unwrap(), b"rows");
    }

    #[test]
    fn a_file_that_is_given_up_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.parquet"), "old").unwrap();
        let mut file = LocalFolder::new(folder.path()).create("b.parquet").unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(names(folder.path()), ["b.parquet"]);
        assert_eq!(fs::read(folder.path().join("b.parquet")).unwrap(), b"old");
    }
}
