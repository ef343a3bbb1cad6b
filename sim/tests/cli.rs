//! The binary's promises to whoever calls it: exit codes, and a last line that, copied into a
//! shell, shows the failure again with the same code.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "commands run in real folders, on real files"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

const VIOLATION: i32 = 1;
const USAGE: i32 = 2;
const ENVIRONMENT: i32 = 3;
const UNKNOWN: i32 = 4;
const NONDETERMINISM: i32 = 5;

/// No request is ever answered in time, so nobody ever leads: I8, in the soundest tree.
const NEVER_CONVERGES: &str = "replicas: 1\nlatency_ms: [5000, 5000]\nsteps:\n\
    - {\"at_ms\":0,\"do\":\"apply_agent\",\"name\":\"a\",\"agent\":{\"value\":3}}\n\
    - {\"at_ms\":900,\"do\":\"compact\"}\n";
/// Nobody wants anything, so nothing is decided that could be decided again.
const SHOWS_NOTHING: &str = "replicas: 1\nsteps: []\n";
const UNSTEADY: &str = "replicas: 1\nunsteady: true\nsteps:\n\
    - {\"at_ms\":0,\"do\":\"apply_agent\",\"name\":\"a\",\"agent\":{}}\n\
    - {\"at_ms\":900,\"do\":\"compact\"}\n";

/// A folder of one test, to run commands in.
struct Place(PathBuf);

/// What a command said on both outputs, in that order.
struct Said {
    code: i32,
    text: String,
}

impl Place {
    fn new(test: &str) -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
        // What an earlier run left.
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).expect("the target folder can be written to");
        Self(place)
    }

    /// With a file in it.
    fn has(self, name: &str, text: &str) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is below the place")).expect("just made");
        fs::write(path, text).expect("just made");
        self
    }

    fn text_of(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn said(&self, command: &mut Command) -> Said {
        let path = self.0.join("said");
        let out = fs::File::create(&path).expect("just made");
        let err = out.try_clone().expect("a second handle");
        let status: ExitStatus =
            command.current_dir(&self.0).stdout(out).stderr(err).status().expect("it starts");
        let code = status.code().expect("it ends by itself");
        Said { code, text: fs::read_to_string(&path).expect("just written") }
    }

    fn run(&self, line: &str) -> Said {
        self.said(Command::new(env!("CARGO_BIN_EXE_rynxs-sim")).args(line.split_whitespace()))
    }

    /// Runs a command that fails with this code, and then the command that it ends with.
    fn fails(&self, line: &str, code: i32) -> Said {
        let said = self.run(line);
        assert_eq!(said.code, code, "{line}:\n{}", said.text);
        let last = said.last();
        assert!(last.starts_with(env!("CARGO_BIN_EXE_rynxs-sim")), "{line}:\n{}", said.text);
        let again = self.said(Command::new("sh").arg("-c").arg(last));
        assert_eq!(again.code, code, "{last}:\n{}", again.text);
        said
    }
}

impl Said {
    fn last(&self) -> &str {
        self.text.lines().last().unwrap_or_default()
    }

    #[track_caller]
    fn has(&self, part: &str) {
        assert!(self.text.contains(part), "no {part:?} in:\n{}", self.text);
    }
}

#[test]
fn a_violation_is_1_and_its_picture_and_stream_are_judged_alike() {
    let place = Place::new("violation").has("its name.yaml", NEVER_CONVERGES);
    let file = place.0.join("its name.yaml");
    let said = place.said(
        Command::new(env!("CARGO_BIN_EXE_rynxs-sim"))
            .arg("replay")
            .arg(&file)
            .args(["--seed", "7", "--out", "drawn"]),
    );
    assert_eq!(said.code, VIOLATION, "{}", said.text);
    said.has("\nviolated: I8");
    let again = place.said(Command::new("sh").arg("-c").arg(said.last()));
    assert_eq!(again.code, VIOLATION, "{}", again.text);
    assert_eq!(again.last(), said.last());
    assert!(place.text_of("drawn/timeline.html").contains("its name.yaml"));
    place.fails("timeline drawn/events.jsonl --out page.html", VIOLATION);
}

#[test]
fn an_oracle_that_cannot_tell_is_4() {
    let place = Place::new("unknown").has("nothing.yaml", SHOWS_NOTHING);
    place.fails("replay nothing.yaml", UNKNOWN).has("\nunknown: I4");
}

#[test]
fn a_probe_that_was_never_hit_is_4_and_the_same_campaign_is_made_again() {
    let place = Place::new("probes");
    let small = "explore --agents 1 --edits 1 --faults 1 --threads 1 --seed 1";
    let said = place.fails(&format!("{small} --runs 1"), UNKNOWN);
    said.has("\nprobes that were never hit: ");
    assert!(said.last().ends_with("--seed 1 --runs 1 --agents 1 --edits 1 --faults 1"));
    let told = place.run(&format!("{small} --runs 1 --json"));
    assert_eq!(told.code, UNKNOWN, "{}", told.text);
    assert!(told.last().contains(&format!("\"command\":\"{}\"", said.last())), "{}", told.last());
    let green = place.run(&format!("{small} --runs 1 --any-probes"));
    assert_eq!(green.code, 0, "{}", green.text);
}

