//! One operator replica as a process of this very binary.
//!
//! A replica never outlives the demo: the kernel kills it when its parent dies, a dropped handle
//! kills it, and both work on a frozen process too, as SIGKILL does.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::{Exit, Failure};

use super::trouble::Trouble;

/// What a replica's disk may be short of, as it appears in a log line: EFBIG, ENOSPC, EDQUOT.
const SHORT_OF: [(&str, i32); 3] =
    [("(os error 27)", 27), ("(os error 28)", 28), ("(os error 122)", 122)];

/// What all replicas of a demo have in common.
#[derive(Clone, Debug)]
pub struct ReplicaPlan {
    /// The binary to run.
    pub binary: PathBuf,
    /// Folder for logs.
    pub folder: PathBuf,
    /// Arguments after `operator`.
    pub arguments: Vec<String>,
    /// Environment; nothing is inherited but `PATH`.
    pub environment: Vec<(String, String)>,
    /// Takes the first reason why nothing can come of the demo any more.
    pub trouble: Trouble,
}

/// A running replica.
pub struct Replica {
    name: String,
    child: Child,
    log: PathBuf,
    address: watch::Receiver<Option<String>>,
    last_words: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Replica {
    /// Starts a replica with this pod name.
    pub fn start(plan: &ReplicaPlan, name: &str) -> Result<Self, Failure> {
        let log = plan.folder.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| Failure::io(&format!("open {}", log.display()), &error))?;
        let mut command = Command::new(&plan.binary);
        command
            .arg("operator")
            .args(&plan.arguments)
            .args(["--pod-name", name])
            .args(["--end-with-parent", &std::process::id().to_string()])
            .env_clear()
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo, which then ends its replicas itself.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::io(&format!("start {}", plan.binary.display()), &error))?;
        let (found, address) = watch::channel(None);
        let last_words = Arc::default();
        let keeper = LogKeeper {
            name: name.to_owned(),
            path: log.clone(),
            file,
            found,
            last_words: Arc::clone(&last_words),
            trouble: plan.trouble.clone(),
        };
        let listener = child.stderr.take().map(|lines| tokio::spawn(keeper.keep(lines)));
        Ok(Self { name: name.to_owned(), child, log, address, last_words, listener })
    }

    /// The pod name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process, unless it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok())
    }

    /// Where its log lines are.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The most memory that its process has held so far, KiB; none where the system does not tell
    /// (`VmHWM` of proc(5)), or once it has ended.
    #[must_use]
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// Whether an identity `pod name_uuid` is a term of this replica.
    #[must_use]
    pub fn is(&self, identity: &str) -> bool {
        identity.rsplit_once('_').is_some_and(|(pod, _)| pod == self.name)
    }

    /// Waits until it serves metrics and probes; fails if it ends before.
    pub async fn address(&mut self) -> Result<String, Failure> {
        let mut address = self.address.clone();
        tokio::select! {
            biased;
            found = address.wait_for(Option::is_some) => {
                if let Some(found) = found.ok().and_then(|found| found.clone()) {
                    return Ok(found);
                }
            }
            _ = self.child.wait() => {}
        }
        Err(self.ended().await)
    }

    /// Fails if the process has ended by itself.
    pub async fn must_run(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(self.ended().await),
        }
    }

    async fn ended(&mut self) -> Failure {
        let status = self.child.wait().await.map(|status| status.to_string());
        if let Some(listener) = self.listener.take() {
            // The pipe has ended with the process; a panic in there is no replica's last word.
            let _ = listener.await;
        }
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = status.unwrap_or_else(|error| error.to_string());
        Failure::new(
            Exit::Refuted,
            format!("replica {} ended by itself ({status}): {words}", self.name),
        )
        .fix(format!("read {}", self.log.display()))
    }

    /// Sends a signal.
    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill(Pid::from_raw(pid), signal).map_err(|errno| {
            Failure::io(&format!("send {signal} to {}", self.name), &std::io::Error::from(errno))
        })
    }

    /// SIGKILL: no drain, no release, no last word.
    pub async fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().await.map_err(|error| Failure::io(&format!("kill {}", self.name), &error))
    }

    /// SIGSTOP: the process stands still and knows nothing of it.
    pub fn freeze(&self) -> Result<(), Failure> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), Failure> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM, then waits for the end; SIGKILL if it takes longer than `patience`.
    pub async fn stop(&mut self, patience: Duration) -> Result<bool, Failure> {
        self.signal(Signal::SIGTERM)?;
        if tokio::time::timeout(patience, self.child.wait()).await.is_ok() {
            return Ok(true);
        }
        self.kill().await?;
        Ok(false)
    }
}

/// Copies log lines to a file, and takes from them what the demo needs to know.
struct LogKeeper {
    name: String,
    path: PathBuf,
    file: std::fs::File,
    found: watch::Sender<Option<String>>,
    last_words: Arc<Mutex<String>>,
    trouble: Trouble,
}

impl LogKeeper {
    async fn keep(mut self, lines: ChildStderr) {
        let mut lines = BufReader::new(lines).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // Whatever becomes of the file, the reading goes on: a replica would block on its log.
            if let Err(error) = writeln!(self.file, "{line}") {
                self.trouble
                    .report(Failure::io(&format!("write to {}", self.path.display()), &error));
            }
            match serde_json::from_str::<Value>(&line) {
                Ok(fields) => self.hear(&line, &fields),
                Err(_) => self.hear_text(&line),
            }
        }
    }

    fn hear(&self, line: &str, fields: &Value) {
        let known = self.found.borrow().is_some();
        if let (false, Some(address)) = (known, fields["address"].as_str()) {
            self.found.send_replace(Some(address.to_owned()));
        }
        if fields["level"] == "ERROR" {
            let said = fields["message"].as_str().unwrap_or(line);
            said.clone_into(&mut self.last_words.lock().unwrap_or_else(PoisonError::into_inner));
        }
        if fields["level"] == "ERROR" || fields["level"] == "WARN" {
            let said = ["fault", "error", "why"].iter().find_map(|name| fields[*name].as_str());
            let short_of = |said: &str| SHORT_OF.iter().find(|(text, _)| said.contains(text));
            if let Some(said) = said
                && let Some((_, code)) = short_of(said)
            {
                let error = std::io::Error::from_raw_os_error(*code);
                let advice = Failure::io("", &error);
                self.trouble.report(Failure {
                    message: format!("{} cannot append to its log: {said}", self.name),
                    ..advice
                });
            }
        }
    }

    /// What is no log line: the command's own last message, or a panic.
    fn hear_text(&self, line: &str) {
        let mut words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if line.starts_with("error: ") {
            words.clear();
        }
        if words.len() < 2_000 {
            words.push_str(line);
            words.push(' ');
        }
    }
}
