//! The destination of an export: standard output, a file, or an object store.

use std::{
    io::{BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use common::terminal_escape::escaped_json;
use dataset::files::Files;
use serde::Serialize;
use tempfile::NamedTempFile;
use url::Url;

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, plain},
};

/// A destination. Files and objects appear when [`Sink::finish`] succeeds.
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
        let usage = |message: String| CliError::new(Exit::Usage, message);
        let Some(out) = out.filter(|out| *out != "-") else {
            return Ok(Self { writer: Writer::Stdout, destination: Destination::Stdout });
        };
        let (destination, folder) = if out.contains("://") {
            let url =
                Url::parse(out).map_err(|error| usage(format!("'{out}' is not a valid URL: {error}")))?;
            let name = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
            if name.is_empty() {
                return Err(usage(format!("'{out}' does not name a file")));
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
        let file = NamedTempFile::new_in(&folder)
            .map_err(|error| CliError::failed(format!("cannot write to {}: {error}", folder.display())))?;
        Ok(Self { writer: Writer::File(BufWriter::new(file)), destination })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        match &mut self.writer {
            Writer::Stdout => output::print_bytes(bytes),
            Writer::File(file) => file.write_all(bytes).map_err(|error| failed(&error)),
        }
    }

    /// Writes rows as CSV.
    pub(super) fn write_csv(&mut self, rows: &[impl Serialize], header: bool) -> Result<(), CliError> {
        match &mut self.writer {
            Writer::Stdout => output::print_csv(rows, header),
            Writer::File(_) => self.write(&output::csv(rows, header)),
        }
    }

    /// Writes one JSON value and a newline.
    pub(super) fn write_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(value).expect("a view is plain data");
        // Standard output may be a terminal; the escapes do not change the value.
        self.write(format!("{}\n", escaped_json(&line)).as_bytes())
    }

    /// Overwrites the start of the file. Not possible for standard output.
    pub(super) fn write_start(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let Writer::File(file) = &mut self.writer else { unreachable!("standard output cannot be rewound") };
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes)).map_err(|error| failed(&error))
    }

    pub(super) async fn finish(self) -> Result<(), CliError> {
        let Writer::File(file) = self.writer else { return Ok(()) };
        let file = file.into_inner().map_err(|error| failed(error.error()))?;
        match self.destination {
            Destination::Stdout => Ok(()),
            Destination::File(path) => {
                // Temporary files are readable only by their owner; exports are meant for others, too.
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

/// Says how many entries were written, unless they went to standard output.
pub(super) fn note_written(count: usize, unit: &str, out: Option<&str>) {
    if let Some(out) = out.filter(|out| *out != "-") {
        output::note(&format!("wrote {count} {unit} to {}", plain(out)));
    }
}

fn failed(error: &std::io::Error) -> CliError {
    CliError::failed(format!("cannot write the export: {error}"))
}
