//! Where an export goes: standard output, a file, or an object store.

use std::{
    io::{BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use dataset::files::Files;
use serde::Serialize;
use tempfile::NamedTempFile;
use url::Url;

use crate::cli::{
    exit::{CliError, Exit},
    output,
};

/// A destination. What is not standard output appears when it is finished.
pub(super) struct Sink {
    writer: Writer,
    destination: Destination,
}

enum Writer {
    Stdout,
    File(BufWriter<NamedTempFile>),
}

enum Destination {
    Stdout,
    File(PathBuf),
    Url { folder: Url, name: String },
}

impl Sink {
    /// Opens a destination: a path, an `s3://` URL, or standard output.
    pub(super) fn open(out: Option<&str>) -> Result<Self, CliError> {
        let usage = |what: String| CliError::new(Exit::Usage, what);
        let Some(out) = out.filter(|out| *out != "-") else {
            return Ok(Self { writer: Writer::Stdout, destination: Destination::Stdout });
        };
        let (destination, folder) = if out.contains("://") {
            let url = Url::parse(out).map_err(|error| usage(format!("'{out}' is no URL: {error}")))?;
            let name = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
            if name.is_empty() {
                return Err(usage(format!("'{out}' names no file")));
            }
            let folder = url.join("./").map_err(|error| usage(error.to_string()))?;
            Files::open(&folder).map_err(|error| usage(error.to_string()))?;
            (Destination::Url { name: name.to_owned(), folder }, std::env::temp_dir())
        } else {
            let path = PathBuf::from(out);
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_path_buf();
            (Destination::File(path), folder)
        };
        let file = NamedTempFile::new_in(&folder).map_err(|error| {
            CliError::failed(format!("{} cannot be written to: {error}", folder.display()))
        })?;
        Ok(Self { writer: Writer::File(BufWriter::new(file)), destination })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        match &mut self.writer {
            Writer::Stdout => output::print_bytes(bytes),
            Writer::File(file) => file.write_all(bytes).map_err(|error| failed(&error)),
        }
    }

    /// Writes one JSON value and a line's end.
    pub(super) fn write_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let mut line = serde_json::to_vec(value).expect("a view is plain data");
        line.push(b'\n');
        self.write(&line)
    }

    /// Writes over the beginning; only files have one.
    pub(super) fn write_start(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let Writer::File(file) = &mut self.writer else {
            unreachable!("standard output has no beginning to go back to")
        };
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes)).map_err(|error| failed(&error))
    }

    /// Makes what was written appear.
    pub(super) async fn finish(self) -> Result<(), CliError> {
        let Writer::File(file) = self.writer else { return Ok(()) };
        let file = file.into_inner().map_err(|error| failed(error.error()))?;
        match self.destination {
            Destination::Stdout => Ok(()),
            Destination::File(path) => {
                // A temporary file is its maker's alone; an export is read by others.
                let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
                file.as_file().set_permissions(readable).map_err(|error| failed(&error))?;
                file.persist(&path).map(drop).map_err(|error| failed(&error.error))
            }
            Destination::Url { folder, name } => {
                let files = Files::open(&folder).map_err(|error| CliError::failed(error.to_string()))?;
                let written = files.write_file(&name, file.path()).await;
                written.map_err(|error| CliError::failed(format!("{folder}: {error}")))
            }
        }
    }
}

fn failed(error: &std::io::Error) -> CliError {
    CliError::failed(format!("the export cannot be written: {error}"))
}
