//! The identity of a term, drawn from the Entropy port.

use rynxs_core::ids::WriterId;

use crate::ports::Entropy;

/// Pod name, `_`, and a random UUID (RFC 9562, version 4): never used by any other term.
pub(super) fn identity(pod: &str, entropy: &dyn Entropy) -> WriterId {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    WriterId(format!("{pod}_{uuid}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::Seeded;

    #[test]
    fn identities_of_one_pod_differ_and_have_the_form_of_a_uuid() {
        let entropy = Seeded::new(1);
        let (first, second) = (identity("rynxs-0", &entropy), identity("rynxs-0", &entropy));
        assert_ne!(first, second);
        let uuid = first.as_str().strip_prefix("rynxs-0_").unwrap();
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }
}
