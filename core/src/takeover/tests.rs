//! I3 on the writing side: takeovers that race each other, a zombie, and a store without mercy.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::*;
use crate::append::{
    Append, AppendInput, AppendStep, Backoff, ExistsOutcome, Fault, FaultCause, GetOutcome,
    ListOutcome, Listed, Lost, PutOutcome, Settled, judge,
};
use crate::chain::Chain;
use crate::event::{DecisionSettings, Event};
use crate::ids::{Epoch, Hash, LogId, Nonce, Seq, WriterId};
use crate::record::{EncodedEvent, EncodedRecord, Header, decode, encode, sha256};
use crate::time::{Mono, WallMs};

fn genesis(writer: &WriterId, nonce: Nonce) -> EncodedRecord {
    let header = Header {
        seq: Seq::ZERO,
        prev_hash: Hash::ZERO,
        epoch: Epoch(3_000_000),
        writer: writer.clone(),
        nonce,
        ts_ms: WallMs(0),
    };
    let log_id = LogId(nonce.to_string());
    let event = Event::LogStarted { log_id, base: 3_000_000, predecessors: Vec::new() };
    encode(&header, &[EncodedEvent::new(&event)])
}

fn epoch_record(chain: &Chain, writer: &WriterId, nonce: Nonce) -> EncodedRecord {
    let header = chain.next_epoch_header(writer.clone(), nonce, WallMs(0));
    let event = Event::EpochStarted {
        epoch: header.epoch,
        identity: writer.clone(),
        build: "test".to_owned(),
        logic: 1,
        settings: DecisionSettings {
            default_image: "image".to_owned(),
            default_storage_class: String::new(),
            session_max_duration_s: 1,
        },
    };
    encode(&header, &[EncodedEvent::new(&event)])
}

fn fact() -> EncodedEvent {
    EncodedEvent::new(&Event::TailRepaired { bytes: 1, sha256: sha256(b"") })
}

fn silence() -> Fault {
    Fault::new(FaultCause::Timeout, "silence")
}

/// A store and the puts that are still on their way to it.
#[derive(Default)]
struct World {
    records: BTreeMap<Seq, Vec<u8>>,
    late: Vec<(Seq, Vec<u8>)>,
    calm: bool,
    leads: Vec<(WriterId, Seq)>,
    acked: Vec<(Seq, Vec<u8>)>,
    fenced: usize,
}

impl World {
    fn put_if_absent(&mut self, seq: Seq, bytes: &[u8]) -> PutOutcome {
        if self.records.contains_key(&seq) {
            return PutOutcome::AlreadyExists;
        }
        self.records.insert(seq, bytes.to_vec());
        PutOutcome::Committed
    }

    fn deliver(&mut self, index: usize) {
        let (seq, bytes) = self.late.remove(index);
        self.put_if_absent(seq, &bytes);
    }

    fn put(&mut self, seq: Seq, bytes: &[u8], rng: &mut TestRng) -> PutOutcome {
        if self.calm {
            return self.put_if_absent(seq, bytes);
        }
        match rng.random_range(0..8) {
            0 => {
                self.put_if_absent(seq, bytes);
                PutOutcome::Unknown(silence())
            }
            1 => PutOutcome::Unknown(silence()),
            2 => {
                self.late.push((seq, bytes.to_vec()));
                PutOutcome::Unknown(silence())
            }
            3 => PutOutcome::NotSent("not sent".to_owned()),
            _ => self.put_if_absent(seq, bytes),
        }
    }

    fn answers(&self, rng: &mut TestRng) -> bool {
        self.calm || rng.random_range(0..6) > 0
    }
}

/// A replica: takes over, then appends until it is fenced.
struct Replica {
    writer: WriterId,
    nonces: u128,
    chain: Chain,
    takeover: Takeover,
    step: TakeoverStep,
    append: Option<(Append, AppendStep, EncodedRecord)>,
    leads: bool,
    over: bool,
}

const NOW: Mono = Mono(0);

