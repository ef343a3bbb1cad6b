//! Log lines, as text for people or as one JSON object per line for machines.
//!
//! A line carries the fields of all spans it stands in, so `trace_id` leads from the watch event
//! that was seen to the last effect that it caused.

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A level, or directives as `rynxs_operator=debug,warn`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// Starts logging to standard error; fails if the level cannot be read.
pub fn init(settings: &LogSettings) -> Result<(), String> {
    let filter = filter(&settings.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = match settings.format {
        LogFormat::Json => builder.fmt_fields(JsonFields::new()).event_format(JsonLines).try_init(),
        LogFormat::Text => builder.with_ansi(colours()).with_target(false).try_init(),
    };
    done.map_err(|error| error.to_string())
}

/// Colours are for terminals, and for people who have not said no (<https://no-color.org>).
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// A level is for rynxs' own lines; libraries speak from `warn` on, and kube's client not at all:
/// its failures are logged where they are handled.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let wanted = level.trim();
    let directives = if wanted.contains(['=', ',']) {
        wanted.to_owned()
    } else {
        let name = wanted.to_ascii_lowercase();
        let name = if name == "warning" { "warn".to_owned() } else { name };
        if !["off", "error", "warn", "info", "debug", "trace"].contains(&name.as_str()) {
            return Err(format!(
                "log level {wanted:?}: expected off, error, warn, info, debug or trace"
            ));
        }
        format!("rynxs={name},warn,kube_client=off")
    };
    EnvFilter::try_new(&directives).map_err(|error| format!("log level {wanted:?}: {error}"))
}

/// One flat JSON object per line.
struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        if let Some(spans) = context.event_scope() {
            for span in spans.from_root() {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<JsonFields>>();
                let fields = fields.and_then(|text| serde_json::from_str::<Value>(text).ok());
                if let Some(Value::Object(fields)) = fields {
                    line.extend(fields);
                }
            }
        }
        event.record(&mut Fields(&mut line));
        let now = jiff::Timestamp::now();
        line.insert("timestamp".to_owned(), Value::String(format!("{now:.3}")));
        line.insert("level".to_owned(), Value::String(event.metadata().level().to_string()));
        line.insert("logger".to_owned(), Value::String(event.metadata().target().to_owned()));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_carries_the_fields_of_its_spans() {
        let sink = Sink::default();
        let out = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || out.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let _outer = tracing::info_span!("watch", trace_id = "4bf92f35").entered();
            let _inner = tracing::info_span!("effect", object = %"ConfigMap/a/b").entered();
            tracing::info!(seq = 7_u64, "applied");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["trace_id"], "4bf92f35");
        assert_eq!(line["object"], "ConfigMap/a/b");
        assert_eq!(line["seq"], 7);
        assert_eq!(line["message"], "applied");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_wrong_level_is_refused_with_the_right_ones() {
        let refused = filter("loud").unwrap_err();
        assert!(refused.contains("\"loud\"") && refused.contains("debug"), "{refused}");
        for good in ["INFO", "warning", "debug", "rynxs_operator=trace,warn"] {
            filter(good).unwrap();
        }
    }
}