#[test]
fn other_bytes_are_5_shrunk_and_shown_by_two_runs() {
    let place = Place::new("nondeterminism").has("unsteady.yaml", UNSTEADY);
    assert_eq!(place.run("replay unsteady.yaml").code, 0, "one run does not show it");
    let said = place.fails("replay unsteady.yaml --twice", NONDETERMINISM);
    said.has("\nnot deterministic: line ");
    assert!(said.last().ends_with("replay unsteady.yaml --seed 1 --twice"), "{}", said.last());
    let line = "shrink unsteady.yaml --twice --time 2s --out small.yaml";
    place.fails(line, NONDETERMINISM).has("2 steps became ");
    let small = place.text_of("small.yaml");
    assert!(small.contains("unsteady: true") && !small.contains("compact"), "{small}");
}

#[test]
fn what_cannot_be_read_written_or_run_is_3() {
    let place = Place::new("environment")
        .has("broken.yaml", "replicas: 9\n")
        .has("a-file", "")
        .has("nothing.yaml", SHOWS_NOTHING);
    place.fails("replay missing.yaml", ENVIRONMENT).has("error: missing.yaml: ");
    place.fails("replay broken.yaml", ENVIRONMENT).has("replicas: 9 is not between 1 and 5");
    place.fails("replay nothing.yaml --out a-file/folder", ENVIRONMENT);
    place.fails("timeline nothing.yaml", ENVIRONMENT);
    let never = "enumerate --scenario create-edit-session --at dies-before --write 9999";
    place.fails(never, ENVIRONMENT).has("no leader wrote that often");
}

#[test]
fn what_is_not_understood_is_2() {
    let place = Place::new("usage");
    for (line, why) in [
        ("", "Usage: rynxs-sim"),
        ("replay --sede 1", "unexpected argument '--sede'"),
        ("explore --agents 0", "--edits must be at least 1"),
        ("explore --bias nothing", "is none of mix, file, sessions, rivals, tamper"),
        ("replay --log =", "--log ="),
        ("enumerate --at noon", "is none of dies-before, dies-after, answer-lost"),
        ("frontier --ratio 50", "50 is not in 100..=1000"),
        ("shrink x.yaml --claim claim", "write the words of a sentence"),
    ] {
        place.fails(line, USAGE).has(why);
    }
    let help = place.run("--help");
    assert_eq!(help.code, 0);
    help.has("Exit codes: 0 nothing wrong;");
}

#[test]
fn what_is_shrunk_is_kept_under_its_claim_and_never_overwritten() {
    let place = Place::new("claims").has("sim/regressions/of-old.yaml", "");
    let place = place.has("found.yaml", NEVER_CONVERGES).has("nothing.yaml", "steps: []\n");
    let claim = "shrink found.yaml --seed 7 --time 1s --claim somebody-leads-in-the-end";
    let said = place.fails(claim, VIOLATION);
    let path = "sim/regressions/somebody-leads-in-the-end.yaml";
    assert!(said.last().ends_with(&format!("replay {path} --seed 7")), "{}", said.last());
    let text = place.text_of(path);
    assert!(text.starts_with("# Somebody leads in the end.\n# seed 7\nlatency_ms: "), "{text}");
    place.fails(claim, ENVIRONMENT).has("is there already");
    assert_eq!(place.text_of(path), text);
    // Without a claim it goes to where campaigns put what they find.
    let said = place.fails("shrink found.yaml --seed 7 --time 0s", VIOLATION);
    assert!(said.last().ends_with("sim-failures/i8-converge-7.yaml --seed 7"), "{}", said.last());
}

#[test]
fn a_grid_that_shows_no_two_leaders_shows_nothing() {
    let place = Place::new("frontier");
    let said = place.fails("frontier --ratio 100 --deadline-ms 10000 --seeds 1", UNKNOWN);
    said.has("no cell broke");
    assert!(place.text_of("frontier.svg").contains("R 10 s"));
}

#[test]
fn one_fault_of_the_enumeration_can_be_had_alone() {
    let place = Place::new("enumerate");
    let one = "enumerate --scenario create-edit-session --at answer-lost --write 3";
    let said = place.run(one);
    assert_eq!(said.code, 0, "{}", said.text);
    let row = said.last().split_whitespace().rev().take(3).collect::<Vec<_>>();
    assert_eq!(row[1..], ["0", "1"], "no run wrong, of one: {}", said.text);
}