impl Replica {
    fn new(index: u128) -> Self {
        let (takeover, step) = Takeover::new(Seq::ZERO);
        Self {
            writer: WriterId(format!("replica-{index}")),
            nonces: index << 64,
            chain: Chain::new(),
            takeover,
            step,
            append: None,
            leads: false,
            over: false,
        }
    }

    fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        Nonce(self.nonces.to_be_bytes())
    }

    /// One request to the store, or one wait.
    fn go(&mut self, world: &mut World, rng: &mut TestRng) {
        if self.over {
            return;
        }
        if self.append.is_some() {
            return self.go_append(world, rng);
        }
        if self.leads {
            let nonce = self.nonce();
            let header = self.chain.next_header(nonce, WallMs(0));
            return self.start(encode(&header, &[fact()]));
        }
        let input = match self.step.clone() {
            TakeoverStep::Probe(asked) => TakeoverInput::Probed(
                asked.into_iter().map(|seq| (seq, self.exists(seq, world, rng))).collect(),
            ),
            TakeoverStep::ListAfter(after) => TakeoverInput::Listed(list(after, world, rng)),
            TakeoverStep::Read { from, to } => self.read(from, to, world, rng),
            TakeoverStep::PutFirstAgain => {
                let first = world.records[&Seq::ZERO].clone();
                TakeoverInput::FirstPutAgain(world.put(Seq::ZERO, &first, rng))
            }
            TakeoverStep::AskLease => TakeoverInput::Lease(true),
            TakeoverStep::StartLog => {
                let nonce = self.nonce();
                return self.start(genesis(&self.writer, nonce));
            }
            TakeoverStep::StartEpoch(seq) => {
                assert_eq!(seq, self.chain.next_seq());
                let nonce = self.nonce();
                return self.start(epoch_record(&self.chain, &self.writer, nonce));
            }
            TakeoverStep::WaitUntil(_) => TakeoverInput::Waited,
            TakeoverStep::Leads(seq) => {
                world.leads.push((self.writer.clone(), seq));
                self.leads = true;
                return;
            }
            TakeoverStep::Failed(fault) => panic!("{}: {fault}", self.writer),
        };
        self.step = self.takeover.step(input, NOW, 0);
    }

    fn start(&mut self, record: EncodedRecord) {
        let append = Append::new(&record, None, Backoff::STORE);
        self.append = Some((append, AppendStep::Put, record));
    }

    fn go_append(&mut self, world: &mut World, rng: &mut TestRng) {
        let (mut append, step, record) = self.append.take().expect("asked before");
        let step = match step {
            AppendStep::Put => {
                let outcome = world.put(append.seq(), append.bytes(), rng);
                append.step(AppendInput::Put(outcome), NOW, 0)
            }
            AppendStep::Get => {
                let outcome = match world.records.get(&append.seq()) {
                    Some(bytes) if world.answers(rng) => GetOutcome::Found(bytes.clone()),
                    _ => GetOutcome::Unknown(silence()),
                };
                append.step(AppendInput::Get(outcome), NOW, 0)
            }
            AppendStep::WaitUntil(_) => append.step(AppendInput::Waited, NOW, 0),
            AppendStep::Done(settled) => return self.settled(settled, &record, world),
        };
        self.append = Some((append, step, record));
    }

    fn settled(&mut self, settled: Settled, record: &EncodedRecord, world: &mut World) {
        match settled {
            Settled::Committed => {
                self.chain.push(&record.bytes).expect("what we wrote continues our chain");
                world.acked.push((record.seq, record.bytes.to_vec()));
                if !self.leads {
                    let input = TakeoverInput::Appended(Appended::Committed);
                    self.step = self.takeover.step(input, NOW, 0);
                }
            }
            Settled::Occupied(bytes) if self.leads => {
                let own = self.chain.epoch().expect("leads");
                match judge(record.seq, own, &bytes) {
                    Lost::Fenced { epoch, .. } => assert!(epoch > own),
                    Lost::Corrupt(why) => panic!("{}: {why}", self.writer),
                }
                world.fenced += 1;
                self.over = true;
            }
            Settled::Occupied(_) => {
                let input = TakeoverInput::Appended(Appended::Occupied);
                self.step = self.takeover.step(input, NOW, 0);
            }
            other => panic!("{other:?} without a deadline or refusals"),
        }
    }

    fn exists(&self, seq: Seq, world: &World, rng: &mut TestRng) -> ExistsOutcome {
        match world.records.contains_key(&seq) {
            _ if !world.answers(rng) => ExistsOutcome::Unknown(silence()),
            true => ExistsOutcome::Yes,
            false => ExistsOutcome::No,
        }
    }

    fn read(&mut self, from: Seq, to: Seq, world: &World, rng: &mut TestRng) -> TakeoverInput {
        assert_eq!(from, self.chain.next_seq());
        for seq in from.0..to.0 {
            if !world.answers(rng) {
                let fault = Some(TakeoverFault::Retry("silence".to_owned()));
                return TakeoverInput::Read { next: Seq(seq), fault };
            }
            self.chain.push(&world.records[&Seq(seq)]).expect("the log is right");
        }
        TakeoverInput::Read { next: to, fault: None }
    }
}

