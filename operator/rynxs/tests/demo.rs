//! `rynxs demo` as people start and stop it.

#![cfg(feature = "demo")]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod stage;

use std::io::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use rynxs::demo::{User, agent, edit_agent};
use stage::{Running, children_of, interrupt, nothing_is_left_of, wait_until};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rynxs"));
    command.arg("demo").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code and standard error of a demo that ends by itself.
fn run(arguments: &[&str]) -> (i32, String) {
    finished(start(arguments))
}

fn start(arguments: &[&str]) -> Running {
    Running(demo(arguments).spawn().unwrap())
}

/// Exit code and standard error of a demo that ends by itself; it says what to do and leaves no
/// process behind.
fn finished(mut child: Running) -> (i32, String) {
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    let status = child.wait().unwrap();
    nothing_is_left_of(child.id());
    assert!(!error.contains("panicked"), "{error}");
    assert!(error.contains("error:") && error.contains("fix:"), "{error}");
    (status.code().unwrap_or_else(|| panic!("{status}: {error}")), error)
}

/// Waits until the process has ended.
fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the demo ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Reads the story up to a line with these words. The rest of the pipe is returned: a demo whose
/// story nobody reads would block.
fn told(child: &mut Running, words: &str) -> BufReader<ChildStderr> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut story = String::new();
    while !story.lines().last().is_some_and(|line| line.contains(words)) {
        if lines.read_line(&mut story).unwrap() == 0 {
            panic!("the demo ended before it told {words:?}: {:?}\n{story}", child.wait());
        }
    }
    lines
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--api-port", "--s3-port"] {
        let (code, error) = run(&[flag, &port]);
        assert_eq!(code, 7, "{error}");
        assert!(error.contains(&port) && error.contains("fix:"), "{error}");
    }
}

#[test]
fn a_manifest_that_is_no_yaml_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.yaml"), "kind: [").unwrap();
    let (code, error) = run(&["--manifests", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("broken.yaml"), "{error}");
}

#[test]
fn a_manifest_that_the_api_server_refuses_is_named_with_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "apiVersion: universe.ai/v1alpha1\nkind: Agent\n\
                    metadata: {name: x, namespace: demo}\nspec: {role: king}\n";
    std::fs::write(folder.path().join("king.yaml"), manifest).unwrap();
    let (code, error) = run(&["--manifests", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("king.yaml") && error.contains("spec.role"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (code, error) = run(&["--dir", "/dev/full/demo"]);
    assert_eq!(code, 7, "{error}");
    assert!(error.contains("/dev/full/demo"), "{error}");
}

/// The log is there from its first record on, and whole, whenever and however the demo ends.
fn the_log_left_in(folder: &std::path::Path) -> String {
    let log = folder.join("log");
    let verified = Command::new(env!("CARGO_BIN_EXE_rynxs"))
        .args(["log", "verify", log.to_str().unwrap(), "-o", "json"])
        .output()
        .unwrap();
    assert!(verified.status.success(), "what is left behind verifies: {verified:?}");
    String::from_utf8(verified.stdout).unwrap()
}

/// Interrupts a demo when its story has come to these words, and looks at what is left.
fn interrupted_at(words: &str, handled: bool, more: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&[&["--dir", folder.path().to_str().unwrap()], more].concat());
    let story = told(&mut child, words);
    interrupt(&child);
    let status = ended(&mut child);
    drop(story);
    // Before the handler is installed the signal itself ends the process.
    let by_signal = !handled && status.code().is_none();
    assert!(status.code() == Some(130) || by_signal, "at {words:?}: {status}");
    nothing_is_left_of(child.id());
    folder
}

#[test]
fn ctrl_c_ends_everything_at_any_point_and_leaves_the_log() {
    for (words, has_log) in [
        ("rynxs demo", false),
        ("everything is left in", false),
        ("replicas are running", true),
        ("manifests applied", true),
        ("is killed", true),
        ("is frozen", true),
        ("The books", true),
    ] {
        let folder = interrupted_at(words, has_log, &[]);
        if has_log {
            the_log_left_in(folder.path());
        }
    }
    let folder = interrupted_at("is killed", true, &["--event-store", "file"]);
    assert!(std::fs::read_dir(folder.path().join("log")).unwrap().count() > 0);
}

#[test]
fn ctrl_c_before_anything_is_told_ends_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["--dir", folder.path().to_str().unwrap()]);
    interrupt(&child);
    let status = ended(&mut child);
    assert!(status.code().is_none_or(|code| code == 130), "{status}");
    nothing_is_left_of(child.id());
}

