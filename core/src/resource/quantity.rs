//! Kubernetes quantities (`1Gi`, `500m`, `1e3`) as exact numbers, for comparing sizes.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource`, grammar in the comment of `Quantity`.

use std::cmp::Ordering;

/// An exact, non-negative quantity: `digits * 10^tens * 2^twos`, compared without rounding.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: u128,
}

/// What is wrong with a written quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with an optional suffix.
    #[error("is not a quantity: write a number with a suffix such as `Mi`, `Gi`, `m` or none")]
    Malformed,
    /// More than about 10^29, or finer than a billionth.
    #[error("is out of range for a quantity")]
    OutOfRange,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Quantity {
    /// Parses a quantity that is not negative.
    ///
    /// # Errors
    /// If it is no quantity, negative, or out of range.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(QuantityError::Malformed);
        }
        let (binary, tens) = scale(suffix)?;
        let digits: u128 =
            format!("{whole}{fraction}").parse().map_err(|_| QuantityError::OutOfRange)?;
        let places = i32::try_from(fraction.len()).map_err(|_| QuantityError::OutOfRange)?;
        let exponent = tens - places + 9;
        let scaled = if exponent >= 0 {
            power(exponent).and_then(|p| digits.checked_mul(p))
        } else {
            // Kubernetes rounds up what is finer than its scale; a size never is.
            power(-exponent).map(|p| digits.div_ceil(p))
        };
        let nanos = scaled.and_then(|n| n.checked_mul(1 << binary));
        Ok(Self { nanos: nanos.ok_or(QuantityError::OutOfRange)? })
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

fn power(exponent: i32) -> Option<u128> {
    10_u128.checked_pow(u32::try_from(exponent).ok()?)
}

/// Powers of two and of ten that a suffix stands for.
fn scale(suffix: &str) -> Result<(u32, i32), QuantityError> {
    Ok(match suffix {
        "" => (0, 0),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Malformed)?;
            let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Malformed)?;
            if exponent.abs() > 30 {
                return Err(QuantityError::OutOfRange);
            }
            (0, exponent)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Quantity {
        Quantity::parse(text).expect(text)
    }

    #[test]
    fn the_same_amount_is_equal_however_it_is_written() {
        for (a, b) in [
            ("1Gi", "1024Mi"),
            ("1", "1000m"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("0.1", "100m"),
            ("+5", "5"),
            (".5", "500m"),
        ] {
            assert_eq!(parsed(a), parsed(b), "{a} {b}");
        }
        assert!(parsed("1G") < parsed("1Gi"));
        assert!(parsed("0").is_zero());
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "Gi", "1GB", "one", "1.2.3", "-1", "1 Gi", "1e", "."] {
            assert_eq!(Quantity::parse(text), Err(QuantityError::Malformed), "{text}");
        }
        for text in ["1e31", "99999999999999999999999999999999999999Ei"] {
            assert_eq!(Quantity::parse(text), Err(QuantityError::OutOfRange), "{text}");
        }
    }
}
