//! Stops the one thread of a replica that works on its disk, and none of the others.
//!
//! So an append is under way for as long as a test likes, while the replica goes on to renew its
//! Lease and to watch. A debugger's means (ptrace(2)): the kernel stops the thread before a system
//! call that it is about to make, and SIGKILL ends a stopped thread like any other.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};

use nix::libc::{SYS_fdatasync, SYS_write};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Name of the thread, as `rynxs` gives it.
const THREAD: &str = "rynxs-disk";

/// Where an append stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before anything is written.
    Write,
    /// When a part is written, and the disk is asked to write the rest.
    Rest,
    /// When all is written and nothing is synced.
    Sync,
}

impl Step {
    /// The system call before which it is, and how many of them to let pass.
    fn call(self) -> (i64, usize) {
        match self {
            Self::Write => (SYS_write, 0),
            Self::Rest => (SYS_write, 1),
            Self::Sync => (SYS_fdatasync, 0),
        }
    }
}

/// A disk whose thread will stand still at a step of its next append, until its process dies.
pub struct HeldDisk {
    held: Receiver<()>,
    is_held: bool,
}

impl HeldDisk {
    /// Holds the disk of this process at the next such step.
    pub fn hold(process: i32, step: Step) -> Self {
        let (says, held) = mpsc::channel();
        let (ready, traced) = mpsc::channel();
        // Only the thread that traces may ask and wait.
        std::thread::spawn(move || Tracer::of(process).hold(step, &ready, &says));
        traced.recv().expect("the thread can be traced");
        Self { held, is_held: false }
    }

    /// Whether it stands still.
    pub fn is_held(&mut self) -> bool {
        self.is_held |= self.held.try_recv().is_ok();
        self.is_held
    }
}

struct Tracer {
    process: i32,
    thread: Pid,
}

impl Tracer {
    fn of(process: i32) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let name = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).unwrap();
        let task = tasks.map(|task| task.unwrap().path()).find(|task| name(task).trim() == THREAD);
        let task = task.unwrap_or_else(|| panic!("process {process} has no thread {THREAD}"));
        let number = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        Self { process, thread: Pid::from_raw(number) }
    }

    fn wait(&self) -> WaitStatus {
        waitpid(self.thread, Some(WaitPidFlag::__WALL)).unwrap()
    }

    fn hold(&self, step: Step, ready: &Sender<()>, says: &Sender<()>) {
        ptrace::seize(self.thread, ptrace::Options::PTRACE_O_TRACESYSGOOD).unwrap();
        ptrace::interrupt(self.thread).unwrap();
        self.wait();
        ptrace::syscall(self.thread, None).unwrap();
        ready.send(()).unwrap();
        let (call, mut passed) = (step.call().0, 0);
        // It stops before and after each call.
        let mut before = false;
        loop {
            let stopped = self.wait();
            if stopped == WaitStatus::PtraceSyscall(self.thread) {
                before = !before;
                if before && self.is_about_to(call) {
                    if passed == step.call().1 {
                        break;
                    }
                    passed += 1;
                }
            } else if !matches!(stopped, WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..)) {
                return; // The test has failed, and its process is dead.
            }
            ptrace::syscall(self.thread, None).unwrap();
        }
        // The test may have failed meanwhile.
        let _ = says.send(());
        // The process is gone only when its tracer has been told so.
        self.wait();
    }

    /// Whether the stopped thread is about to do this to the log (proc(5), `/proc/PID/syscall`).
    fn is_about_to(&self, call: i64) -> bool {
        let (process, thread) = (self.process, self.thread);
        let text = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/syscall"));
        let text = text.unwrap();
        let mut words = text.split_whitespace();
        if words.next() != Some(call.to_string().as_str()) {
            return false;
        }
        let file = words.next().and_then(|word| word.strip_prefix("0x"));
        let file = i32::from_str_radix(file.unwrap(), 16).unwrap();
        let path = std::fs::read_link(format!("/proc/{process}/fd/{file}")).unwrap();
        path.extension().is_some_and(|kind| kind == "jsonl")
    }
}
