//! Watches: one JSON event per line, lines in any chunks.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use kube_core::params::WatchParams;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{Call, KubeClient, OBJECT_LIMIT_BYTES};
use super::error::{KubeError, Refusal};
use super::list::Selection;
use super::seen;
use crate::ports::BodyError;

/// After so many seconds the server ends a watch, and it is opened anew where it ended. Short,
/// because a connection that died without a word is noticed only when this time has passed: seven
/// watches a minute are little, a minute of blindness is bounded.
pub(crate) const WATCH_TIMEOUT_S: u32 = 60;

/// One event of a watch; objects are without `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// The object was added or modified.
    Applied(Value),
    /// The object was deleted; this is its last state.
    Deleted(Value),
    /// Everything up to this resourceVersion was sent.
    Bookmark(String),
    /// The server ended the watch with a `Status`; 410 asks for a new list.
    Ended(Refusal),
}

/// Why a watch gave no further event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The connection broke.
    #[error("the watch broke off: {0}")]
    Broken(String),
    /// A line is longer than any object may be.
    #[error("a watch event is larger than {OBJECT_LIMIT_BYTES} bytes")]
    TooLong,
    /// A line is not an event.
    #[error("a watch event cannot be read: {0}")]
    Undecodable(String),
}

/// An open watch.
pub struct WatchStream {
    chunks: BoxStream<'static, Result<Bytes, BodyError>>,
    lines: Lines,
}

/// Cuts chunks into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// Bytes at the front of the buffer that hold no line end.
    scanned: usize,
}

#[derive(Deserialize)]
struct Frame<'a> {
    r#type: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct BookmarkObject {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
}

#[derive(Deserialize)]
struct StatusObject {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl KubeClient {
    /// Opens a watch that continues after `resource_version`.
    ///
    /// # Errors
    /// The server did not begin to answer, or refused (410: the version is too old).
    pub async fn watch(
        &self,
        selection: &Selection,
        resource_version: &str,
    ) -> Result<WatchStream, KubeError> {
        let mut params = WatchParams::default().timeout(WATCH_TIMEOUT_S);
        params.label_selector = selection.labels();
        let request = kube_core::Request::new(selection.path()).watch(&params, resource_version);
        self.open_watch(Call::new("watch", selection.resource().plural, request)?).await
    }

    /// Opens any watch.
    pub(super) async fn open_watch(&self, call: Call) -> Result<WatchStream, KubeError> {
        let chunks = self.open(call).await?.into_stream();
        Ok(WatchStream { chunks, lines: Lines::default() })
    }
}

impl WatchStream {
    /// The next event; none when the server ended the watch between two events.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, WatchError>> {
        loop {
            if let Some(line) = self.lines.pop() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Some(parse(&line));
            }
            if self.lines.buffer.len() > OBJECT_LIMIT_BYTES {
                return Some(Err(WatchError::TooLong));
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.lines.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Some(Err(WatchError::Broken(error.to_string()))),
                None if self.lines.buffer.is_empty() => return None,
                None => {
                    self.lines = Lines::default();
                    return Some(Err(WatchError::Broken("in the middle of an event".to_owned())));
                }
            }
        }
    }
}

impl Lines {
    /// Takes the first whole line, without its end.
    fn pop(&mut self) -> Option<Bytes> {
        let end = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n');
        match end {
            Some(offset) => {
                let mut line = self.buffer.split_to(self.scanned + offset + 1);
                line.truncate(self.scanned + offset);
                self.scanned = 0;
                Some(line.freeze())
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<WatchEvent, WatchError> {
    let unreadable = |error: serde_json::Error| WatchError::Undecodable(error.to_string());
    let frame: Frame<'_> = serde_json::from_slice(line).map_err(unreadable)?;
    let text = frame.object.get();
    match frame.r#type.as_str() {
        "ADDED" | "MODIFIED" => Ok(WatchEvent::Applied(seen::object(text).map_err(unreadable)?)),
        "DELETED" => Ok(WatchEvent::Deleted(seen::object(text).map_err(unreadable)?)),
        "BOOKMARK" => {
            let bookmark: BookmarkObject = serde_json::from_str(text).map_err(unreadable)?;
            Ok(WatchEvent::Bookmark(bookmark.metadata.resource_version))
        }
        "ERROR" => {
            let StatusObject { code, reason, message } =
                serde_json::from_str(text).map_err(unreadable)?;
            let message = super::error::shorten(&message);
            Ok(WatchEvent::Ended(Refusal { code, reason, message, retry_after: None }))
        }
        other => Err(WatchError::Undecodable(format!("an event of type {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    const WIRE: &str = concat!(
        r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"}}}"#,
        "\n",
        r#"{"type":"BOOKMARK","object":{"kind":"Agent","metadata":{"resourceVersion":"9"}}}"#,
        "\n\n",
        r#"{"type":"DELETED","object":{"metadata":{"name":"a","resourceVersion":"11"}}}"#,
        "\n",
        r#"{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}"#,
        "\n",
    );

    fn stream(chunks: Vec<Result<Bytes, BodyError>>) -> WatchStream {
        WatchStream { chunks: futures::stream::iter(chunks).boxed(), lines: Lines::default() }
    }

    fn read_all(mut watch: WatchStream) -> Vec<Result<WatchEvent, WatchError>> {
        let reading = async {
            let mut events = Vec::new();
            while let Some(event) = watch.next().await {
                let stop = event.is_err();
                events.push(event);
                if stop {
                    break;
                }
            }
            events
        };
        reading.now_or_never().expect("scripted chunks are there at once")
    }

    #[test]
    fn events_are_the_same_wherever_chunks_are_cut() {
        let object = |version: &str| json!({"metadata":{"name":"a","resourceVersion":version}});
        let expired = Refusal {
            code: 410,
            reason: "Expired".to_owned(),
            message: "too old".to_owned(),
            retry_after: None,
        };
        let expected = vec![
            Ok(WatchEvent::Applied(object("5"))),
            Ok(WatchEvent::Bookmark("9".to_owned())),
            Ok(WatchEvent::Deleted(object("11"))),
            Ok(WatchEvent::Ended(expired)),
        ];
        for size in [1, 2, 7, 64, WIRE.len()] {
            let chunks =
                WIRE.as_bytes().chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
            assert_eq!(read_all(stream(chunks.collect())), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_watch_that_breaks_inside_an_event_gives_no_event() {
        let half = Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{}");
        assert!(matches!(read_all(stream(vec![Ok(half)]))[..], [Err(WatchError::Broken(_))]));
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let endless = futures::stream::repeat_with(move || Ok(chunk.clone())).boxed();
        let watch = WatchStream { chunks: endless, lines: Lines::default() };
        assert_eq!(read_all(watch), vec![Err(WatchError::TooLong)]);
    }

    #[test]
    fn an_unknown_event_type_is_said_not_skipped() {
        let wire = Bytes::from_static(b"{\"type\":\"NEW\",\"object\":{}}\n");
        assert!(matches!(read_all(stream(vec![Ok(wire)]))[..], [Err(WatchError::Undecodable(_))]));
    }
}
