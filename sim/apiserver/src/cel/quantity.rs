//! `quantity("1Gi")`: resource quantities in expressions, compared as numbers.

use std::any::Any;

use ::cel::common::types::{CelBool, CelDouble, CelInt, CelString, Type};
use ::cel::common::value::{StaticVal, Val};
use ::cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

static QUANTITY: Type = Type::new_unspecified_type("kubernetes.Quantity");

/// A quantity in billionths: the finest unit that Kubernetes keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads `1.5Gi`, `100m`, `2e3`; nothing if it is no quantity.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text
            .char_indices()
            .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && "+-".contains(*c))))
            .map_or(text.len(), |(i, _)| i);
        let (number, suffix) = text.split_at(end);
        let (multiplier, divisor) = factor(suffix)?;
        let negative = number.starts_with('-');
        let digits = number.trim_start_matches(['+', '-']);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
        let numerator = mantissa.checked_mul(multiplier)?.checked_mul(NANO)?;
        let denominator = scale.checked_mul(divisor)?;
        // What is finer than a billionth is rounded up, as the server does.
        let nanos = numerator.checked_add(denominator - 1)? / denominator;
        Some(Self(if negative { -nanos } else { nanos }))
    }

    fn sign(self) -> i64 {
        i64::try_from(self.0.signum()).expect("a sign is -1, 0 or 1")
    }
}

/// Multiplier and divisor of a suffix.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

impl Val for Quantity {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &QUANTITY
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Quantity>().is_some_and(|o| o == self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Quantity {}

/// Adds the functions.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn is_quantity: (CelString) -> CelBool)?;
    add_overload!(env, fn quantity: (CelString) -> Result<Quantity>)?;
    add_member_overload!(env, fn sign: (Quantity) -> CelInt)?;
    add_member_overload!(env, fn is_integer: (Quantity) -> CelBool)?;
    add_member_overload!(env, fn as_integer: (Quantity) -> Result<CelInt>)?;
    add_member_overload!(env, fn as_approximate_float: (Quantity) -> CelDouble)?;
    add_member_overload!(env, fn is_greater_than: (Quantity, Quantity) -> CelBool)?;
    add_member_overload!(env, fn is_less_than: (Quantity, Quantity) -> CelBool)?;
    add_member_overload!(env, fn compare_to: (Quantity, Quantity) -> CelInt)?;
    add_member_overload!(env, fn add: (Quantity, Quantity) -> Quantity)?;
    add_member_overload!(env, fn sub: (Quantity, Quantity) -> Quantity)?;
    Ok(())
}

fn is_quantity(text: &CelString<'_>) -> CelBool {
    CelBool::from(Quantity::parse(text.inner()).is_some())
}

fn quantity(text: &CelString<'_>) -> Result<Quantity, ExecutionError> {
    Quantity::parse(text.inner()).ok_or_else(|| {
        let message = "quantities must match the regular expression \
                       '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        ExecutionError::function_error("quantity", message)
    })
}

fn sign(this: &Quantity) -> CelInt {
    CelInt::from(this.sign())
}

fn whole(this: &Quantity) -> Option<i64> {
    if this.0 % NANO == 0 { i64::try_from(this.0 / NANO).ok() } else { None }
}

fn is_integer(this: &Quantity) -> CelBool {
    CelBool::from(whole(this).is_some())
}

fn as_integer(this: &Quantity) -> Result<CelInt, ExecutionError> {
    let message = "cannot convert value to integer";
    let whole = whole(this).ok_or_else(|| ExecutionError::function_error("asInteger", message))?;
    Ok(CelInt::from(whole))
}

#[allow(clippy::cast_precision_loss, reason = "the function says that it is approximate")]
fn as_approximate_float(this: &Quantity) -> CelDouble {
    CelDouble::from(this.0 as f64 / NANO as f64)
}

fn is_greater_than(this: &Quantity, other: &Quantity) -> CelBool {
    CelBool::from(this > other)
}

fn is_less_than(this: &Quantity, other: &Quantity) -> CelBool {
    CelBool::from(this < other)
}

fn compare_to(this: &Quantity, other: &Quantity) -> CelInt {
    CelInt::from(this.cmp(other) as i64)
}

fn add(this: &Quantity, other: &Quantity) -> Quantity {
    Quantity(this.0.saturating_add(other.0))
}

fn sub(this: &Quantity, other: &Quantity) -> Quantity {
    Quantity(this.0.saturating_sub(other.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Expression, Scope};

    #[test]
    fn units_are_numbers() {
        let nanos = |text| Quantity::parse(text).map(|q| q.0);
        assert_eq!(nanos("1000m"), nanos("1"));
        assert_eq!(nanos("1024Mi"), nanos("1Gi"));
        assert_eq!(nanos("1.5k"), nanos("1500"));
        assert_eq!(nanos("2e3"), nanos("2k"));
        assert_eq!(nanos("-1"), Some(-NANO));
        for text in ["", "Gi", "1.2.3", "1 Gi", "1GB", "--1", "."] {
            assert_eq!(nanos(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_volume_does_not_shrink() {
        let rule = "quantity('512Mi').compareTo(quantity('1Gi')) >= 0";
        assert_eq!(Scope::new().holds(&Expression::compile(rule).unwrap()), Ok(false));
        let rule = "isQuantity('1Gi') && !isQuantity('big') && quantity('1.5Gi').isInteger()";
        assert_eq!(Scope::new().holds(&Expression::compile(rule).unwrap()), Ok(true));
    }
}
