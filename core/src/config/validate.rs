//! The checks of all settings but the election's timing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{Config, ConfigError, REDACTED, S3Store, Secret, Store, names};

/// Checks everything but timing.
pub(super) fn check(config: &Config, errors: &mut Vec<ConfigError>) {
    check_identity(config, errors);
    check_single_writer(config, errors);
    match &config.log_sink.store {
        Store::File(file) => check_dir(&file.dir, errors),
        Store::S3(s3) => check_s3(s3, errors),
    }
    check_append(config, errors);
    check_reconcile(config, errors);
    check_decisions(config, errors);
}

fn form(
    setting: &'static str,
    value: &str,
    problem: Option<String>,
    fix: &str,
    errors: &mut Vec<ConfigError>,
) {
    if let Some(problem) = problem {
        errors.push(ConfigError {
            setting,
            value: format!("{value:?}"),
            problem,
            fix: fix.to_owned(),
        });
    }
}

/// `min <= value <= max`.
fn range<T: PartialOrd + Copy + fmt::Debug + std::ops::Sub<Output = T>>(
    setting: &'static str,
    value: T,
    (min, max): (T, T),
    errors: &mut Vec<ConfigError>,
) {
    let problem = if value < min {
        format!("must be at least {min:?}, under by {:?}", min - value)
    } else if value > max {
        format!("must be at most {max:?}, over by {:?}", value - max)
    } else {
        return;
    };
    errors.push(ConfigError {
        setting,
        value: format!("{value:?}"),
        problem,
        fix: format!("set it between {min:?} and {max:?}"),
    });
}

fn check_identity(config: &Config, errors: &mut Vec<ConfigError>) {
    let pod = &config.identity_prefix;
    form("identityPrefix", pod, names::dns_subdomain(pod), "use the pod's name", errors);
    let election = &config.leader_election;
    form(
        "leaderElection.namespace",
        &election.namespace,
        names::dns_label(&election.namespace),
        "use the namespace that rynxs is installed in",
        errors,
    );
    form(
        "leaderElection.leaseName",
        &election.lease_name,
        names::dns_subdomain(&election.lease_name),
        "use a name such as rynxs-leader, the one that the Role names",
        errors,
    );
    let mut seen = BTreeSet::new();
    for namespace in &config.namespaces {
        let problem = names::dns_label(namespace)
            .or_else(|| (!seen.insert(namespace)).then(|| "stands twice in the list".to_owned()));
        form("namespaces", namespace, problem, "list each existing namespace once", errors);
    }
    // Eight watches each: 64 namespaces are 512 streams, more belong to one cluster-wide watch.
    if config.namespaces.len() > 64 {
        errors.push(ConfigError {
            setting: "namespaces",
            value: format!("{} namespaces", config.namespaces.len()),
            problem: format!("must be at most 64, over by {}", config.namespaces.len() - 64),
            fix: "leave the list empty to watch all namespaces".to_owned(),
        });
    }
}

fn check_single_writer(config: &Config, errors: &mut Vec<ConfigError>) {
    range("replicas", config.replicas, (1, 9), errors);
    let more = config.replicas.saturating_sub(1);
    if more == 0 {
        return;
    }
    if matches!(config.log_sink.store, Store::File(_)) {
        errors.push(ConfigError {
            setting: "logSink.type",
            value: "file".to_owned(),
            problem: format!(
                "replicas <= 1 is broken: {} replicas, {more} too many, as files of one machine \
                 cannot be elected over: each replica would write a log of its own",
                config.replicas
            ),
            fix: "set replicas to 1, or use the s3 store".to_owned(),
        });
    }
    if !config.leader_election.enabled {
        errors.push(ConfigError {
            setting: "leaderElection.enabled",
            value: "false".to_owned(),
            problem: format!(
                "replicas <= 1 is broken: {} replicas, {more} too many, as all of them would lead \
                 and depose each other at every append",
                config.replicas
            ),
            fix: "set it to true, or replicas to 1".to_owned(),
        });
    }
}

fn check_dir(dir: &str, errors: &mut Vec<ConfigError>) {
    let problem = if dir.is_empty() {
        Some("must not be empty")
    } else if dir.contains('\0') {
        Some("has a NUL character")
    } else if dir.starts_with('/') || dir.split('/').any(|part| matches!(part, ".." | "." | "")) {
        Some("must be a relative path below the storage root, without empty parts, '.' and '..'")
    } else {
        None
    };
    let fix = "use a name such as log; the root directory is a setting of the binary";
    form("logSink.file.dir", dir, problem.map(str::to_owned), fix, errors);
}