fn list(after: Option<Seq>, world: &World, rng: &mut TestRng) -> ListOutcome {
    if !world.answers(rng) {
        return ListOutcome::Unknown(silence());
    }
    let next = world.records.keys().find(|seq| after.is_none_or(|after| **seq > after));
    ListOutcome::Next(next.map(|seq| Listed::Record(*seq)))
}

/// Every claim about the log, from its bytes alone.
fn judge_world(world: &World) {
    let mut chain = Chain::new();
    for (expected, (seq, bytes)) in world.records.iter().enumerate() {
        assert_eq!(seq.0, expected as u64, "dense");
        chain.push(bytes).expect("I1 and I3");
    }
    for (seq, bytes) in &world.acked {
        assert_eq!(world.records.get(seq), Some(bytes), "I2: acknowledged, so in the log");
    }
    for (writer, seq) in &world.leads {
        let record = decode(&world.records[seq]).expect("verified above");
        assert_eq!(record.raw_event(0).kind, "EpochStarted");
        assert_eq!(&record.header.writer, writer, "I3: the epoch is its writer's");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn racing_takeovers_and_zombies_leave_one_right_log(
        mut rng in any::<u64>().prop_perturb(|_, rng| rng).no_shrink(),
        replicas in 2usize..5,
        steps in 50usize..400,
    ) {
        let mut world = World::default();
        let mut all: Vec<_> = (0..replicas as u128).map(Replica::new).collect();
        for _ in 0..steps {
            if !world.late.is_empty() && rng.random_range(0..10) == 0 {
                let index = rng.random_range(0..world.late.len());
                world.deliver(index);
            }
            let index = rng.random_range(0..all.len());
            all[index].go(&mut world, &mut rng);
        }
        judge_world(&world);
        // What was on its way arrives, the store heals, one more replica takes over; the others
        // are zombies that go on appending.
        while !world.late.is_empty() {
            world.deliver(0);
        }
        judge_world(&world);
        world.calm = true;
        let mut last = Replica::new(99);
        for _ in 0..60 {
            last.go(&mut world, &mut rng);
        }
        prop_assert!(last.leads, "it takes over once the store is well: {:?}", last.step);
        for zombie in &mut all {
            for _ in 0..60 {
                if zombie.leads || zombie.append.is_some() {
                    zombie.go(&mut world, &mut rng);
                }
                if !zombie.leads {
                    break;
                }
            }
            prop_assert!(!zombie.leads || zombie.over, "zombie_append_loses_to_epoch_started");
        }
        judge_world(&world);
    }
}

fn honest(replica: &mut Replica, world: &mut World, rounds: usize) {
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    world.calm = true;
    for _ in 0..rounds {
        replica.go(world, &mut rng);
    }
}

#[test]
fn zombie_append_loses_to_epoch_started() {
    let mut world = World::default();
    let mut old = Replica::new(1);
    while !old.leads {
        honest(&mut old, &mut world, 1);
    }
    let stale = encode(&old.chain.next_header(Nonce([9; 16]), WallMs(0)), &[fact()]);
    let mut new = Replica::new(2);
    while !new.leads {
        honest(&mut new, &mut world, 1);
    }
    assert_eq!(world.leads.last().map(|(_, seq)| *seq), Some(stale.seq), "the same place");
    assert_eq!(world.put_if_absent(stale.seq, &stale.bytes), PutOutcome::AlreadyExists);
    let own = old.chain.epoch().unwrap();
    let verdict = judge(stale.seq, own, &world.records[&stale.seq]);
    assert_eq!(
        verdict,
        Lost::Fenced { epoch: Epoch(3_000_000 + stale.seq.0), writer: new.writer.clone() }
    );
}

#[test]
fn a_late_record_of_the_old_leader_is_adopted() {
    let mut world = World::default();
    let mut old = Replica::new(1);
    while !old.leads {
        honest(&mut old, &mut world, 1);
    }
    let late = encode(&old.chain.next_header(Nonce([9; 16]), WallMs(0)), &[fact()]);
    let mut new = Replica::new(2);
    while !matches!(new.step, TakeoverStep::StartEpoch(_)) {
        honest(&mut new, &mut world, 1);
    }
    honest(&mut new, &mut world, 1);
    assert_eq!(world.put_if_absent(late.seq, &late.bytes), PutOutcome::Committed);
    while !new.leads {
        honest(&mut new, &mut world, 1);
    }
    judge_world(&world);
    assert_eq!(world.leads.last().map(|(_, seq)| *seq), Some(late.seq.next()));
}

#[test]
fn every_tail_is_found_in_few_rounds() {
    for (from, records) in [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 7),
        (0, 255),
        (0, 256),
        (0, 5_000),
        (0, 1_000_000),
        (4_990, 4_990),
        (4_990, 5_000),
        (0, 9_999_999_999),
        (0, 10_000_000_000),
    ] {
        let (mut takeover, mut step) = Takeover::new(Seq(from));
        let mut rounds = 0;
        while let TakeoverStep::Probe(asked) = &step {
            assert!(!asked.is_empty() && asked.len() <= PROBES);
            let answer =
                |seq: &Seq| if seq.0 < records { ExistsOutcome::Yes } else { ExistsOutcome::No };
            let answers = asked.iter().map(|seq| (*seq, answer(seq))).collect();
            step = takeover.step(TakeoverInput::Probed(answers), NOW, 0);
            rounds += 1;
        }
        let after = records.checked_sub(1).map(Seq);
        assert_eq!(step, TakeoverStep::ListAfter(after), "{from} {records}");
        assert!(rounds <= 17, "{records}: {rounds} rounds");
        assert!(records > 5_000 || rounds <= 6, "{records}: {rounds} rounds");
    }
}

