//! `isIP`, `isCIDR` and what goes with them: addresses in expressions.

use std::any::Any;
use std::net::IpAddr;

use ::cel::common::types::{CelBool, CelInt, CelString, Type};
use ::cel::common::value::{StaticVal, Val};
use ::cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

static IP: Type = Type::new_unspecified_type("net.IP");
static CIDR: Type = Type::new_unspecified_type("net.CIDR");

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ip(IpAddr);

/// One range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    prefix_length: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`; leading zeros and signs are refused, as the server does.
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = length.bytes().all(|b| b.is_ascii_digit());
        if !plain || (length.len() > 1 && length.starts_with('0')) {
            return None;
        }
        let prefix_length: u8 = length.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (prefix_length <= most).then_some(Self { address, prefix_length })
    }

    fn contains(&self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let ((mine, width), (theirs, their_width)) = (bits(self.address), bits(other));
        let mask = match self.prefix_length {
            0 => 0,
            length => u128::MAX << (128 - u32::from(length)),
        };
        width == their_width && mine & mask == theirs & mask
    }
}

macro_rules! plain_value {
    ($name:ident, $type:ident) => {
        impl Val for $name {
            fn get_type(&self) -> &Type {
                <Self as Val>::cel_type()
            }

            fn cel_type() -> &'static Type {
                &$type
            }

            fn equals(&self, other: &dyn Val) -> bool {
                other.downcast_ref::<$name>().is_some_and(|o| o == self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
                Box::new(*self)
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $name {}
    };
}

plain_value!(Ip, IP);
plain_value!(Cidr, CIDR);

/// Adds the functions.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn is_ip: (CelString) -> CelBool, name = "isIP")?;
    add_overload!(env, fn is_cidr: (CelString) -> CelBool, name = "isCIDR")?;
    add_overload!(env, fn ip: (CelString) -> Result<Ip>)?;
    add_overload!(env, fn cidr: (CelString) -> Result<Cidr>)?;
    add_member_overload!(env, fn family: (Ip) -> CelInt)?;
    add_member_overload!(env, fn prefix_length: (Cidr) -> CelInt)?;
    add_member_overload!(env, fn contains_ip: (Cidr, CelString) -> Result<CelBool>,
        name = "containsIP")?;
    Ok(())
}

fn parse_ip(text: &str) -> Result<IpAddr, ExecutionError> {
    let message = || format!("IP Address \"{text}\" parse error during conversion from string");
    text.parse().map_err(|_| ExecutionError::function_error("ip", message()))
}

fn is_ip(text: &CelString<'_>) -> CelBool {
    CelBool::from(parse_ip(text.inner()).is_ok())
}

fn is_cidr(text: &CelString<'_>) -> CelBool {
    CelBool::from(Cidr::parse(text.inner()).is_some())
}

fn ip(text: &CelString<'_>) -> Result<Ip, ExecutionError> {
    parse_ip(text.inner()).map(Ip)
}

fn cidr(text: &CelString<'_>) -> Result<Cidr, ExecutionError> {
    let message = || format!("network address parse error during conversion from string: {text:?}");
    Cidr::parse(text.inner()).ok_or_else(|| ExecutionError::function_error("cidr", message()))
}

fn family(this: &Ip) -> CelInt {
    CelInt::from(if this.0.is_ipv4() { 4 } else { 6 })
}

fn prefix_length(this: &Cidr) -> CelInt {
    CelInt::from(i64::from(this.prefix_length))
}

fn contains_ip(this: &Cidr, text: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    Ok(CelBool::from(this.contains(parse_ip(text.inner())?)))
}

#[cfg(test)]
mod tests {
    use crate::cel::{Expression, Scope};

    #[test]
    fn ranges_are_told_from_names_and_addresses() {
        for (rule, expected) in [
            ("isCIDR('10.0.0.0/8')", true),
            ("isCIDR('2001:db8::/32')", true),
            ("isCIDR('10.0.0.0')", false),
            ("isCIDR('10.0.0.0/33')", false),
            ("isCIDR('10.0.0.0/08')", false),
            ("isCIDR('example.org')", false),
            ("isIP('::1') && !isIP('example.org')", true),
            ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", true),
            ("cidr('10.0.0.0/8').containsIP('11.1.2.3')", false),
            ("cidr('0.0.0.0/0').prefixLength() == 0 && ip('::1').family() == 6", true),
        ] {
            let expression = Expression::compile(rule).unwrap();
            assert_eq!(Scope::new().holds(&expression), Ok(expected), "{rule}");
        }
    }
}
