//! The first append of a term is sent several times at once: a test that every store must pass.
//!
//! A store that ignores or races the condition of a put would let two leaders fork the log. Sending
//! equal bytes makes the test free of risk: whichever attempt wins, the log is the same.

use super::{Fault, PutOutcome};

/// How many equal puts race. Stores that race at all have let most of 20 win; three keep the start
/// cheap, and every term tries again.
pub const RACERS: usize = 3;

/// The store let more than one put of the same place win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} puts of one object with `If-None-Match: *`, sent at once, were all answered 200: this \
         store does not make the condition atomic, so it cannot hold the log"
)]
pub struct TwoWinners(pub usize);

/// Makes one answer of the racers' answers, or finds the store unfit.
pub fn settle_race(outcomes: Vec<PutOutcome>) -> Result<PutOutcome, TwoWinners> {
    let winners = outcomes.iter().filter(|outcome| **outcome == PutOutcome::Committed).count();
    match winners {
        0 => {}
        1 => return Ok(PutOutcome::Committed),
        more => return Err(TwoWinners(more)),
    }
    // Nobody won for certain. The most cautious answer speaks for all: one that may have been
    // stored before one that found the place taken, as the protocol must remember it.
    let mut taken = false;
    let mut unknown: Option<Fault> = None;
    let mut refused: Option<Fault> = None;
    let mut not_sent = String::new();
    for outcome in outcomes {
        match outcome {
            PutOutcome::Committed => {}
            PutOutcome::AlreadyExists => taken = true,
            PutOutcome::Unknown(fault) => unknown = Some(fault),
            PutOutcome::Refused(fault) => refused = Some(fault),
            PutOutcome::NotSent(why) => not_sent = why,
        }
    }
    Ok(match (unknown, taken, refused) {
        (Some(fault), _, _) => PutOutcome::Unknown(fault),
        (None, true, _) => PutOutcome::AlreadyExists,
        (None, false, Some(fault)) => PutOutcome::Refused(fault),
        (None, false, None) => PutOutcome::NotSent(not_sent),
    })
}

#[cfg(test)]
mod tests {
    use super::super::FaultCause;
    use super::*;

    #[test]
    fn one_winner_is_committed_whatever_the_others_heard() {
        let fault = || Fault::new(FaultCause::Timeout, "late");
        let outcomes =
            vec![PutOutcome::Unknown(fault()), PutOutcome::Committed, PutOutcome::Refused(fault())];
        assert_eq!(settle_race(outcomes), Ok(PutOutcome::Committed));
    }

    #[test]
    fn two_winners_unmask_the_store() {
        let outcomes =
            vec![PutOutcome::Committed, PutOutcome::AlreadyExists, PutOutcome::Committed];
        assert_eq!(settle_race(outcomes), Err(TwoWinners(2)));
    }

    #[test]
    fn a_refusal_counts_only_if_nothing_can_have_been_stored() {
        let fault = |cause| Fault::new(cause, "no");
        let refused = PutOutcome::Refused(fault(FaultCause::AccessDenied));
        let unknown = PutOutcome::Unknown(fault(FaultCause::Timeout));
        let not_sent = PutOutcome::NotSent("refused".to_owned());
        let settle = |outcomes: &[&PutOutcome]| {
            settle_race(outcomes.iter().map(|o| (*o).clone()).collect()).unwrap()
        };
        assert_eq!(settle(&[&refused, &unknown, &not_sent]), unknown);
        assert_eq!(settle(&[&refused, &PutOutcome::AlreadyExists]), PutOutcome::AlreadyExists);
        assert_eq!(settle(&[&not_sent, &refused]), refused);
        assert_eq!(settle(&[&not_sent, &not_sent]), not_sent);
    }
}
