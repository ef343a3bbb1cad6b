//! I2 on the writing side, against a table of answers and against a store that does its worst.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::Event;
use crate::ids::{Epoch, Hash, Nonce, Seq, WriterId};
use crate::record::{EncodedEvent, EncodedRecord, Header, encode, sha256};
use crate::time::{Mono, WallMs};

fn record(epoch: u64, nonce: u8) -> EncodedRecord {
    let header = Header {
        seq: Seq(7),
        prev_hash: Hash::ZERO,
        epoch: Epoch(epoch),
        writer: WriterId(format!("writer-{epoch}")),
        nonce: Nonce([nonce; 16]),
        ts_ms: WallMs(0),
    };
    encode(&header, &[EncodedEvent::new(&Event::TailRepaired { bytes: 1, sha256: sha256(b"") })])
}

fn fault(cause: FaultCause) -> Fault {
    Fault::new(cause, "the store's words")
}

fn unknown() -> AppendInput {
    AppendInput::Put(PutOutcome::Unknown(fault(FaultCause::Timeout)))
}

fn forbidden() -> AppendInput {
    AppendInput::Put(PutOutcome::Refused(fault(FaultCause::AccessDenied)))
}

fn taken() -> AppendInput {
    AppendInput::Put(PutOutcome::AlreadyExists)
}

fn found(record: &EncodedRecord) -> AppendInput {
    AppendInput::Get(GetOutcome::Found(record.bytes.to_vec()))
}

const DEADLINE: Mono = Mono(10_000_000_000);

/// Feeds answers; waits are taken as soon as they end. Returns the last step.
fn play(inputs: Vec<AppendInput>) -> AppendStep {
    let mut append = Append::new(&record(5, 1), Some(DEADLINE), Backoff::STORE);
    let mut now = Mono(0);
    let mut step = AppendStep::Put;
    for input in inputs {
        if let AppendStep::WaitUntil(until) = step {
            now = until;
            step = append.step(AppendInput::Waited, now, 0);
        }
        let fits = matches!(
            (&step, &input),
            (AppendStep::Put, AppendInput::Put(_)) | (AppendStep::Get, AppendInput::Get(_))
        );
        assert!(fits, "{step:?} is not answered by {input:?}");
        step = append.step(input, now, 0);
    }
    step
}

fn is_wait(step: &AppendStep) -> bool {
    matches!(step, AppendStep::WaitUntil(_))
}

#[test]
fn success_commits() {
    let committed = AppendInput::Put(PutOutcome::Committed);
    assert_eq!(play(vec![committed]), AppendStep::Done(Settled::Committed));
}

#[test]
fn own_write_is_recognised_after_a_lost_answer() {
    let step = play(vec![unknown(), taken(), found(&record(5, 1))]);
    assert_eq!(step, AppendStep::Done(Settled::Committed));
}

#[test]
fn own_write_is_recognised_at_the_first_412_too() {
    let step = play(vec![taken(), found(&record(5, 1))]);
    assert_eq!(step, AppendStep::Done(Settled::Committed));
}

#[test]
fn equal_content_of_another_append_is_not_taken_for_own() {
    let other = record(5, 2);
    let step = play(vec![unknown(), taken(), found(&other)]);
    assert_eq!(step, AppendStep::Done(Settled::Occupied(other.bytes.to_vec())));
}

#[test]
fn a_refusal_at_the_first_attempt_is_a_wrong_installation() {
    let expected = Settled::Config(fault(FaultCause::AccessDenied));
    assert_eq!(play(vec![forbidden()]), AppendStep::Done(expected));
}

#[test]
fn a_refusal_after_an_unknown_attempt_settles_nothing() {
    let step = play(vec![unknown(), forbidden(), forbidden()]);
    assert!(is_wait(&step), "{step:?}");
    let step = play(vec![unknown(), forbidden(), AppendInput::Put(PutOutcome::Committed)]);
    assert_eq!(step, AppendStep::Done(Settled::Committed));
}

#[test]
fn an_attempt_that_was_never_sent_leaves_a_refusal_final() {
    let not_sent = AppendInput::Put(PutOutcome::NotSent("connection refused".to_owned()));
    let expected = Settled::Config(fault(FaultCause::AccessDenied));
    assert_eq!(play(vec![not_sent, forbidden()]), AppendStep::Done(expected));
}

