//! Quantities in their canonical form: `1000m` is `1`, `1024Mi` is `1Gi`.
//!
//! Source: k8s.io/apimachinery `resource.Quantity`: the largest suffix that leaves no fraction,
//! at most three decimal places (smaller amounts are rounded up), in the format of the input.

use serde_json::Value;

/// `limits` and `requests` of a resources field.
pub(super) fn canonical_resources(resources: &mut Value) {
    for field in ["limits", "requests"] {
        if let Some(map) = resources.get_mut(field) {
            canonical_map(map);
        }
    }
}

/// Every value of a map of quantities.
pub(super) fn canonical_map(map: &mut Value) {
    for value in map.as_object_mut().into_iter().flat_map(|m| m.values_mut()) {
        canonical_value(value);
    }
}

/// One quantity, text or number.
pub(super) fn canonical_value(value: &mut Value) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(canonical) = canonical(&text) {
        *value = Value::String(canonical);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
    Exponent,
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Suffixes and their power of ten.
const DECIMAL: [(&str, i32); 10] = [
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("", 0),
    ("m", -3),
    ("u", -6),
    ("n", -9),
];
/// Everything is counted in nano units, the smallest that exist.
const NANO: i128 = 1_000_000_000;

/// The canonical text, or `None` if the text is no quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (nano, format) = parse(text)?;
    Some(print(nano, format))
}

fn parse(text: &str) -> Option<(i128, Format)> {
    let at = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.')));
    let (number, suffix) = text.split_at(at.unwrap_or(text.len()));
    let nano = parse_decimal(number)?;
    if let Some(power) = BINARY.iter().skip(1).position(|s| *s == suffix) {
        let factor = 1_i128 << (10 * (power + 1));
        return Some((nano.checked_mul(factor)?, Format::Binary));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((scale(nano, *power)?, Format::Decimal));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((scale(nano, exponent)?, Format::Exponent))
}

/// A decimal number in nano units, rounded up.
fn parse_decimal(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let all_digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let mut nano = whole.checked_mul(NANO)?.checked_add(kept.parse().ok()?)?;
    if fraction.chars().skip(9).any(|c| c != '0') {
        nano += 1;
    }
    Some(if negative { -nano } else { nano })
}

fn scale(nano: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        nano.checked_mul(factor)
    } else {
        let rounded_up = i128::from(nano % factor != 0 && nano > 0);
        Some(nano / factor + rounded_up)
    }
}

fn print(nano: i128, format: Format) -> String {
    if nano == 0 {
        return "0".to_owned();
    }
    // Binary suffixes are kept for whole numbers of at least 1024.
    if format == Format::Binary && nano % NANO == 0 && (nano / NANO).abs() >= 1024 {
        let mut amount = nano / NANO;
        let mut power = 0;
        while power + 1 < BINARY.len() && amount % 1024 == 0 {
            amount /= 1024;
            power += 1;
        }
        return format!("{amount}{}", BINARY[power]);
    }
    for (suffix, power) in DECIMAL {
        let unit = 10_i128.pow(u32::try_from(power + 9).expect("the table starts at nano"));
        if nano % unit == 0 {
            let exponent = format == Format::Exponent && power != 0;
            let suffix = if exponent { format!("e{power}") } else { suffix.to_owned() };
            return format!("{}{suffix}", nano / unit);
        }
    }
    unreachable!("every amount is a whole number of nano units")
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn amounts_take_the_largest_suffix_that_leaves_no_fraction() {
        for (given, expected) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1", "1"),
            ("2000", "2k"),
            ("1Gi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("512Ki", "512Ki"),
            ("1023", "1023"),
            ("0", "0"),
            ("1e3", "1e3"),
            ("100M", "100M"),
            ("1000M", "1G"),
            ("0.1m", "100u"),
            ("1Ki", "1Ki"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(expected), "{given}");
        }
        for bad in ["", "x", "1.2.3", "1Xi", "--1", "e3"] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
    }
}
