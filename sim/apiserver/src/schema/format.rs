//! `format` of strings, as far as the server checks it. An unknown format restricts nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a text is of a format.
pub(super) fn is_of(format: &str, text: &str) -> bool {
    match format {
        "date-time" => is_date_time(text),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "duration" => is_duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "uuid" => is_uuid(text),
        "byte" => base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).is_ok(),
        _ => true,
    }
}

/// RFC 3339: with `T`, seconds and a zone.
fn is_date_time(text: &str) -> bool {
    text.len() >= 20
        && matches!(text.as_bytes()[10], b'T' | b't')
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// `1h30m`, `1.5s`, `-2ms`; `0` alone needs no unit.
fn is_duration(text: &str) -> bool {
    let rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    let mut rest = rest;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits =
            rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, after) = rest.split_at(digits);
        let units = ["ns", "us", "µs", "ms", "h", "m", "s"];
        let Some(unit) = units.iter().find(|unit| after.starts_with(**unit)) else { return false };
        if number.parse::<f64>().is_err() {
            return false;
        }
        rest = &after[unit.len()..];
        parts += 1;
    }
    parts > 0
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= most)
    })
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn formats_tell_right_from_wrong() {
        for (format, right, wrong) in [
            ("date-time", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00"),
            ("date-time", "2026-01-01T00:00:00.5+01:00", "yesterday"),
            ("date", "2026-01-31", "2026-02-31"),
            ("duration", "1h30m", "1x"),
            ("duration", "0", "h"),
            ("ipv4", "10.0.0.1", "::1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0"),
            ("uuid", "01234567-89ab-cdef-0123-456789abcdef", "0123"),
            ("byte", "aGk=", "?"),
        ] {
            assert!(is_of(format, right), "{format} {right}");
            assert!(!is_of(format, wrong), "{format} {wrong}");
        }
        assert!(is_of("something-else", "anything"));
    }
}
