//! The real `kubectl` against the model: what people type, and what they read.
//!
//! Needs `kubectl` on the path; where there is none, each test says that it is skipped.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a real kubectl needs real time"
)]

mod host;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rynxs_apiserver::{ApiServer, Options};

const THINGS: &str = include_str!("things_crd.yaml");

struct Shell {
    server: String,
    home: std::path::PathBuf,
}

impl Shell {
    /// A fresh model, or nothing if there is no kubectl.
    fn new(test: &str) -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let version = Command::new("kubectl").args(["version", "--client"]).output();
            version.is_ok_and(|output| output.status.success())
        });
        if !found {
            assert!(std::env::var_os("RYNXS_CI").is_none(), "the gate needs kubectl on the path");
            // Straight to the descriptor: what a passing test prints by macro is not shown.
            let _ = writeln!(std::io::stderr(), "skipped: {test}: no kubectl on the path");
            return None;
        }
        let server = ApiServer::new(Options { start_ms: host::now_ms(), ..Options::default() });
        server.load(THINGS).expect("a real server accepts it");
        let address = host::serve(&server, "127.0.0.1:0", false);
        // kubectl caches discovery below its home, by the server's address.
        let home = std::env::temp_dir().join(format!("rynxs-kubectl-{}", address.port()));
        std::fs::create_dir_all(&home).expect("the temporary folder is writable");
        Some(Self { server: format!("--server=http://{address}"), home })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.arg(&self.server).args(arguments).env("HOME", &self.home).env_remove("KUBECONFIG");
        command
    }

    /// Exit status and everything that was printed.
    fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("kubectl reads");
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ends");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).expect("kubectl prints text"))
    }

    fn ok(&self, arguments: &[&str], input: &str) -> String {
        let (success, text) = self.run(arguments, input);
        assert!(success, "kubectl {arguments:?}: {text}");
        text
    }

    fn refused(&self, arguments: &[&str], input: &str) -> String {
        let (success, text) = self.run(arguments, input);
        assert!(!success, "kubectl {arguments:?} succeeded: {text}");
        text
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What stays behind is a cache in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

const THING: &str = r"
apiVersion: example.org/v1
kind: Thing
metadata: {name: one}
spec: {must: x}
";

const WORKLOAD: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: 2
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {containers: [{name: main, image: 'x:1'}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: 'x:1'}]}}}
";

/// Lines as lists of words.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn custom_resources_are_applied_shown_and_explained() {
    let Some(shell) = Shell::new("custom_resources_are_applied_shown_and_explained") else {
        return;
    };
    assert_eq!(
        shell.ok(&["apply", "--server-side", "-f", "-"], THING).trim(),
        "thing.example.org/one serverside-applied"
    );
    let table = shell.ok(&["get", "th", "-o", "wide"], "");
    let rows = words(&table);
    assert_eq!(rows[0], ["NAME", "ROLE", "READY", "WIDE", "AGE"]);
    assert_eq!(rows[1][..3], ["one", "worker", "3"]);
    assert!(shell.ok(&["get", "things", "-A"], "").starts_with("NAMESPACE"));
    assert!(shell.ok(&["get", "thing", "one", "-o", "yaml"], "").contains("  role: worker\n"));
    assert!(shell.ok(&["describe", "thing", "one"], "").contains("Role:       worker"));
    assert!(shell.ok(&["explain", "thing.spec.role"], "").contains("FIELD: role <string>"));
    assert!(shell.ok(&["apply", "-f", "-"], THING).contains("thing.example.org/one configured"));
    assert!(shell.ok(&["diff", "--server-side", "-f", "-"], THING).is_empty());
}

