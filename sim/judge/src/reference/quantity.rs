//! Kubernetes quantities (`1Gi`, `500m`, `1e3`), compared exactly.
//!
//! After the grammar in the comment of `Quantity` in `k8s.io/apimachinery/pkg/api/resource`.

use std::cmp::Ordering;

/// A non-negative quantity in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity(u128);

impl Quantity {
    /// None if the text is no quantity, is negative, or is beyond what is compared here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.');
        // An exponent has digits of its own.
        let number = match text.find(['e', 'E']) {
            Some(at) if text[at + 1..].parse::<i32>().is_ok() => &text[..at],
            _ => number,
        };
        let suffix = &text[number.len()..];
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (twos, tens) = scale(suffix)?;
        let tens = tens + 9 - i32::try_from(fraction.len()).ok()?;
        let digits: u128 = digits.parse().ok()?;
        let power = 10_u128.checked_pow(tens.unsigned_abs())?;
        let scaled = if tens < 0 { digits.div_ceil(power) } else { digits.checked_mul(power)? };
        Some(Self(scaled.checked_mul(1 << twos)?))
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }
}

fn scale(suffix: &str) -> Option<(u32, i32)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = binary.iter().position(|known| *known == suffix) {
        return Some((10 * (u32::try_from(at).ok()? + 1), 0));
    }
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(at) = decimal.iter().position(|known| *known == suffix) {
        return Some((0, 3 * (i32::try_from(at).ok()? - 3)));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (exponent.abs() <= 30).then_some((0, exponent))
}

/// How two quantities compare; none if one of them is none.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    Some(Quantity::parse(a)?.cmp(&Quantity::parse(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_is_equal_however_it_is_written() {
        let pairs = [("1Gi", "1024Mi"), ("1", "1000m"), ("1.5Gi", "1536Mi"), ("1e3", "1k")];
        for (a, b) in pairs.into_iter().chain([("0.1", "100m"), (".5", "500m"), ("2E", "2e18")]) {
            assert_eq!(compare(a, b), Some(Ordering::Equal), "{a} {b}");
        }
        assert_eq!(compare("1G", "1Gi"), Some(Ordering::Less));
        for text in ["", "Gi", "1GB", "one", "1.2.3", "-1", "1 Gi", "1e", ".", "1e31"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
