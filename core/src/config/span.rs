//! Spans of time as people write them: `15s`, `500ms`, `1m30s`, `2h`.
//!
//! A bare number is refused: a setting that reads `15` has been taken for milliseconds once too
//! often.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Why a text is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a span of time: write numbers with units, such as 15s, 500ms or 1m30s")]
pub struct SpanError {
    /// The text as given.
    pub text: String,
}

/// Parses `<integer><unit>` one or more times, with the units `ms`, `s`, `m`, `h`, each at most
/// once and the larger first.
pub fn parse(text: &str) -> Result<Duration, SpanError> {
    let bad = || SpanError { text: text.to_owned() };
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut below = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        rest = &rest[letters..];
        if unit_ms >= below {
            return Err(bad());
        }
        below = unit_ms;
        let part = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
    }
    if below == u64::MAX { Err(bad()) } else { Ok(total) }
}

/// Writes a span so that [`parse`] reads it back; below a millisecond it is cut off.
#[must_use]
pub fn format(span: Duration) -> String {
    let ms = span.as_millis();
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size, next) in
        [("h", 3_600_000, u128::MAX), ("m", 60_000, 60), ("s", 1_000, 60), ("ms", 1, 1_000)]
    {
        let count = (ms / size) % next;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

/// For `#[serde(with = "span")]`.
pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*span))
}

/// For `#[serde(with = "span")]`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, ms) in [
            ("15s", 15_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0s", 0),
            ("1h1m1s1ms", 3_661_001),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
            assert_eq!(format(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn numbers_without_unit_and_nonsense_are_refused() {
        for text in ["", "15", "s", "1.5s", "-1s", "1s1s", "1s1m", "1d", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("18446744073709551615h").is_err());
    }
}
