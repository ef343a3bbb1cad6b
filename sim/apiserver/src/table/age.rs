//! Times as people read them: `5s`, `3m12s`, `2d4h`.

use jiff::Timestamp;

/// How long ago a time was; `<unknown>` if there is none.
pub(super) fn since(time: Option<&str>, now_ms: u64) -> String {
    match time {
        None | Some("") => "<unknown>".to_owned(),
        Some(time) => match milliseconds(time) {
            Some(then) => human(i64::try_from(now_ms).unwrap_or(i64::MAX) - then),
            None => "<invalid>".to_owned(),
        },
    }
}

/// Time between two times.
pub(super) fn between(from: &str, to: &str) -> String {
    match (milliseconds(from), milliseconds(to)) {
        (Some(from), Some(to)) => human(to - from),
        _ => "<invalid>".to_owned(),
    }
}

fn milliseconds(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(|t| t.as_millisecond())
}

/// A duration with at most two units, as a real server shortens it.
fn human(ms: i64) -> String {
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big}{big_unit}")
        } else {
            format!("{big}{big_unit}{small}{small_unit}")
        }
    };
    let seconds = ms / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        s if s < -1 => "<invalid>".to_owned(),
        s if s < 0 => "0s".to_owned(),
        s if s < 120 => format!("{s}s"),
        s if minutes < 10 => two(minutes, "m", s % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if years < 8 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_at_most_two_units() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (192, "3m12s"),
            (601, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (30_000, "8h"),
            (180_000, "2d2h"),
            (8 * 86_400, "8d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(human(seconds * 1000), text, "{seconds}");
        }
        assert_eq!(since(Some("2026-01-01T00:00:00Z"), 1_767_225_605_000), "5s");
        assert_eq!(since(None, 0), "<unknown>");
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:02:30Z"), "2m30s");
    }
}
