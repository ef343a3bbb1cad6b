//! Random bytes.

/// A source of random bytes: the operating system's, or a seed's.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random data.
    fn fill(&self, bytes: &mut [u8]);
}
