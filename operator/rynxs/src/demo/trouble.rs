//! Why the demo cannot go on, told by whoever finds out first.
//!
//! Those who write to the folder do so in the background: the store for its copy of the log, the
//! readers of the replicas' log lines. A full disk must not stop them, as replicas and servers
//! would then stand still; it must stop the demo, with the first reason and no other.

use tokio::sync::watch;

use crate::cli::Failure;

/// The first reason; clones are one.
#[derive(Clone, Debug)]
pub struct Trouble(watch::Sender<Option<Failure>>);

impl Trouble {
    /// Nothing is wrong yet.
    #[must_use]
    pub fn none() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Takes a reason, unless there is one.
    pub fn report(&self, failure: Failure) {
        self.0.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(failure);
            first
        });
    }

    /// Fails with the reason, if there is one.
    pub fn check(&self) -> Result<(), Failure> {
        self.0.borrow().clone().map_or(Ok(()), Err)
    }

    /// Waits for a reason.
    pub async fn wait(&self) -> Failure {
        let mut receiver = self.0.subscribe();
        let found = receiver.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.expect("the sending half lives in this value, and it sends failures only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let trouble = Trouble::none();
        assert_eq!(trouble.check(), Ok(()));
        for why in ["first", "second"] {
            trouble.report(Failure::new(Exit::Machine, why));
        }
        assert_eq!(trouble.check().unwrap_err().message, "first");
        assert_eq!(trouble.wait().await.message, "first");
    }
}
