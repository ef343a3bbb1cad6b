//! The operator's settings in a run, and the first line of its stream.

use std::time::Duration;

use rynxs_core::config::{Checksum, Config, FileStore, OnMissingLog, S3Store, Secret, Store};
use rynxs_judge::event::{Head, Terms};

use super::servers::{BUCKET, NAMESPACE, OPERATOR, PREFIX};
use crate::fault;
use crate::scenario::{Do, Scenario, StoreKind, Who};

/// Directory of a log in files.
pub(crate) const LOG_DIR: &str = "log";

/// The settings of one replica.
pub(crate) fn config(scenario: &Scenario, index: u32) -> Config {
    let mut config = Config {
        identity_prefix: format!("rynxs-{index}"),
        replicas: scenario.replicas,
        ..Config::default()
    };
    config.log_sink.store = match scenario.store {
        StoreKind::File => Store::File(FileStore { dir: LOG_DIR.to_owned() }),
        StoreKind::S3 => Store::S3(S3Store {
            endpoint: Some("http://s3.rynxs.svc:9000".to_owned()),
            bucket: BUCKET.to_owned(),
            prefix: PREFIX.to_owned(),
            region: "us-east-1".to_owned(),
            path_style: true,
            access_key: Secret::new("key"),
            secret_key: Secret::new("secret"),
            session_token: None,
            checksum: Checksum::Sha256,
        }),
    };
    let settings = &scenario.settings;
    let set = |target: &mut Duration, ms: Option<u64>| {
        if let Some(ms) = ms {
            *target = Duration::from_millis(ms);
        }
    };
    let election = &mut config.leader_election;
    // A file has a single writer by nature: nobody to be elected against.
    set(&mut election.lease_duration, settings.lease_s.map(|s| s * 1_000));
    set(&mut election.renew_deadline, settings.renew_deadline_ms);
    set(&mut election.retry_period, settings.retry_period_ms);
    set(&mut election.request_timeout, settings.request_timeout_ms);
    set(&mut election.stop_grace, settings.stop_grace_ms);
    if let Some(ppm) = settings.clock_rate_error_ppm {
        election.clock_rate_error_ppm = ppm;
    }
    set(&mut config.append.deadline, settings.append_deadline_ms);
    set(&mut config.reconcile.resync, settings.resync_s.map(|s| s * 1_000));
    config.append.max_events = settings.max_events.unwrap_or(config.append.max_events);
    config.reconcile.concurrency = settings.concurrency.unwrap_or(config.reconcile.concurrency);
    if settings.adopt_missing_log {
        config.log_sink.on_missing_log = OnMissingLog::Adopt;
    }
    config
}

/// The first line.
pub(super) fn head(scenario: &Scenario, seed: u64) -> Head {
    let config = config(scenario, 0);
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let election = &config.leader_election;
    Head {
        scenario: serde_json::to_value(scenario).expect("a scenario is plain data"),
        seed,
        replicas: scenario.replica_names(),
        operator: OPERATOR.to_owned(),
        namespaces: vec![NAMESPACE.to_owned()],
        terms: Terms {
            lease_ms: ms(election.lease_duration),
            renew_deadline_ms: ms(election.renew_deadline),
            retry_period_ms: ms(election.retry_period),
            request_timeout_ms: ms(election.request_timeout),
            stop_grace_ms: ms(election.stop_grace),
            clock_rate_error_ppm: election.clock_rate_error_ppm,
            backoff_max_ms: ms(config.reconcile.backoff_max),
            resync_ms: ms(config.reconcile.resync),
        },
        settings: serde_json::to_value(&config.decisions).expect("settings are plain data"),
        excused: fault::excuses(scenario),
    }
}

/// Whether a step moves the clock of this replica: then its sleepers must hear of it.
pub(super) fn moves_clock(what: &Do, index: u32) -> bool {
    match what {
        Do::ClockRate { who, .. } | Do::ClockJump { who, .. } => match who {
            Who::Replica(moved) => *moved == index,
            _ => true,
        },
        _ => false,
    }
}
