//! Names that look random and are a function of the seed and a counter.

/// SplitMix64 (Steele, Lea, Flood 2014): a bijection of its input with well mixed bits.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An RFC 9562 version 4 UUID; different counters give different uids because `mix` is a
/// bijection and the fixed bits are all in the other half.
pub(super) fn make(seed: u64, counter: u64) -> String {
    let low = mix(mix(seed) ^ counter);
    let high = mix(low ^ 0x72_796e_7873);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        low >> 32,
        (low >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((high >> 12) & 0x3fff),
        ((low & 0xffff) << 32) | ((high >> 26) & 0xffff_ffff),
    )
}

/// Five characters, as `generateName` appends them.
pub(super) fn suffix(seed: u64, counter: u64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bits = mix(mix(seed) ^ counter);
    let mut text = String::new();
    for _ in 0..5 {
        let index = usize::try_from(bits % ALPHABET.len() as u64).expect("less than 27");
        text.push(char::from(ALPHABET[index]));
        bits /= ALPHABET.len() as u64;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_distinct_well_formed_and_repeatable() {
        let all: std::collections::BTreeSet<String> = (0..2000).map(|n| make(7, n)).collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().all(|u| u.len() == 36 && u.as_bytes()[14] == b'4'));
        assert_eq!(make(7, 3), make(7, 3));
        assert_ne!(make(7, 3), make(8, 3));
    }
}
