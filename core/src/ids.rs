//! Names and numbers that must not be mixed up: seq, epoch, stamp, hash, uid, object references.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// Position of a record in the log, dense from 0.
    Seq
);
number!(
    /// A term of leadership: `base + seq` of the `EpochStarted` record that opened it.
    Epoch
);
number!(
    /// Order of decisions in the cluster: `base + seq` of the record that holds the decision.
    Stamp
);

impl Seq {
    /// The first record.
    pub const ZERO: Seq = Seq(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// Kubernetes' `metadata.uid`: one incarnation of an object.
    Uid
);
text!(
    /// Identity of a log: 32 hex digits drawn when record 0 is written.
    LogId
);
text!(
    /// Identity of one term of one replica: pod name, `_`, random UUID.
    WriterId
);

/// Value of each lower-case hex digit; anything else has a high bit.
const NIBBLES: [u8; 256] = {
    let mut table = [0x80; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Reads exactly twice as many lower-case hex digits as there are bytes. Every record holds three
/// such texts, so this is on the path of verification.
fn decode_hex(text: &[u8], bytes: &mut [u8]) -> bool {
    if text.len() != 2 * bytes.len() {
        return false;
    }
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 0x0f;
    }
    seen < 0x80
}

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Parses exactly twice as many lower-case hex digits as there are bytes.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0; $len];
                decode_hex(text.as_bytes(), &mut bytes).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::from_hex(&text).ok_or_else(|| {
                    D::Error::custom(format!("expected {} lower-case hex digits, got {text:?}", 2 * $len))
                })
            }
        }
    };
}

hex_bytes!(
    /// A SHA-256, written as 64 lower-case hex digits.
    Hash,
    32
);
hex_bytes!(
    /// 128 random bits, drawn once per append and equal on every retry of it.
    Nonce,
    16
);

impl Hash {
    /// The `prev_hash` of record 0.
    pub const ZERO: Hash = Hash([0; 32]);
}

/// Kinds of objects that rynxs reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Kind {
    Agent,
    Session,
    ConfigMap,
    PersistentVolumeClaim,
    Deployment,
    NetworkPolicy,
    Job,
}

/// Namespace and name of an `Agent` or a `Session`; written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key from its two parts.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(D::Error::custom(format!("expected \"namespace/name\", got {text:?}"))),
        }
    }
}

/// One object of one kind; written `Kind/namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Kind.
    pub kind: Kind,
    /// Namespace and name.
    pub key: Key,
}

impl ObjectRef {
    /// A reference from its parts.
    #[must_use]
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, key: Key::new(namespace, name) }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.kind, self.key)
    }
}

impl Kind {
    /// All kinds, in the order of the enum.
    pub const ALL: [Kind; 7] = [
        Kind::Agent,
        Kind::Session,
        Kind::ConfigMap,
        Kind::PersistentVolumeClaim,
        Kind::Deployment,
        Kind::NetworkPolicy,
        Kind::Job,
    ];

    /// The kind with exactly this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| format!("{kind:?}") == name)
    }
}

impl Serialize for ObjectRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut parts = text.splitn(3, '/');
        match (parts.next().and_then(Kind::parse), parts.next(), parts.next()) {
            (Some(kind), Some(ns), Some(name)) if !ns.is_empty() && !name.is_empty() => {
                Ok(Self::new(kind, ns, name))
            }
            _ => Err(D::Error::custom(format!("expected \"Kind/namespace/name\", got {text:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_read() {
        let text = "00ff0123456789abcdef00000000000a";
        let nonce = Nonce::from_hex(text).unwrap();
        assert_eq!(nonce.to_string(), text);
        assert_eq!(nonce.0[1], 0xff);
        for position in 0..text.len() {
            for wrong in ["A", "F", "g", "/", ":", "`", "@", "G", " "] {
                let mut other = text.to_owned();
                other.replace_range(position..=position, wrong);
                assert_eq!(Nonce::from_hex(&other), None, "{other}");
            }
        }
        assert_eq!(Nonce::from_hex(&text[1..]), None);
        assert_eq!(Nonce::from_hex(&format!("{text}0")), None);
    }
}
