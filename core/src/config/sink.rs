//! How `logSink` is written: a `type`, and one section per type as in the chart's values.

use serde::{Deserialize, Serialize};

use super::{FileStore, LogSink, OnMissingLog, S3Store, Store};

/// The written form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    r#type: Type,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileStore>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s3: Option<S3Store>,
    #[serde(default)]
    on_missing_log: OnMissingLog,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Type {
    #[default]
    File,
    S3,
}

impl TryFrom<Written> for LogSink {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let store = match (written.r#type, written.file, written.s3) {
            (Type::File, Some(file), _) => Store::File(file),
            (Type::File, None, _) => LogSink::default().store,
            (Type::S3, _, Some(s3)) => Store::S3(s3),
            (Type::S3, _, None) => {
                return Err("logSink.type is s3, but there is no logSink.s3: name the bucket and \
                            its credentials there"
                    .to_owned());
            }
        };
        Ok(Self { store, on_missing_log: written.on_missing_log })
    }
}

impl From<LogSink> for Written {
    fn from(sink: LogSink) -> Self {
        let (r#type, file, s3) = match sink.store {
            Store::File(file) => (Type::File, Some(file), None),
            Store::S3(s3) => (Type::S3, None, Some(s3)),
        };
        Self { r#type, file, s3, on_missing_log: sink.on_missing_log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_those_of_the_chart() {
        let json = r#"{"type":"s3","s3":{"bucket":"rynxs-events","region":"us-east-1",
            "accessKey":"a","secretKey":"b"},"onMissingLog":"adopt"}"#;
        let sink: LogSink = serde_json::from_str(json).unwrap();
        let Store::S3(s3) = &sink.store else { panic!("{sink:?}") };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("rynxs-events", "events"));
        assert_eq!(sink.on_missing_log, OnMissingLog::Adopt);
        let file: LogSink = serde_json::from_str(r#"{"type":"file"}"#).unwrap();
        assert_eq!(file, LogSink::default());
    }

    #[test]
    fn type_without_its_section_is_refused_in_words() {
        let error = serde_json::from_str::<LogSink>(r#"{"type":"s3"}"#).unwrap_err();
        assert!(error.to_string().contains("there is no logSink.s3"), "{error}");
        assert!(serde_json::from_str::<LogSink>(r#"{"type":"s4"}"#).is_err());
    }
}
