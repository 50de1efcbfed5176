//! Logging: human lines on a terminal, JSON otherwise, always on standard error.
//!
//! Owns the subscriber and the form of its lines; does not own what is logged. Standard output is left to
//! data. Invariant: an event is one line, and nothing in it is_control_or_bidi a terminal, whatever text of users, files
//! and servers its message and its fields hold.

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

/// The form of log lines.
#[derive(Clone, Copy)]
enum Form {
    /// For people, with colours unless NO_COLOR is set.
    Coloured,
    /// For people, without colours.
    Plain,
    /// For programs.
    Json,
}

/// Installs the process-wide subscriber, and warns of variables that are no setting.
///
/// # Errors
/// When the filter does not parse.
pub fn install(loaded: &Loaded) -> Result<(), ConfigError> {
    let settings = &loaded.settings.logging;
    let filter = EnvFilter::builder().parse(&settings.log).map_err(|error| {
        ConfigError::invalid(
            "log",
            &settings.log,
            &format!("a filter such as info or common=debug ({error})"),
        )
    })?;
    let form = match (settings.log_format.as_str(), stderr().is_terminal()) {
        ("json", _) | ("auto", false) => Form::Json,
        (_, true) => Form::Coloured,
        (_, false) => Form::Plain,
    };
    // A second installation (several programs in one test process) keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(subscriber(form, filter, stderr));
    for variable in &loaded.unknown {
        tracing::warn!("{variable} is set, but is no setting: is it misspelt?");
    }
    Ok(())
}

fn subscriber<W>(form: Form, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let human = || format::debug_fn(write_field).delimited(" ");
    match form {
        Form::Coloured => Box::new(builder.with_target(false).fmt_fields(human()).finish()),
        Form::Plain => Box::new(builder.with_target(false).with_ansi(false).fmt_fields(human()).finish()),
        Form::Json => {
            let line = JsonLine(format::json().flatten_event(true));
            Box::new(builder.fmt_fields(JsonFields::new()).event_format(line).finish())
        }
    }
}

/// Writes a field for people. The library's own way lets text pass that is recorded with `%`.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let coloured = writer.has_ansi_escapes();
    match field.name() {
        "message" => {}
        name if coloured => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        name => write!(writer, "{name}=")?,
    }
    write!(EscapingWriter(writer), "{value:?}")
}

/// The library's JSON, with what JSON need not escape escaped as well.
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

    /// What the events of `log` look like in a form.
    fn logged(form: Form, log: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let buffer = written.clone();
        let writer = move || Buffer(buffer.clone());
        tracing::subscriber::with_default(subscriber(form, EnvFilter::new("info"), writer), log);
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

    /// Text as an attacker would name a file.
    const HOSTILE: &str = "a\x1b[2J\x1b]0;owned\x07\n2026-01-01 ERROR forged\r\u{9b}31m\u{7f}\u{202e}z";

    fn log_hostile_text() {
        let error = std::io::Error::other(HOSTILE);
        let span = tracing::info_span!("span", item = %HOSTILE);
        let _entered = span.enter();
        tracing::info!(item = %HOSTILE, quoted = ?HOSTILE, plain = HOSTILE, error = &error as &dyn std::error::Error, "{HOSTILE}");
    }

    #[test]
    fn nothing_that_is_logged_steers_a_terminal_or_forges_a_line() {
        for form in [Form::Plain, Form::Json, Form::Coloured] {
            let text = logged(form, log_hostile_text);
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(text.ends_with('\n') && !text.contains("\x1b[2J") && !text.contains("\x1b]"), "{text:?}");
            // Colours are the formatter's own.
            let is_bad = |c: char| {
                is_control_or_bidi(c) && c != '\n' && !(matches!(form, Form::Coloured) && c == '\x1b')
            };
            assert!(!text.contains(is_bad), "{text:?}");
            assert!(text.contains("forged"), "{text:?}");
        }
    }

    #[test]
    fn lines_keep_their_form() {
        let log = || tracing::warn!(attempt = 3, item = %"a b.jpg", "cannot be read");
        let plain = logged(Form::Plain, log);
        assert!(plain.trim_end().ends_with(" WARN cannot be read attempt=3 item=a b.jpg"), "{plain}");
        let json: serde_json::Value = serde_json::from_str(&logged(Form::Json, log)).unwrap();
        assert_eq!(json["message"], "cannot be read");
        assert_eq!((&json["attempt"], &json["item"]), (&3.into(), &"a b.jpg".into()));
    }

    #[test]
    fn json_means_what_was_logged() {
        let line = logged(Form::Json, || tracing::info!(item = %HOSTILE, "read"));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["item"], HOSTILE);
    }
}
