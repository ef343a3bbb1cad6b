//! Every metric of the operator, under the names that alerts, dashboards and documents use.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use rynxs_core::event::KINDS;
use rynxs_operator::kube::{RESOURCES, VERBS};
use rynxs_operator::observe::{ElectionFailure, PutError, Queue, RefusedBy, Resource, Signal};

use super::labels::{Label, code, codes, one_of, with_other};

/// From a local write to a slow round of conditional PUTs and applies.
const RECONCILE_BUCKETS_S: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From an empty log to a million records read one by one.
const REPLAY_BUCKETS_S: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0];

/// Counters, gauges and histograms in a registry of their own.
pub struct Metrics {
    registry: Registry,
    described: Vec<Description>,
    log: Log,
    election: Election,
    work: Work,
}

/// The event log: what was appended, and what went wrong.
struct Log {
    events: IntCounterVec,
    head_seq: IntGauge,
    head_epoch: IntGauge,
    put_errors: IntCounterVec,
    append_unknown: IntCounter,
    replay: Histogram,
    replayed_records: IntGauge,
    checkpoint_create: Histogram,
    checkpoint_verify_failures: IntCounter,
}

impl Log {
    fn new(r: &Builder) -> Self {
        Self {
            events: r.counter_vec(
                "rynxs_events_total",
                "Events acknowledged by the event log, by type.",
                &[("event_type", KINDS.to_vec())],
            ),
            head_seq: r.gauge("rynxs_log_head_seq", "Position of the last acknowledged record."),
            head_epoch: r.gauge("rynxs_log_epoch", "Epoch of the last acknowledged record."),
            put_errors: r.counter_vec(
                "rynxs_s3_put_errors_total",
                "PUTs of records that were not answered by 200, by kind of answer.",
                &[("error_type", PutError::texts())],
            ),
            append_unknown: r.counter(
                "rynxs_append_unknown_total",
                "Appends whose answer left open whether they were applied.",
            ),
            replay: r.histogram(
                "rynxs_replay_duration_seconds",
                "Reading, verifying and reducing the event log at a takeover.",
                &REPLAY_BUCKETS_S,
            ),
            replayed_records: r.gauge(
                "rynxs_replayed_records",
                "Records read at the last takeover of this replica.",
            ),
            checkpoint_create: r.histogram(
                "rynxs_checkpoint_create_duration_seconds",
                "Building, signing and writing a checkpoint.",
                &RECONCILE_BUCKETS_S,
            ),
            checkpoint_verify_failures: r.counter(
                "rynxs_checkpoint_verify_failures_total",
                "Checkpoints that did not verify.",
            ),
        }
    }
}

/// Who leads, and what keeps others from it.
struct Election {
    leading: IntGauge,
    transitions: IntCounter,
    failures: IntCounterVec,
    stale_writes: IntCounterVec,
    term_lost: IntCounter,
    ready: IntGauge,
}

impl Election {
    fn new(r: &Builder) -> Self {
        Self {
            leading: r.gauge(
                "rynxs_leader_election_status",
                "1 while this replica leads, 0 while it follows.",
            ),
            transitions: r.counter(
                "rynxs_leader_election_transitions_total",
                "Times that this replica gained or lost leadership.",
            ),
            failures: r.counter_vec(
                "rynxs_leader_election_failures_total",
                "Failed attempts to acquire, renew or release the Lease, by reason.",
                &[("reason", ElectionFailure::texts())],
            ),
            stale_writes: r.counter_vec(
                "rynxs_stale_writes_refused_total",
                "Requests that write refused as something newer exists, by who refused.",
                &[("cause", RefusedBy::texts())],
            ),
            term_lost: r.counter(
                "rynxs_term_lost_across_write_total",
                "Writes under way when their term ended; their outcome is not recorded.",
            ),
            ready: r.gauge("rynxs_ready", "1 while this replica can serve, leading or following."),
        }
    }
}

/// What bringing the cluster to its desired state takes.
struct Work {
    reconcile: HistogramVec,
    reconcile_errors: IntCounterVec,
    queue_depth: IntGaugeVec,
    queue_full: IntCounterVec,
    requests: IntCounterVec,
}

