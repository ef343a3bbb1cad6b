//! Reads the records of a log one after another, wherever it is, without writing anything.
//!
//! A reader takes no lock and repairs nothing: a log can be read beside the operator that writes
//! it. Of a local log it never returns a line that has no end yet.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rynxs_core::append::{GetOutcome, ListOutcome, Listed};
use rynxs_core::ids::Seq;
use rynxs_core::record::{MAX_RECORD_BYTES, object_name, parse_object_name};
use rynxs_operator::store::LogStore;

use crate::cli::exit::{Exit, Failure};

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What stands at the next position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record's exact bytes.
    Record(Bytes),
    /// Nothing: the log ends here, for now.
    End,
}

/// Reads a log from its beginning.
pub struct Reader {
    next: Seq,
    place: Place,
}

enum Place {
    Store(Box<dyn LogStore>),
    Objects(PathBuf),
    Lines(Lines),
}

impl Reader {
    /// Reads through a store.
    #[must_use]
    pub fn store(store: Box<dyn LogStore>) -> Self {
        Self { next: Seq::ZERO, place: Place::Store(store) }
    }

    /// Reads a directory: a copy of a bucket's keys, or the files of a local log.
    pub fn directory(path: &Path) -> Result<Self, Failure> {
        let names = names(path)?;
        let objects = names.iter().any(|name| parse_object_name(name).is_some());
        let place = if objects {
            Place::Objects(path.to_owned())
        } else {
            Place::Lines(Lines::new(path.to_owned()))
        };
        Ok(Self { next: Seq::ZERO, place })
    }

    /// Where the log is, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Store(store) => store.describe(),
            Place::Objects(path) => path.display().to_string(),
            Place::Lines(lines) => lines.folder.display().to_string(),
        }
    }

    /// A log that is not what it must be, in words.
    #[must_use]
    pub fn corrupt(&self, why: &dyn std::fmt::Display) -> Failure {
        corrupt(&self.describe(), why)
    }

    /// There is no log at all.
    #[must_use]
    pub fn empty(&self) -> Failure {
        let failure =
            Failure::new(Exit::Config, format!("{}: there is no record", self.describe()));
        let inside = match &self.place {
            Place::Store(_) => None,
            Place::Objects(folder) => Some(folder.join("log")),
            Place::Lines(lines) => Some(lines.folder.join("log")),
        };
        match inside.filter(|folder| folder.is_dir()) {
            Some(folder) => failure.fix(format!("did you mean {}?", folder.display())),
            None => failure.fix("check the directory, or the bucket and the prefix"),
        }
    }

    /// Position of the record that is read next.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.next
    }

    /// The next record's bytes; after [`Next::End`] it may be asked again.
    pub async fn next(&mut self) -> Result<Next, Failure> {
        let seq = self.next;
        let found = match &mut self.place {
            Place::Store(store) => match store.get(seq).await {
                GetOutcome::Found(bytes) => Some(Bytes::from(bytes)),
                GetOutcome::Missing => None,
                GetOutcome::Unknown(fault) => {
                    let at = store.describe();
                    return Err(unreachable(format!("{at}, record {seq}: {fault}")));
                }
                GetOutcome::Refused(fault) => {
                    let at = store.describe();
                    return Err(refused(format!("{at}, record {seq}: {fault}")));
                }
            },
            Place::Objects(folder) => {
                let path = folder.join(object_name(seq));
                match std::fs::read(&path) {
                    Ok(bytes) => Some(Bytes::from(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                    Err(error) => {
                        return Err(Failure::io(&format!("read {}", path.display()), &error));
                    }
                }
            }
            Place::Lines(lines) => lines.next()?,
        };
        Ok(match found {
            Some(bytes) => {
                self.next = seq.next();
                Next::Record(bytes)
            }
            None => Next::End,
        })
    }

    /// Makes sure that nothing stands after the end: a hole, or a key that no record can have.
    /// Says what is odd without being wrong: the torn last line of a local log.
    pub async fn check_end(&mut self) -> Result<Option<String>, Failure> {
        let after = self.next.0.checked_sub(1).map(Seq);
        match &mut self.place {
            Place::Store(store) => match store.first_key_after(after).await {
                ListOutcome::Next(None) => Ok(None),
                ListOutcome::Next(Some(Listed::Record(seq))) if seq == self.next => Ok(None),
                ListOutcome::Next(Some(Listed::Record(seq))) => {
                    Err(corrupt(&store.describe(), &hole(self.next, seq)))
                }
                ListOutcome::Next(Some(Listed::Foreign(key))) => {
                    Err(corrupt(&store.describe(), &foreign(&key)))
                }
                ListOutcome::Unknown(fault) => {
                    Err(unreachable(format!("{}, listing: {fault}", store.describe())))
                }
                ListOutcome::Refused(fault) => {
                    Err(refused(format!("{}, listing: {fault}", store.describe())))
                }
            },
            Place::Objects(folder) => {
                for name in names(folder)? {
                    let why = match parse_object_name(&name) {
                        Some(seq) if seq > self.next => hole(self.next, seq),
                        Some(_) => continue,
                        None => foreign(&name),
                    };
                    return Err(corrupt(&folder.display().to_string(), &why));
                }
                Ok(None)
            }
            Place::Lines(lines) => lines.rest(),
        }
    }
}

fn unreachable(what: String) -> Failure {
    Failure::new(Exit::Unreachable, what)
        .fix("check that --s3-endpoint (S3_ENDPOINT) is right and answers, or try again later")
}

fn refused(what: String) -> Failure {
    Failure::new(Exit::Config, what).fix(
        "check the bucket's name, the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), their right \
         to read, and the region (AWS_REGION)",
    )
}

fn corrupt(place: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Corrupt, format!("{place}: {why}"))
        .fix("keep every byte; compare with a copy or a checkpoint to see what changed")
}

