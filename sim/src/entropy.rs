//! Random bytes from the run's seed.

use madsim::rand::{RngCore, thread_rng};
use rynxs_operator::ports::Entropy;

/// Draws from the world's one generator, so the seed alone decides.
pub(crate) struct SeededEntropy;

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        thread_rng().fill_bytes(bytes);
    }
}