fn check_s3(s3: &S3Store, errors: &mut Vec<ConfigError>) {
    form(
        "logSink.s3.bucket",
        &s3.bucket,
        names::bucket(&s3.bucket),
        "use the name of an existing bucket",
        errors,
    );
    form(
        "logSink.s3.prefix",
        &s3.prefix,
        names::key_prefix(&s3.prefix),
        "use a prefix such as events",
        errors,
    );
    form(
        "logSink.s3.region",
        &s3.region,
        names::region(&s3.region),
        "use a region such as us-east-1",
        errors,
    );
    if let Some(endpoint) = &s3.endpoint {
        let problem = names::endpoint(endpoint);
        let fix = "use an address such as http://minio:9000, or leave it out for AWS";
        form("logSink.s3.endpoint", endpoint, problem, fix, errors);
    }
    let https = s3.endpoint.as_deref().is_none_or(|address| address.starts_with("https://"));
    if https && !s3.path_style && s3.bucket.contains('.') {
        errors.push(ConfigError {
            setting: "logSink.s3.bucket",
            value: format!("{:?}", s3.bucket),
            problem: "has a dot, which no wildcard certificate covers as a host name".to_owned(),
            fix: "set logSink.s3.pathStyle to true, or use a bucket without dots".to_owned(),
        });
    }
    secret("logSink.s3.accessKey", &s3.access_key, errors);
    secret("logSink.s3.secretKey", &s3.secret_key, errors);
    if let Some(token) = &s3.session_token {
        secret("logSink.s3.sessionToken", token, errors);
    }
}

fn secret(setting: &'static str, value: &Secret, errors: &mut Vec<ConfigError>) {
    let text = value.reveal();
    let (shown, problem) = if text.is_empty() {
        ("\"\"", "must not be empty")
    } else if text == REDACTED {
        (REDACTED, "is the mark that is printed in place of a secret, not a secret")
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        (REDACTED, "has a space, line end or control character, as a badly cut Secret has")
    } else {
        return;
    };
    errors.push(ConfigError {
        setting,
        value: shown.to_owned(),
        problem: problem.to_owned(),
        fix: "set it from the Secret with the bucket's credentials".to_owned(),
    });
}

fn check_append(config: &Config, errors: &mut Vec<ConfigError>) {
    let append = &config.append;
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    range("append.maxEvents", append.max_events, (1, 1024), errors);
    range("append.maxBytes", append.max_bytes, (64 << 10, 8 << 20), errors);
    range("append.flushDelay", append.flush_delay, (Duration::ZERO, s(1)), errors);
    range("append.requestTimeout", append.request_timeout, (ms(100), s(60)), errors);
    range("append.deadline", append.deadline, (s(1), s(300)), errors);
    if append.request_timeout >= append.deadline {
        errors.push(ConfigError {
            setting: "append.deadline",
            value: format!("{:?}", append.deadline),
            problem: format!(
                "requestTimeout < deadline is broken: {:?} is not less than {:?}, over by {:?}, so \
                 no append could be tried twice",
                append.request_timeout,
                append.deadline,
                append.request_timeout - append.deadline
            ),
            fix: format!("set it to {:?} or more", append.request_timeout.saturating_mul(3)),
        });
    }
}

fn check_reconcile(config: &Config, errors: &mut Vec<ConfigError>) {
    let reconcile = &config.reconcile;
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    range("reconcile.concurrency", reconcile.concurrency, (1, 256), errors);
    range("reconcile.backoffMin", reconcile.backoff_min, (ms(10), s(60)), errors);
    range("reconcile.backoffMax", reconcile.backoff_max, (ms(10), s(600)), errors);
    range("reconcile.requestTimeout", reconcile.request_timeout, (ms(100), s(60)), errors);
    range("reconcile.resync", reconcile.resync, (s(60), s(24 * 3600)), errors);
    range("shutdownTimeout", config.shutdown_timeout, (s(1), s(600)), errors);
    if reconcile.backoff_min > reconcile.backoff_max {
        errors.push(ConfigError {
            setting: "reconcile.backoffMin",
            value: format!("{:?}", reconcile.backoff_min),
            problem: format!(
                "backoffMin <= backoffMax is broken: {:?} is more than {:?}, over by {:?}",
                reconcile.backoff_min,
                reconcile.backoff_max,
                reconcile.backoff_min - reconcile.backoff_max
            ),
            fix: format!("set it to {:?} or less", reconcile.backoff_max),
        });
    }
}

