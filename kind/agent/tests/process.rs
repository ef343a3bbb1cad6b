//! The agent as rynxs starts it: a process with an environment, a workspace and signals.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn agent(workspace: &Path, epoch: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rynxs-agent"));
    command
        .env_clear()
        .envs([("RYNXS_AGENT", "a"), ("RYNXS_EPOCH", epoch), ("AGENT_PORT", "0")])
        .env("RYNXS_WORKSPACE", workspace)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn session(workspace: &Path, epoch: &str, work_ms: &str) -> Command {
    let input = workspace.join("input");
    fs::write(&input, "three small words").expect("a file");
    let mut command = agent(workspace, epoch);
    command.env("RYNXS_SESSION", "s").env("RYNXS_INPUT", input).env("AGENT_WORK_MS", work_ms);
    command
}

fn stop(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("a living child");
}

/// What the process wrote, and its exit code.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("a child");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn until(path: &Path) {
    let late = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < late, "no {} within a minute", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_session_leaves_its_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = session(folder.path(), "5", "10").spawn().expect("the agent");
    let (code, text) = ended(run);
    assert_eq!(code, Some(0), "{text}");
    let result = fs::read(folder.path().join("results/s.json")).expect("a result");
    let result: serde_json::Value = serde_json::from_slice(&result).expect("JSON");
    assert_eq!((&result["words"], &result["runs"]), (&3.into(), &1.into()), "{result}");
    assert_eq!(result["epoch"], 5);
}

#[test]
fn a_session_that_is_stopped_leaves_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = session(folder.path(), "5", "600000").spawn().expect("the agent");
    until(&folder.path().join("results/s.runs"));
    stop(&run);
    let (code, text) = ended(run);
    assert_eq!(code, Some(143), "{text}");
    assert!(!folder.path().join("results/s.json").exists());
}

#[test]
fn a_runtime_stays_until_it_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = agent(folder.path(), "5").spawn().expect("the agent");
    until(&folder.path().join(".epoch-runtime"));
    stop(&run);
    let (code, text) = ended(run);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ready") && text.contains("asked to stop"), "{text}");
}

#[test]
fn a_lower_epoch_does_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(".epoch-session-s"), "6").expect("a file");
    let run = session(folder.path(), "5", "10").spawn().expect("the agent");
    let (code, text) = ended(run);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("refused: epoch 5") && text.contains("epoch 6"), "{text}");
    assert!(!folder.path().join("results").exists());
}

#[test]
fn what_is_not_told_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = agent(folder.path(), "soon").spawn().expect("the agent");
    let (code, text) = ended(run);
    assert_eq!(code, Some(1));
    assert!(text.contains("RYNXS_EPOCH is \"soon\""), "{text}");
}

#[test]
fn who_has_no_shell_can_look_around() {
    let folder = tempfile::tempdir().expect("a folder");
    let look = |arguments: &[&str]| {
        let run = agent(folder.path(), "5").args(arguments).spawn().expect("the agent");
        ended(run)
    };
    assert_eq!(look(&["results"]), (Some(0), String::new()));
    ended(session(folder.path(), "5", "1").spawn().expect("the agent"));
    let (code, text) = look(&["results"]);
    assert!(code == Some(0) && text.contains("\"session\":\"s\""), "{text}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (code, text) = look(&["reach", &address]);
    assert!(code == Some(0) && text.contains("reached"), "{text}");
    drop(listener);
    let (code, text) = look(&["reach", &address]);
    assert!(code == Some(1) && text.contains("cannot reach"), "{text}");
    let (code, text) = look(&["dance"]);
    assert!(code == Some(1) && text.contains("neither"), "{text}");
}
