//! RFC 3339 times, as Unix milliseconds.

/// None if the text is no time after 1970 in the form `2026-12-31T18:00:00[.123](Z|±hh:mm)`.
pub(crate) fn unix_ms(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let at = |index: usize, any: &str| text.get(index..=index).is_some_and(|c| any.contains(c));
    let shaped = at(4, "-") && at(7, "-") && at(10, "Tt ") && at(13, ":") && at(16, ":");
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !shaped || !in_range {
        return None;
    }
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let span = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if zone.starts_with('-') { -span } else { span }
        }
    };
    let seconds = ((days_before(year, month) + day - 1) * 24 + hour) * 3_600 + minute * 60 + second;
    let ms = (seconds - offset_minutes * 60) * 1_000 + milliseconds(fraction)?;
    u64::try_from(ms).ok()
}

fn milliseconds(fraction: &str) -> Option<i64> {
    let Some(digits) = fraction.strip_prefix('.') else {
        return fraction.is_empty().then_some(0);
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<3}").get(..3)?.parse().ok()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of this month.
fn days_before(year: i64, month: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_calendar_has_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-12-31T18:00:00Z", 1_798_740_000),
            ("2026-12-31T20:00:00+02:00", 1_798_740_000),
            ("2024-03-01T00:00:00Z", 1_709_251_200),
        ] {
            assert_eq!(unix_ms(text), Some(seconds * 1_000), "{text}");
        }
        assert_eq!(unix_ms("1970-01-01T00:00:01.25Z"), Some(1_250));
        for text in ["", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z"] {
            assert_eq!(unix_ms(text), None, "{text}");
        }
        for text in ["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z"] {
            assert_eq!(unix_ms(text), None, "{text}");
        }
    }
}