/// A takeover of a verified log of five records, at its listing.
fn listing() -> Takeover {
    let (mut takeover, step) = Takeover::new(Seq(5));
    let TakeoverStep::Probe(asked) = step else { panic!("{step:?}") };
    let answers = asked.into_iter().map(|seq| (seq, ExistsOutcome::No)).collect();
    let step = takeover.step(TakeoverInput::Probed(answers), NOW, 0);
    assert_eq!(step, TakeoverStep::ListAfter(Some(Seq(4))));
    takeover
}

fn listed(next: Option<Listed>) -> TakeoverStep {
    listing().step(TakeoverInput::Listed(ListOutcome::Next(next)), NOW, 0)
}

#[test]
fn a_hole_is_corruption() {
    let step = listed(Some(Listed::Record(Seq(6))));
    let TakeoverStep::Failed(TakeoverFault::Corrupt(why)) = step else { panic!("{step:?}") };
    assert!(why.contains("record 5 is missing, but record 6 exists"), "{why}");
}

#[test]
fn a_foreign_key_is_corruption() {
    let step = listed(Some(Listed::Foreign("events/readme.txt".to_owned())));
    let TakeoverStep::Failed(TakeoverFault::Corrupt(why)) = step else { panic!("{step:?}") };
    assert!(why.contains("events/readme.txt"), "{why}");
}