#[test]
fn a_manifest_with_a_mistake_is_refused_with_the_fields_name() {
    let Some(shell) = Shell::new("a_manifest_with_a_mistake_is_refused_with_the_fields_name")
    else {
        return;
    };
    let apply = ["apply", "--server-side", "-f", "-"];
    let text = shell.refused(&apply, &THING.replace("must: x", "must: x, role: boss"));
    let expected = "spec.role: Unsupported value: \"boss\": supported values: \"worker\", \
                    \"manager\", \"director\"";
    assert!(text.contains(expected), "{text}");
    let text = shell.refused(&apply, &THING.replace("must: x", "must: x, rolle: boss"));
    assert!(text.contains(".spec.rolle: field not declared in schema"), "{text}");
    let text = shell.refused(&apply, &THING.replace("must: x", "count: 1"));
    assert!(text.contains("spec.must: Required value"), "{text}");
}

#[test]
fn a_watch_prints_each_change() {
    let Some(shell) = Shell::new("a_watch_prints_each_change") else { return };
    shell.ok(&["apply", "--server-side", "-f", "-"], THING);
    let mut watch = shell
        .command(&["get", "things", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    // The change must come after the first list was printed: read its two lines first.
    let mut lines = std::io::BufReader::new(watch.stdout.take().expect("it is piped"));
    let mut line = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut lines, &mut line).expect("kubectl prints");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line()[0], "NAME");
    assert_eq!(line()[..2], ["one", "worker"]);
    shell
        .ok(&["patch", "thing", "one", "--type=merge", "-p", r#"{"spec":{"role":"manager"}}"#], "");
    assert_eq!(line()[..2], ["one", "manager"]);
    watch.kill().expect("it runs");
    watch.wait().expect("it was started");
}

#[test]
fn workloads_run_and_go_with_what_they_own() {
    let Some(shell) = Shell::new("workloads_run_and_go_with_what_they_own") else { return };
    shell.ok(&["apply", "--server-side", "-f", "-"], WORKLOAD);
    shell.ok(&["wait", "--for=condition=Available", "deploy/d", "--timeout=20s"], "");
    shell.ok(&["rollout", "status", "deploy/d", "--timeout=20s"], "");
    shell.ok(&["wait", "--for=condition=complete", "job/j", "--timeout=20s"], "");
    let all = shell.ok(&["get", "all"], "");
    assert!(all.contains("deployment.apps/d   2/2     2            2"), "{all}");
    assert!(all.contains("job.batch/j   Complete   1/1"), "{all}");
    shell.ok(&["delete", "deploy", "d", "--cascade=foreground", "--timeout=20s"], "");
    shell.ok(&["delete", "job", "j", "--timeout=20s"], "");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let left = shell.ok(&["get", "pods,rs", "-o", "name"], "");
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "left behind: {left}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn typed_commands_are_understood() {
    let Some(shell) = Shell::new("typed_commands_are_understood") else { return };
    shell.ok(&["create", "namespace", "foo"], "");
    shell.ok(&["create", "configmap", "c", "-n", "foo", "--from-literal=key=value"], "");
    let value = shell.ok(&["get", "cm", "c", "-n", "foo", "-o", "jsonpath={.data.key}"], "");
    assert_eq!(value, "value");
    shell.ok(&["create", "secret", "generic", "s", "-n", "foo", "--from-literal=key=value"], "");
    shell.ok(&["create", "deployment", "d", "-n", "foo", "--image=x:1", "--replicas=2"], "");
    shell.ok(&["wait", "-n", "foo", "--for=condition=Available", "deploy/d", "--timeout=20s"], "");
    shell.ok(&["create", "job", "j", "-n", "foo", "--image=x:1"], "");
    assert_eq!(shell.ok(&["auth", "can-i", "delete", "deployments"], "").trim(), "yes");
    let (_, answer) = shell.run(&["auth", "can-i", "get", "secrets", "--as=bob"], "");
    assert_eq!(answer.trim(), "no");
    assert!(shell.ok(&["auth", "whoami"], "").contains("kubernetes-admin"));
    shell.ok(&["delete", "namespace", "foo", "--timeout=20s"], "");
}
