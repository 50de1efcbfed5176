//! Logging: readable lines on a terminal, JSON otherwise, always on standard error.
//!
//! Owns the subscriber and the format of its lines. Standard output is reserved for data.
//! Invariant: an event is one line without control or bidirectional characters, whatever text from users,
//! files and servers its message and fields contain.

use std::{
    fmt::{self, Debug, Write as _},
    io::{IsTerminal, stderr},
};

use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{self, Format, Json, JsonFields, Writer},
    },
    registry::LookupSpan,
};

use crate::{
    config::{ConfigError, Loaded},
    terminal_escape::{EscapingWriter, escaped_json},
};

#[derive(Clone, Copy)]
enum LogFormat {
    /// Readable lines, with colours unless NO_COLOR is set.
    Coloured,
    /// Readable lines without colours.
    Plain,
    Json,
}

/// Installs the process-wide subscriber, and warns about `SUBWATCH_…` variables that name no setting.
///
/// # Errors
/// If the setting `log` is not a valid filter.
pub fn install(loaded: &Loaded) -> Result<(), ConfigError> {
    let settings = &loaded.settings.logging;
    let filter = EnvFilter::builder().parse(&settings.log).map_err(|error| {
        ConfigError::invalid(
            "log",
            &settings.log,
            &format!("a filter such as info or common=debug ({error})"),
        )
    })?;
    let format = match (settings.log_format.as_str(), stderr().is_terminal()) {
        ("json", _) | ("auto", false) => LogFormat::Json,
        (_, true) => LogFormat::Coloured,
        (_, false) => LogFormat::Plain,
    };
    // Fails if tests run several programs in one process: the first subscriber stays.
    let _ = tracing::subscriber::set_global_default(subscriber(format, filter, stderr));
    for variable in &loaded.unknown {
        tracing::warn!("{variable} is set but does not name a setting; check the spelling");
    }
    Ok(())
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // A failed write would be reported on standard error, which panics if that has no reader either.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let human = || format::debug_fn(write_field).delimited(" ");
    match format {
        LogFormat::Coloured => Box::new(builder.with_target(false).fmt_fields(human()).finish()),
        LogFormat::Plain => {
            Box::new(builder.with_target(false).with_ansi(false).fmt_fields(human()).finish())
        }
        LogFormat::Json => {
            let line = JsonLine(format::json().flatten_event(true));
            Box::new(builder.fmt_fields(JsonFields::new()).event_format(line).finish())
        }
    }
}

/// Writes a field with its value escaped: tracing-subscriber's default leaves `%` values unescaped.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let coloured = writer.has_ansi_escapes();
    match field.name() {
        "message" => {}
        name if coloured => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        name => write!(writer, "{name}=")?,
    }
    write!(EscapingWriter(writer), "{value:?}")
}

/// tracing-subscriber's JSON format, which also escapes the control and bidi characters that JSON allows.
struct JsonLine(Format<Json>);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&escaped_json(&line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::terminal_escape::is_control_or_bidi;

    /// Returns the text that the events of `log` produce in a format.
    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let buffer = written.clone();
        let writer = move || Buffer(buffer.clone());
        tracing::subscriber::with_default(subscriber(format, EnvFilter::new("info"), writer), log);
        let written = written.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A file name that an attacker might choose.
    const HOSTILE: &str = "a\x1b[2J\x1b]0;owned\x07\n2026-01-01 ERROR forged\r\u{9b}31m\u{7f}\u{202e}z";

    fn log_hostile_text() {
        let error = std::io::Error::other(HOSTILE);
        let span = tracing::info_span!("span", item = %HOSTILE);
        let _entered = span.enter();
        let error: &dyn std::error::Error = &error;
        tracing::info!(item = %HOSTILE, quoted = ?HOSTILE, plain = HOSTILE, error, "{HOSTILE}");
    }

    #[test]
    fn hostile_text_cannot_control_the_terminal_or_forge_a_line() {
        for format in [LogFormat::Plain, LogFormat::Json, LogFormat::Coloured] {
            let text = logged(format, log_hostile_text);
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(text.ends_with('\n') && !text.contains("\x1b[2J") && !text.contains("\x1b]"), "{text:?}");
            // The formatter itself writes colours.
            let is_bad = |c: char| {
                is_control_or_bidi(c) && c != '\n' && !(matches!(format, LogFormat::Coloured) && c == '\x1b')
            };
            assert!(!text.contains(is_bad), "{text:?}");
            assert!(text.contains("forged"), "{text:?}");
        }
    }

    #[test]
    fn lines_keep_their_format() {
        let log = || tracing::warn!(attempt = 3, item = %"a b.jpg", "cannot be read");
        let plain = logged(LogFormat::Plain, log);
        assert!(plain.trim_end().ends_with(" WARN cannot be read attempt=3 item=a b.jpg"), "{plain}");
        let json: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, log)).unwrap();
        assert_eq!(json["message"], "cannot be read");
        assert_eq!((&json["attempt"], &json["item"]), (&3.into(), &"a b.jpg".into()));
    }

    #[test]
    fn json_values_round_trip() {
        let line = logged(LogFormat::Json, || tracing::info!(item = %HOSTILE, "read"));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["item"], HOSTILE);
    }
}