fn check_decisions(config: &Config, errors: &mut Vec<ConfigError>) {
    let decisions = &config.decisions;
    let year_s = 366 * 24 * 3600;
    let most = decisions.session_max_duration_s;
    range("decisions.session_max_duration_s", most, (1, year_s), errors);
    let image = &decisions.default_image;
    let problem = if image.is_empty() {
        Some("must not be empty".to_owned())
    } else if image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("has a space or control character".to_owned())
    } else {
        None
    };
    form("decisions.default_image", image, problem, "use repository[:tag][@digest]", errors);
    let class = &decisions.default_storage_class;
    if !class.is_empty() {
        let problem = names::dns_subdomain(class);
        let fix = "use a StorageClass's name, or leave it empty for the cluster's default";
        form("decisions.default_storage_class", class, problem, fix, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn s3() -> S3Store {
        S3Store {
            endpoint: Some("http://minio:9000".to_owned()),
            bucket: "rynxs-events".to_owned(),
            prefix: "events".to_owned(),
            region: "us-east-1".to_owned(),
            path_style: true,
            access_key: Secret::new("AKIAEXAMPLE"),
            secret_key: Secret::new("wJalrXUtnFEMI"),
            session_token: None,
            checksum: Checksum::Sha256,
        }
    }

    fn with_s3(change: impl FnOnce(&mut S3Store)) -> Config {
        let mut store = s3();
        change(&mut store);
        Config {
            replicas: 3,
            log_sink: LogSink { store: Store::S3(store), ..LogSink::default() },
            ..Config::default()
        }
    }

    fn settings_blamed(config: &Config) -> Vec<&'static str> {
        config.validate().err().unwrap_or_default().iter().map(|error| error.setting).collect()
    }

    #[test]
    fn default_settings_and_three_replicas_on_s3_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(with_s3(|_| {}).validate(), Ok(()));
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let mut config = with_s3(|s3| {
            s3.bucket = "Bad_Bucket".to_owned();
            s3.prefix = "/events".to_owned();
            s3.endpoint = Some("minio:9000".to_owned());
            s3.secret_key = Secret::default();
        });
        config.leader_election.lease_duration = Duration::from_secs(10);
        config.append.max_events = 0;
        config.reconcile.concurrency = 1000;
        config.decisions.default_image = String::new();
        assert_eq!(
            settings_blamed(&config),
            [
                "leaderElection.leaseDuration",
                "logSink.s3.bucket",
                "logSink.s3.prefix",
                "logSink.s3.endpoint",
                "logSink.s3.secretKey",
                "append.maxEvents",
                "reconcile.concurrency",
                "decisions.default_image",
            ]
        );
    }

    #[test]
    fn file_store_with_several_replicas_is_refused() {
        let config = Config { replicas: 3, ..Config::default() };
        assert_eq!(settings_blamed(&config), ["logSink.type"]);
        let text = list(&config.validate().unwrap_err());
        assert!(text.contains("3 replicas, 2 too many"), "{text}");
        assert!(text.contains("set replicas to 1, or use the s3 store"), "{text}");
    }

    #[test]
    fn several_replicas_without_election_are_refused() {
        let mut config = with_s3(|_| {});
        config.leader_election.enabled = false;
        assert_eq!(settings_blamed(&config), ["leaderElection.enabled"]);
        config.replicas = 1;
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn errors_say_by_how_much() {
        let mut config = Config::default();
        config.append.max_events = 2000;
        config.reconcile.backoff_min = Duration::from_secs(70);
        let text = list(&config.validate().unwrap_err());
        assert_eq!(
            text,
            "append.maxEvents = 2000: must be at most 1024, over by 976; set it between 1 and \
             1024\n\
             reconcile.backoffMin = 70s: must be at most 60s, over by 10s; set it between 10ms and \
             60s\n\
             reconcile.backoffMin = 70s: backoffMin <= backoffMax is broken: 70s is more than 60s, \
             over by 10s; set it to 60s or less"
        );
    }

    #[test]
    fn no_printed_form_of_the_settings_shows_a_key() {
        let config = with_s3(|s3| {
            s3.secret_key = Secret::new("wJalr XUtnFEMI");
            s3.session_token = Some(Secret::new("tok\nen"));
        });
        let errors = list(&config.validate().unwrap_err());
        let json = serde_json::to_string(&config).unwrap();
        for text in [format!("{config:?}"), json, errors] {
            for secret in ["AKIAEXAMPLE", "XUtnFEMI", "tok"] {
                assert!(
                    !text.replace("sessionToken", "").replace("session_token", "").contains(secret),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn settings_survive_writing_and_reading() {
        let config = Config { namespaces: vec!["team-a".to_owned()], ..Config::default() };
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""leaderElection":{"enabled":true"#), "{json}");
        assert!(json.contains(r#""leaseDuration":"15s""#), "{json}");
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }

    #[test]
    fn printed_settings_read_back_are_refused_for_their_missing_secrets() {
        let json = serde_json::to_string(&with_s3(|_| {})).unwrap();
        let config = serde_json::from_str::<Config>(&json).unwrap();
        assert_eq!(settings_blamed(&config), ["logSink.s3.accessKey", "logSink.s3.secretKey"]);
    }

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let error =
            serde_json::from_str::<Config>(r#"{"leaderElection":{"leaseDurration":"15s"}}"#)
                .unwrap_err();
        assert!(error.to_string().contains("leaseDurration"), "{error}");
    }

    #[test]
    fn dotted_bucket_needs_path_style_under_https() {
        let config = with_s3(|s3| {
            s3.endpoint = None;
            s3.path_style = false;
            s3.bucket = "my.bucket".to_owned();
        });
        assert_eq!(settings_blamed(&config), ["logSink.s3.bucket"]);
    }

    #[test]
    fn log_directory_stays_below_the_root() {
        for dir in ["", "/var/log", "../log", "a//b", "a/./b"] {
            let store = Store::File(FileStore { dir: dir.to_owned() });
            let log_sink = LogSink { store, ..LogSink::default() };
            let config = Config { log_sink, ..Config::default() };
            assert_eq!(settings_blamed(&config), ["logSink.file.dir"], "{dir:?}");
        }
    }
}