impl Work {
    fn new(r: &Builder) -> Self {
        Self {
            reconcile: r.histogram_vec(
                "rynxs_reconcile_duration_seconds",
                "From a subject's first pending action to its last outcome.",
                &RECONCILE_BUCKETS_S,
                ("resource_type", Resource::texts()),
            ),
            reconcile_errors: r.counter_vec(
                "rynxs_reconcile_errors_total",
                "Effects that failed for now and are tried again, by kind of their subject.",
                &[("resource_type", Resource::texts())],
            ),
            queue_depth: r.gauge_vec(
                "rynxs_queue_depth",
                "Entries in a bounded queue.",
                ("queue", Queue::texts()),
            ),
            queue_full: r.counter_vec(
                "rynxs_queue_full_total",
                "Times that a bounded queue was full and something waited or was dropped.",
                &[("queue", Queue::texts())],
            ),
            requests: r.counter_vec(
                "rynxs_kubernetes_requests_total",
                "Requests to the API server; code 0 is no answer.",
                &[
                    ("verb", with_other(VERBS)),
                    ("resource", with_other(RESOURCES)),
                    ("code", codes()),
                ],
            ),
        }
    }
}

impl Metrics {
    /// All metrics, registered, every value of a label that stands alone present with value 0.
    #[must_use]
    pub fn new() -> Self {
        let r = Builder { registry: Registry::new(), described: RefCell::default() };
        let version = env!("CARGO_PKG_VERSION");
        let help = "Always 1; says which build runs.";
        r.gauge_vec("rynxs_build_info", help, ("version", vec![version]))
            .with_label_values(&[version])
            .set(1);
        let (log, election, work) = (Log::new(&r), Election::new(&r), Work::new(&r));
        let described = r.described.into_inner();
        Self { registry: r.registry, described, log, election, work }
    }

    /// What is exported, in the order of registration.
    #[must_use]
    pub fn described(&self) -> &[Description] {
        &self.described
    }

    /// Takes note of one signal.
    pub fn note(&self, signal: &Signal) {
        match signal {
            Signal::EventAppended(event_type) => {
                self.log.events.with_label_values(&[event_type]).inc();
            }
            Signal::Reconciled { resource, took } => {
                self.work
                    .reconcile
                    .with_label_values(&[resource.text()])
                    .observe(took.as_secs_f64());
            }
            Signal::ReconcileRetried(resource) => {
                self.work.reconcile_errors.with_label_values(&[resource.text()]).inc();
            }
            Signal::Leading(yes) => self.election.leading.set(i64::from(*yes)),
            Signal::LeaderTransition => self.election.transitions.inc(),
            Signal::ElectionFailure(reason) => {
                self.election.failures.with_label_values(&[reason.text()]).inc();
            }
            Signal::Replayed { took, records, .. } => {
                self.log.replay.observe(took.as_secs_f64());
                self.log.replayed_records.set(number(*records));
            }
            Signal::AppendUnknown => self.log.append_unknown.inc(),
            Signal::PutError(error) => self.log.put_errors.with_label_values(&[error.text()]).inc(),
            Signal::StaleWriteRefused(by) => {
                self.election.stale_writes.with_label_values(&[by.text()]).inc();
            }
            Signal::TermLostAcrossWrite => self.election.term_lost.inc(),
            Signal::QueueDepth(queue, depth) => {
                let depth = i64::try_from(*depth).unwrap_or(i64::MAX);
                self.work.queue_depth.with_label_values(&[queue.text()]).set(depth);
            }
            Signal::QueueFull(queue) => {
                self.work.queue_full.with_label_values(&[queue.text()]).inc()
            }
            Signal::LogHead { seq, epoch } => {
                self.log.head_seq.set(number(seq.0));
                self.log.head_epoch.set(number(epoch.0));
            }
            Signal::KubernetesRequest { verb, resource, code: status } => {
                let labels = [one_of(&VERBS, verb), one_of(&RESOURCES, resource), code(*status)];
                self.work.requests.with_label_values(&labels).inc();
            }
            Signal::Ready(yes) => self.election.ready.set(i64::from(*yes)),
            // That nobody is ready says it.
            Signal::ElectionAlive | Signal::ValidUntil(_) | Signal::LogRefused => {}
            Signal::CheckpointCreated(took) => {
                self.log.checkpoint_create.observe(took.as_secs_f64())
            }
            Signal::CheckpointVerifyFailed => self.log.checkpoint_verify_failures.inc(),
        }
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("writing to memory does not fail and every metric was registered");
        String::from_utf8(text).expect("names, help and labels are UTF-8")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// One exported metric, as `docs/metrics.md` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name, with the unit at its end if it has one.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What it counts or measures.
    pub help: String,
    /// Names of its labels, each with every value that it can have.
    pub labels: Vec<LabelValues>,
}

/// A label's name and every value that it can have.
pub type LabelValues = (&'static str, Vec<&'static str>);

/// Registers metrics and describes them; a wrong or doubled name is a bug of this file.
struct Builder {
    registry: Registry,
    described: RefCell<Vec<Description>>,
}

const VALID: &str = "names and labels here are valid and used once";

fn names(labels: &[LabelValues]) -> Vec<&'static str> {
    labels.iter().map(|(name, _)| *name).collect()
}