#[test]
fn a_killed_demo_takes_its_replicas_with_it_and_leaves_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["--dir", folder.path().to_str().unwrap()]);
    let story = told(&mut child, "manifests applied");
    assert_eq!(children_of(child.id()).len(), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(story);
    nothing_is_left_of(child.id());
    the_log_left_in(folder.path());
}

#[test]
fn a_file_that_may_not_grow_ends_the_demo_and_is_named() {
    for store in ["s3", "file"] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        // 16 KiB: enough for the kubeconfigs, not for a log of some agents or for log lines.
        let script = "ulimit -f 16; exec \"$0\" \"$@\"";
        let mut command = Command::new("bash");
        command.args(["-c", script, env!("CARGO_BIN_EXE_rynxs"), "demo", "--event-store", store]);
        command.args(["--dir", place, "--agents", "40"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (code, error) = finished(Running(child));
        assert_eq!(code, 7, "{store}: {error}");
        assert!(error.contains(place) && error.contains("ulimit -f"), "{store}: {error}");
    }
}

#[test]
fn a_folder_with_the_log_of_an_earlier_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    let record = folder.path().join("log/0000000000.json");
    std::fs::write(&record, "a record").unwrap();
    let (code, error) = run(&["--dir", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("earlier run") && error.contains("--dir"), "{error}");
    assert_eq!(std::fs::read_to_string(record).unwrap(), "a record", "it is left as it was");
}

#[test]
fn a_folder_without_manifests_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "kind: Agent").unwrap();
    let place = folder.path().to_str().unwrap();
    let (code, error) = run(&["--manifests", place]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains(place) && error.contains(".yaml"), "{error}");
}

#[test]
fn an_idle_demo_counts_what_is_sent_and_appends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let arguments = ["--idle", "5s", "--agents", "5", "--json", "--dir", place];
    let output = demo(&arguments).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}{report}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["idle"]["records"], 0, "{report}");
    let requests = report["idle"]["requests"].as_array().unwrap();
    assert!(requests.iter().any(|sent| sent["resource"] == "leases"), "{report}");
    the_log_left_in(folder.path());
}

#[test]
fn both_demos_hold_what_they_claim() {
    let demos = ["s3", "file"].map(|store| {
        std::thread::spawn(move || {
            let folder = tempfile::tempdir().unwrap();
            let place = folder.path().to_str().unwrap();
            let output = demo(&["--json", "--event-store", store, "--agents", "4", "--dir", place])
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let report = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{store}: {said}{report}");
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert_eq!(report["refuted"], serde_json::json!([]), "{store}");
            assert!(report["comparison"]["objects"].as_u64().unwrap() > 20, "{store}: {report}");
            let epochs = report["log"]["epochs"].as_u64().unwrap();
            let take_overs = report["take_overs"].as_array().unwrap().len();
            match store {
                "s3" => {
                    let refused = &report["refused"];
                    for who in ["log", "resource_version", "policy"] {
                        assert!(refused[who].as_u64().unwrap() > 0, "nothing by {who}: {report}");
                    }
                    assert!(report["zombie"].is_object(), "{report}");
                    assert!(epochs >= 3 && take_overs >= 2, "{report}");
                }
                _ => assert!(epochs >= 2 && take_overs >= 1, "{report}"),
            }
            let told = report["peak_memory_kib"].as_u64().is_some_and(|kib| kib > 1024);
            assert!(told || !cfg!(target_os = "linux"), "{store}: {report}");
            the_log_left_in(folder.path());
        })
    });
    for demo in demos {
        demo.join().unwrap();
    }
}

/// What `rynxs log tail --follow` prints, line by line.
fn follow(folder: &std::path::Path) -> (Running, std::process::ChildStdout) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rynxs"));
    command.args(["log", "tail", folder.join("log").to_str().unwrap(), "--follow"]);
    command.args(["-o", "jsonl", "-n", "1"]);
    let mut child = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = child.stdout.take().unwrap();
    (child, lines)
}