#[test]
fn nothing_is_concluded_from_a_missing_record() {
    let missing = || AppendInput::Get(GetOutcome::Missing);
    assert!(is_wait(&play(vec![unknown(), taken(), missing()])));
    // Not even a configuration error, which would say that nothing was stored.
    assert!(is_wait(&play(vec![taken(), missing(), forbidden()])));
}

#[test]
fn a_read_that_fails_is_repeated() {
    let lost = AppendInput::Get(GetOutcome::Unknown(fault(FaultCause::Timeout)));
    let refused = AppendInput::Get(GetOutcome::Refused(fault(FaultCause::AccessDenied)));
    let step = play(vec![taken(), lost, refused, found(&record(5, 1))]);
    assert_eq!(step, AppendStep::Done(Settled::Committed));
}

#[test]
fn the_deadline_leaves_it_undecided() {
    let mut append = Append::new(&record(5, 1), Some(DEADLINE), Backoff::STORE);
    let early = append.step(unknown(), DEADLINE, 0);
    let last = fault(FaultCause::Timeout).to_string();
    assert_eq!(early, AppendStep::Done(Settled::Undecided { unknown: true, last }));

    let mut append = Append::new(&record(5, 1), Some(DEADLINE), Backoff::STORE);
    let not_sent = AppendInput::Put(PutOutcome::NotSent("refused".to_owned()));
    let almost = Mono(DEADLINE.0 - 1);
    assert_eq!(append.step(not_sent, almost, u64::MAX), AppendStep::WaitUntil(DEADLINE));
    let end = append.step(AppendInput::Waited, DEADLINE, 0);
    let last = "refused".to_owned();
    assert_eq!(end, AppendStep::Done(Settled::Undecided { unknown: false, last }));
}

#[test]
fn a_later_epoch_fences() {
    let newer = record(8, 1);
    let expected = Lost::Fenced { epoch: Epoch(8), writer: WriterId::from("writer-8") };
    assert_eq!(judge(Seq(7), Epoch(5), &newer.bytes), expected);
}

#[test]
fn anything_but_a_later_epoch_halts() {
    for (bytes, words) in [
        (record(5, 2).bytes.to_vec(), "an epoch has one writer"),
        (record(4, 1).bytes.to_vec(), "an epoch has one writer"),
        (b"hello".to_vec(), "is no record"),
        (Vec::new(), "is no record"),
    ] {
        let Lost::Corrupt(why) = judge(Seq(7), Epoch(5), &bytes) else { panic!("fenced") };
        assert!(why.contains(words), "{why}");
    }
    let Lost::Corrupt(why) = judge(Seq(6), Epoch(5), &record(8, 1).bytes) else { panic!("fenced") };
    assert!(why.contains("number 7"), "{why}");
}

/// What the store does with one request.
#[derive(Clone, Copy, Debug)]
enum Whim {
    Honest,
    /// Applied, but the answer is lost.
    LostAnswer,
    /// Neither applied nor answered.
    LostRequest,
    /// Answered by silence, applied before the request numbered so later.
    Late(u8),
    Forbidden,
    NotSent,
    /// Somebody else's record gets there first.
    RivalFirst,
}

fn whim() -> impl Strategy<Value = Whim> {
    prop_oneof![
        3 => Just(Whim::Honest),
        3 => Just(Whim::LostAnswer),
        3 => Just(Whim::LostRequest),
        3 => (0u8..6).prop_map(Whim::Late),
        1 => Just(Whim::Forbidden),
        1 => Just(Whim::NotSent),
        1 => Just(Whim::RivalFirst),
    ]
}

/// One key, and puts that are still on their way.
#[derive(Default)]
struct Register {
    held: Option<Vec<u8>>,
    late: Vec<(u8, Vec<u8>)>,
}

impl Register {
    fn put_if_absent(&mut self, bytes: &[u8]) -> PutOutcome {
        if self.held.is_some() {
            return PutOutcome::AlreadyExists;
        }
        self.held = Some(bytes.to_vec());
        PutOutcome::Committed
    }