impl Builder {
    fn keep<C: Collector + Clone + 'static>(
        &self,
        metric: C,
        kind: &'static str,
        labels: &[LabelValues],
    ) -> C {
        let desc = metric.desc();
        let desc = desc.first().expect("a metric describes itself");
        self.described.borrow_mut().push(Description {
            name: desc.fq_name.clone(),
            kind,
            help: desc.help.clone(),
            labels: labels.to_vec(),
        });
        self.registry.register(Box::new(metric.clone())).expect(VALID);
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::new(name, help).expect(VALID), "counter", &[])
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::new(name, help).expect(VALID), "gauge", &[])
    }

    /// Of several labels only the combinations that happen are exported, of one label all values.
    fn counter_vec(&self, name: &str, help: &str, labels: &[LabelValues]) -> IntCounterVec {
        let metric = IntCounterVec::new(Opts::new(name, help), &names(labels)).expect(VALID);
        if let [(_, values)] = labels {
            for value in values {
                metric.with_label_values(&[value]);
            }
        }
        self.keep(metric, "counter", labels)
    }

    fn gauge_vec(&self, name: &str, help: &str, label: LabelValues) -> IntGaugeVec {
        let metric = IntGaugeVec::new(Opts::new(name, help), &[label.0]).expect(VALID);
        for value in &label.1 {
            metric.with_label_values(&[value]);
        }
        self.keep(metric, "gauge", &[label])
    }

    fn histogram(&self, name: &str, help: &str, buckets_s: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets_s.to_vec());
        self.keep(Histogram::with_opts(options).expect(VALID), "histogram", &[])
    }

    fn histogram_vec(
        &self,
        name: &str,
        help: &str,
        buckets_s: &[f64],
        label: LabelValues,
    ) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets_s.to_vec());
        let metric = HistogramVec::new(options, &[label.0]).expect(VALID);
        for value in &label.1 {
            metric.with_label_values(&[value]);
        }
        self.keep(metric, "histogram", &[label])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use rynxs_core::ids::{Epoch, Seq};

    use super::*;

    #[test]
    fn every_series_of_a_closed_list_is_there_before_anything_happened() {
        let text = Metrics::new().render();
        assert!(text.contains("rynxs_s3_put_errors_total{error_type=\"access_denied\"} 0"));
        assert!(text.contains("rynxs_leader_election_failures_total{reason=\"conflict\"} 0"));
        assert!(text.contains("rynxs_events_total{event_type=\"EpochStarted\"} 0"));
    }

    /// One of each signal, with the series that it moves and their new values.
    fn moves() -> Vec<(Signal, &'static [&'static str])> {
        let took = Duration::from_secs(2);
        let resource = Resource::Agent;
        vec![
            (
                Signal::EventAppended("AgentObserved"),
                &["rynxs_events_total{event_type=\"AgentObserved\"} 1"],
            ),
            (
                Signal::Reconciled { resource, took },
                &[
                    "rynxs_reconcile_duration_seconds_sum{resource_type=\"agent\"} 2",
                    "rynxs_reconcile_duration_seconds_count{resource_type=\"agent\"} 1",
                ],
            ),
            (
                Signal::ReconcileRetried(Resource::Session),
                &["rynxs_reconcile_errors_total{resource_type=\"session\"} 1"],
            ),
            (Signal::Leading(true), &["rynxs_leader_election_status 1"]),
            (Signal::LeaderTransition, &["rynxs_leader_election_transitions_total 1"]),
            (
                Signal::ElectionFailure(ElectionFailure::Throttled),
                &["rynxs_leader_election_failures_total{reason=\"throttled\"} 1"],
            ),
            (
                Signal::Replayed { took, records: 9, events: 12 },
                &[
                    "rynxs_replay_duration_seconds_sum 2",
                    "rynxs_replay_duration_seconds_count 1",
                    "rynxs_replayed_records 9",
                ],
            ),
            (Signal::AppendUnknown, &["rynxs_append_unknown_total 1"]),
            (
                Signal::PutError(PutError::NoSuchBucket),
                &["rynxs_s3_put_errors_total{error_type=\"no_such_bucket\"} 1"],
            ),
            (
                Signal::StaleWriteRefused(RefusedBy::Policy),
                &["rynxs_stale_writes_refused_total{cause=\"policy\"} 1"],
            ),
            (Signal::TermLostAcrossWrite, &["rynxs_term_lost_across_write_total 1"]),
            (Signal::QueueDepth(Queue::Journal, 5), &["rynxs_queue_depth{queue=\"journal\"} 5"]),
            (Signal::QueueFull(Queue::Watch), &["rynxs_queue_full_total{queue=\"watch\"} 1"]),
            (
                Signal::LogHead { seq: Seq(7), epoch: Epoch(1_000_003) },
                &["rynxs_log_head_seq 7", "rynxs_log_epoch 1000003"],
            ),
            (
                Signal::KubernetesRequest { verb: "patch", resource: "jobs", code: 418 },
                &["rynxs_kubernetes_requests_total\
                    {code=\"other\",resource=\"jobs\",verb=\"patch\"} 1"],
            ),
            (Signal::Ready(true), &["rynxs_ready 1"]),
            (Signal::ElectionAlive, &[]),
            (Signal::ValidUntil(None), &[]),
            (Signal::LogRefused, &[]),
            (
                Signal::CheckpointCreated(took),
                &[
                    "rynxs_checkpoint_create_duration_seconds_sum 2",
                    "rynxs_checkpoint_create_duration_seconds_count 1",
                ],
            ),
            (Signal::CheckpointVerifyFailed, &["rynxs_checkpoint_verify_failures_total 1"]),
        ]
    }

    /// The series of a rendering, without the buckets, which the count implies.
    fn series(text: &str) -> BTreeSet<String> {
        let is_series = |line: &&str| !line.starts_with('#') && !line.contains("_bucket{");
        text.lines().filter(is_series).map(str::to_owned).collect()
    }

    #[test]
    fn a_signal_moves_its_metrics_and_no_others() {
        let nothing = series(&Metrics::new().render());
        for (signal, expected) in moves() {
            let metrics = Metrics::new();
            metrics.note(&signal);
            let after = series(&metrics.render());
            let moved: BTreeSet<_> = after.difference(&nothing).map(String::as_str).collect();
            assert_eq!(moved, expected.iter().copied().collect(), "{signal:?}");
        }
    }

    #[test]
    fn every_metric_is_moved_by_a_signal() {
        let moves = moves();
        let lines: Vec<&str> = moves.iter().flat_map(|(_, lines)| lines.iter().copied()).collect();
        for metric in Metrics::new().described() {
            let moved = lines.iter().any(|line| line.starts_with(&metric.name));
            assert!(moved || metric.name == "rynxs_build_info", "{} stands still", metric.name);
        }
    }
}