#[tokio::test]
async fn the_log_of_a_demo_that_is_kept_can_be_verified_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap().to_owned();
    let mut child = start(&["--keep", "--replicas", "1", "--agents", "2", "--dir", &place]);
    let story = told(&mut child, "keeps running");
    let records = |text: &str| {
        let verified: serde_json::Value = serde_json::from_str(text).unwrap();
        verified["records"].as_u64().unwrap()
    };
    let before = records(&the_log_left_in(folder.path()));

    let (_tail, lines) = follow(folder.path());
    let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
    assert!(lines.next().is_some(), "the newest record is there");
    let user = User::connect(&folder.path().join("kubeconfig")).await.unwrap();
    edit_agent(&user, &agent(0), "while it is kept").await.unwrap();
    assert!(lines.any(|line| line.contains("while it is kept")), "tail shows the edit");
    assert!(records(&the_log_left_in(folder.path())) > before, "the copy grows");
    interrupt(&child);
    assert_eq!(ended(&mut child).code(), Some(0));
    drop(story);
    nothing_is_left_of(child.id());
}

/// Whether there is a kubectl; where there is none, that is said, and red in the gate.
fn has_kubectl(test: &str) -> bool {
    let version = Command::new("kubectl").args(["version", "--client"]).output();
    let found = version.is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var_os("RYNXS_CI").is_none(), "the gate needs kubectl on the path");
        // Straight to the descriptor: what a passing test prints by macro is not shown.
        let _ = writeln!(std::io::stderr(), "skipped: {test}: no kubectl on the path");
    }
    found
}

/// `--keep`, then the real kubectl with the kubeconfig that the demo wrote.
#[test]
fn kubectl_works_on_a_demo_that_is_kept() {
    if !has_kubectl("kubectl_works_on_a_demo_that_is_kept") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap().to_owned();
    let mut child = start(&["--keep", "--agents", "3", "--dir", &place]);
    let _story = told(&mut child, "keeps running");
    let kubeconfig = folder.path().join("kubeconfig");
    let kubectl = |arguments: &[&str]| {
        let output = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(arguments)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let ok = |arguments: &[&str]| {
        let (success, text) = kubectl(arguments);
        assert!(success, "kubectl {arguments:?}: {text}");
        text
    };
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let agents = ok(&["get", "agents", "-A", "-o", "wide"]);
    assert!(agents.contains("READY") && agents.contains("worker-000"), "{agents}");
    ok(&["apply", "--server-side", "-f", examples]);
    let late = folder.path().join("late.yaml");
    let manifest = "apiVersion: universe.ai/v1alpha1\nkind: Agent\n\
                    metadata: {name: late, namespace: demo}\nspec: {}\n";
    std::fs::write(&late, manifest).unwrap();
    ok(&["apply", "--server-side", "-f", late.to_str().unwrap()]);
    ok(&["wait", "--for=condition=Ready", "agent/late", "-n", "demo", "--timeout=600s"]);
    let bad = folder.path().join("bad.yaml");
    let manifest = "apiVersion: universe.ai/v1alpha1\nkind: Agent\n\
                    metadata: {name: bad, namespace: demo}\nspec: {role: king}\n";
    std::fs::write(&bad, manifest).unwrap();
    let (success, text) = kubectl(&["apply", "--server-side", "-f", bad.to_str().unwrap()]);
    assert!(!success && text.contains("spec.role"), "{text}");

    let mut watch = Command::new("kubectl");
    watch.arg("--kubeconfig").arg(&kubeconfig);
    watch.args(["get", "agents", "-n", "demo", "-w", "--request-timeout=600s"]);
    let mut watch = watch.env("HOME", folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(seen.next().unwrap().starts_with("NAME"));
    let label = r#"{"metadata":{"labels":{"seen":"yes"}}}"#;
    ok(&["patch", "agent", "worker-002", "-n", "demo", "--type=merge", "-p", label]);
    // Once from the list, once from the watch.
    assert_eq!(seen.filter(|line| line.starts_with("worker-002")).take(2).count(), 2);
    watch.kill().unwrap();
    watch.wait().unwrap();

    ok(&["delete", "agent", "worker-002", "-n", "demo", "--timeout=600s"]);
    wait_until("the deployment goes with its agent", || {
        let (found, text) = kubectl(&["get", "deployment", "worker-002-runtime", "-n", "demo"]);
        assert!(found || text.contains("NotFound"), "{text}");
        !found
    });
    interrupt(&child);
    assert_eq!(ended(&mut child).code(), Some(0));
    nothing_is_left_of(child.id());
}
