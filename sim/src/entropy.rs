//! Random bytes from the run's seed.

use std::sync::atomic::{AtomicU64, Ordering};

use madsim::rand::{RngCore, thread_rng};
use rynxs_operator::ports::Entropy;

/// Draws of all runs that are unsteady on purpose: no second run counts as the first did.
static DRAWS: AtomicU64 = AtomicU64::new(1);

/// Draws from the world's one generator, so the seed alone decides.
pub(crate) struct SeededEntropy {
    /// The seed does not decide, on purpose.
    pub(crate) unsteady: bool,
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        thread_rng().fill_bytes(bytes);
        if self.unsteady {
            let draw = DRAWS.fetch_add(1, Ordering::SeqCst).to_le_bytes();
            bytes.iter_mut().zip(draw.iter().cycle()).for_each(|(byte, other)| *byte ^= other);
        }
    }
}