#[test]
fn a_log_that_grew_is_followed() {
    let step = listed(Some(Listed::Record(Seq(5))));
    let TakeoverStep::Probe(asked) = step else { panic!("{step:?}") };
    assert_eq!(asked[0], Seq(6));
}

#[test]
fn a_store_that_ignores_the_condition_is_refused() {
    let mut takeover = listing();
    let step = takeover.step(TakeoverInput::Listed(ListOutcome::Next(None)), NOW, 0);
    assert_eq!(step, TakeoverStep::PutFirstAgain);
    let mut patient = takeover.clone();
    let answer = TakeoverInput::FirstPutAgain(PutOutcome::Committed);
    let step = takeover.step(answer, NOW, 0);
    let TakeoverStep::Failed(TakeoverFault::Config(why)) = step else { panic!("{step:?}") };
    assert!(why.contains("ignores the condition"), "{why}");

    let answer = TakeoverInput::FirstPutAgain(PutOutcome::Unknown(silence()));
    assert!(matches!(patient.step(answer, NOW, 0), TakeoverStep::WaitUntil(_)));
    assert_eq!(patient.step(TakeoverInput::Waited, NOW, 0), TakeoverStep::PutFirstAgain);
    let answer = TakeoverInput::FirstPutAgain(PutOutcome::AlreadyExists);
    assert_eq!(patient.step(answer, NOW, 0), TakeoverStep::AskLease);
    let step = patient.clone().step(TakeoverInput::Lease(false), NOW, 0);
    assert_eq!(step, TakeoverStep::Failed(TakeoverFault::NotLeading));
    let step = patient.step(TakeoverInput::Lease(true), NOW, 0);
    assert_eq!(step, TakeoverStep::StartEpoch(Seq(5)));
}

#[test]
fn the_lease_is_asked_about_before_every_further_attempt() {
    let mut takeover = listing();
    let calm = [
        TakeoverInput::Listed(ListOutcome::Next(None)),
        TakeoverInput::FirstPutAgain(PutOutcome::AlreadyExists),
        TakeoverInput::Lease(true),
    ];
    for input in calm {
        takeover.step(input, NOW, 0);
    }
    let step = takeover.step(TakeoverInput::Appended(Appended::Occupied), NOW, 0);
    let TakeoverStep::Probe(asked) = step else { panic!("{step:?}") };
    assert_eq!(asked[0], Seq(6), "what stands at 5 is read, not overwritten");
    let answers = asked.into_iter().map(|seq| (seq, ExistsOutcome::No)).collect();
    takeover.step(TakeoverInput::Probed(answers), NOW, 0);
    let step = takeover.step(TakeoverInput::Listed(ListOutcome::Next(None)), NOW, 0);
    assert_eq!(step, TakeoverStep::Read { from: Seq(5), to: Seq(6) });
    let step = takeover.step(TakeoverInput::Read { next: Seq(6), fault: None }, NOW, 0);
    assert_eq!(step, TakeoverStep::AskLease);
    let step = takeover.step(TakeoverInput::Lease(false), NOW, 0);
    assert_eq!(step, TakeoverStep::Failed(TakeoverFault::NotLeading));
}

#[test]
fn unusable_answers_are_asked_for_again() {
    let (mut takeover, step) = Takeover::new(Seq(5));
    let TakeoverStep::Probe(asked) = &step else { panic!("{step:?}") };
    let unknown = asked.iter().map(|seq| (*seq, ExistsOutcome::Unknown(silence()))).collect();
    let wait = takeover.step(TakeoverInput::Probed(unknown), NOW, 0);
    assert!(matches!(wait, TakeoverStep::WaitUntil(_)));
    assert_eq!(takeover.step(TakeoverInput::Waited, NOW, 0), step);

    let mut takeover = listing();
    let unknown = TakeoverInput::Listed(ListOutcome::Unknown(silence()));
    assert!(matches!(takeover.step(unknown, NOW, 0), TakeoverStep::WaitUntil(_)));
    let again = takeover.step(TakeoverInput::Waited, NOW, 0);
    assert_eq!(again, TakeoverStep::ListAfter(Some(Seq(4))));
}