    fn deliver_late(&mut self, all: bool) {
        for (after, _) in &mut self.late {
            *after = after.saturating_sub(1);
        }
        let due = |after: u8| all || after == 0;
        for (_, bytes) in self.late.extract_if(.., |(after, _)| due(*after)).collect::<Vec<_>>() {
            self.put_if_absent(&bytes);
        }
    }

    fn put(&mut self, whim: Whim, bytes: &[u8], rival: &[u8]) -> PutOutcome {
        self.deliver_late(false);
        let silence = PutOutcome::Unknown(fault(FaultCause::Timeout));
        match whim {
            Whim::Honest => self.put_if_absent(bytes),
            Whim::LostAnswer => {
                self.put_if_absent(bytes);
                silence
            }
            Whim::LostRequest => silence,
            Whim::Late(after) => {
                self.late.push((after, bytes.to_vec()));
                silence
            }
            Whim::Forbidden => PutOutcome::Refused(fault(FaultCause::AccessDenied)),
            Whim::NotSent => PutOutcome::NotSent("refused".to_owned()),
            Whim::RivalFirst => {
                self.put_if_absent(rival);
                self.put_if_absent(bytes)
            }
        }
    }

    fn get(&mut self, whim: Whim) -> GetOutcome {
        self.deliver_late(false);
        match (whim, &self.held) {
            (Whim::Forbidden, _) => GetOutcome::Refused(fault(FaultCause::AccessDenied)),
            (Whim::LostAnswer | Whim::LostRequest | Whim::NotSent, _) => {
                GetOutcome::Unknown(fault(FaultCause::Connection))
            }
            // Some stores' reads lag behind their writes.
            (Whim::Late(0), _) | (_, None) => GetOutcome::Missing,
            (_, Some(bytes)) => GetOutcome::Found(bytes.clone()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_the_store_does_the_verdict_is_true(
        whims in prop::collection::vec(whim(), 1..30),
        random in any::<u64>(),
    ) {
        let (own, rival) = (record(5, 1), record(8, 9));
        let mut store = Register::default();
        let mut append = Append::new(&own, Some(DEADLINE), Backoff::STORE);
        let mut now = Mono(0);
        let mut whims = whims.into_iter().chain(std::iter::repeat(Whim::LostRequest));
        let mut may_be_stored = false;
        let mut step = AppendStep::Put;
        let settled = loop {
            step = match step {
                AppendStep::Put => {
                    let whim = whims.next().expect("endless");
                    let outcome = store.put(whim, append.bytes(), &rival.bytes);
                    may_be_stored |= matches!(outcome, PutOutcome::Unknown(_));
                    now = now + Duration::from_millis(30);
                    append.step(AppendInput::Put(outcome), now, random)
                }
                AppendStep::Get => {
                    let outcome = store.get(whims.next().expect("endless"));
                    now = now + Duration::from_millis(30);
                    append.step(AppendInput::Get(outcome), now, random)
                }
                AppendStep::WaitUntil(until) => {
                    prop_assert!(until <= DEADLINE && until > now);
                    now = until;
                    append.step(AppendInput::Waited, now, random)
                }
                AppendStep::Done(settled) => break settled,
            };
        };
        let at_verdict = store.held.clone();
        store.deliver_late(true);
        match settled {
            // Stored when it was said, and for ever.
            Settled::Committed => {
                prop_assert_eq!(at_verdict.as_deref(), Some(&*own.bytes));
                prop_assert_eq!(store.held.as_deref(), Some(&*own.bytes));
            }
            // Never stored, not even by what was still on its way.
            Settled::Occupied(bytes) => {
                prop_assert_eq!(&bytes[..], &*rival.bytes);
                prop_assert_eq!(store.held, Some(bytes));
            }
            Settled::Config(_) => {
                prop_assert!(!may_be_stored);
                prop_assert_ne!(store.held.as_deref(), Some(&*own.bytes));
            }
            // never_advances_while_unknown: only time ends it, and it says what it knows.
            Settled::Undecided { unknown, .. } => {
                prop_assert!(now >= DEADLINE);
                prop_assert!(unknown || !may_be_stored);
            }
        }
    }
}
