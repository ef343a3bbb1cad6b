//! Durations as people write them in manifests: `30m`, `2h`, `1h30m`, `45s`, `1d`.

use std::time::Duration;

/// Longest duration that a manifest may name, 366 days: sums of milliseconds never overflow.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What is wrong with a written duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of number and unit.
    #[error(
        "is not a duration: write whole numbers with units d, h, m, s in this order, as in `1h30m`"
    )]
    Malformed,
    /// Zero.
    #[error("is zero: a duration must be at least one second")]
    Zero,
    /// Over [`LONGEST`].
    #[error("is longer than 366 days")]
    TooLong,
}

/// Parses a duration: whole numbers with units `d`, `h`, `m`, `s`, each at most once, in order.
///
/// # Errors
/// If it has another form, is zero, or is longer than [`LONGEST`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    const UNITS: [(u8, u64); 4] = [(b'd', 86_400), (b'h', 3_600), (b'm', 60), (b's', 1)];
    let mut allowed = UNITS.as_slice();
    let mut seconds = 0_u64;
    let mut number: Option<u64> = None;
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            let digit = u64::from(byte - b'0');
            let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit));
            number = Some(next.ok_or(DurationError::TooLong)?);
            continue;
        }
        let count = number.take().ok_or(DurationError::Malformed)?;
        let at = allowed.iter().position(|(unit, _)| *unit == byte);
        let at = at.ok_or(DurationError::Malformed)?;
        let part = count.checked_mul(allowed[at].1).ok_or(DurationError::TooLong)?;
        seconds = seconds.checked_add(part).ok_or(DurationError::TooLong)?;
        allowed = &allowed[at + 1..];
    }
    if number.is_some() || text.is_empty() {
        return Err(DurationError::Malformed);
    }
    match Duration::from_secs(seconds) {
        Duration::ZERO => Err(DurationError::Zero),
        long if long > LONGEST => Err(DurationError::TooLong),
        fine => Ok(fine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_durations_are_read() {
        for (text, seconds) in
            [("30m", 1_800), ("2h", 7_200), ("1h30m", 5_400), ("1d1s", 86_401), ("90s", 90)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for text in ["", "30", "m", "1m1h", "1m1m", "1.5h", "-1h", "1 h", "1H"] {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text}");
        }
        assert_eq!(parse("0s"), Err(DurationError::Zero));
        for text in ["367d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text}");
        }
    }
}