fn hole(missing: Seq, found: Seq) -> String {
    format!("record {missing} is missing, but record {found} is there: the log has a hole")
}

fn foreign(name: &str) -> String {
    format!("{name:?} stands among the records, and no record has such a name")
}

fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: &std::io::Error| {
        let failure = Failure::io(&format!("read {}", folder.display()), error);
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                Failure { exit: Exit::Config, ..failure }
                    .fix("name the directory that holds the log's files, or s3://BUCKET/PREFIX")
            }
            _ => failure,
        }
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The lines of a local log's segment files, in the order of their names.
struct Lines {
    folder: PathBuf,
    file: Option<(String, File)>,
    offset: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl Lines {
    fn new(folder: PathBuf) -> Self {
        Self { folder, file: None, offset: 0, buffer: Vec::new(), start: 0 }
    }

    fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let waiting = &self.buffer[self.start..];
            if let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line = Bytes::copy_from_slice(&waiting[..end]);
                self.start += end + 1;
                return Ok(Some(line));
            }
            if waiting.len() > MAX_RECORD_BYTES {
                let name = self.file.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
                return Err(Failure::new(
                    Exit::Corrupt,
                    format!("{name}: a line is longer than any record ({MAX_RECORD_BYTES} bytes)"),
                ));
            }
            if !self.fill()? && !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// Reads more of the current file; false at its end.
    fn fill(&mut self) -> Result<bool, Failure> {
        let Some((name, file)) = &self.file else { return Ok(false) };
        self.buffer.drain(..self.start);
        self.start = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + CHUNK_BYTES, 0);
        let read = file
            .read_at(&mut self.buffer[filled..], self.offset)
            .map_err(|error| Failure::io(&format!("read {name}"), &error))?;
        self.buffer.truncate(filled + read);
        self.offset += read as u64;
        Ok(read > 0)
    }

    /// Opens the file after the current one; false if there is none.
    fn advance(&mut self) -> Result<bool, Failure> {
        let current = self.file.as_ref().map(|(name, _)| name.as_str());
        let names = names(&self.folder)?;
        if let Some(name) = names.iter().find(|name| name.ends_with(SUFFIX) && !is_segment(name)) {
            return Err(Failure::new(
                Exit::Config,
                format!("{}/{name}: no segment of a log has such a name", self.folder.display()),
            )
            .fix("name a directory with the segments of one log, named like 0000000000.jsonl"));
        }
        let following = names
            .into_iter()
            .filter(|name| is_segment(name))
            .find(|name| current.is_none_or(|current| name.as_str() > current));
        let Some(name) = following else { return Ok(false) };
        if !self.buffer[self.start..].is_empty() {
            let torn = current.unwrap_or_default();
            return Err(Failure::new(
                Exit::Corrupt,
                format!("{torn}: its last line has no end, but {name} follows it"),
            ));
        }
        let path = self.folder.join(&name);
        let file = File::open(&path)
            .map_err(|error| Failure::io(&format!("open {}", path.display()), &error))?;
        self.file = Some((name, file));
        self.offset = 0;
        Ok(true)
    }

    fn rest(&mut self) -> Result<Option<String>, Failure> {
        let torn = self.buffer.len() - self.start;
        if torn == 0 {
            return Ok(None);
        }
        let name = self.file.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default();
        Ok(Some(format!(
            "{name}: the last {torn} bytes are a line without an end; a write was cut short or is \
             under way, and the next start of the operator cuts it off"
        )))
    }
}

const SUFFIX: &str = ".jsonl";

/// Segment files, named by their first record; the lock beside them is none.
fn is_segment(name: &str) -> bool {
    let stem = name.strip_suffix(SUFFIX).unwrap_or_default();
    stem.len() == 10 && stem.bytes().all(|byte| byte.is_ascii_digit())
}
