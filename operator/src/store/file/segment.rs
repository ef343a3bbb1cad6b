//! Segment files: their names, and where each record stands in them.

use rynxs_core::ids::Seq;

/// The file that is locked; it never holds anything.
pub(super) const LOCK: &str = "lock";

/// The copy of the last segment while it is being made.
pub(super) const RENEWED: &str = "renewed";

const SUFFIX: &str = ".jsonl";

/// Path of the segment whose first record is `first`.
pub(super) fn path(dir: &str, first: Seq) -> String {
    format!("{dir}/{:010}{SUFFIX}", first.0)
}

/// What a name in the log's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A segment that begins with this record.
    Segment(Seq),
    /// Ends like a segment, and is none.
    Strange,
    /// Something else: the lock, `lost+found`, a person's notes.
    Other,
}

pub(super) fn parse(name: &str) -> Name {
    let Some(digits) = name.strip_suffix(SUFFIX) else { return Name::Other };
    if digits.len() != 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Name::Strange;
    }
    digits.parse().map_or(Name::Strange, |first| Name::Segment(Seq(first)))
}

/// One segment: where its lines end.
#[derive(Debug)]
pub(super) struct Segment {
    first: Seq,
    /// Offset behind each line end.
    ends: Vec<u64>,
}

impl Segment {
    pub(super) fn first(&self) -> Seq {
        self.first
    }

    /// Length of all its lines.
    pub(super) fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }
}

/// Where a record's bytes stand, without their line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: Seq,
    pub(super) offset: u64,
    pub(super) len: usize,
}

/// All segments, in order, without gaps.
#[derive(Debug, Default)]
pub(super) struct Segments {
    all: Vec<Segment>,
}

impl Segments {
    /// Position of the next record.
    pub(super) fn next_seq(&self) -> Seq {
        let behind = |segment: &Segment| Seq(segment.first.0 + segment.ends.len() as u64);
        self.all.last().map_or(Seq::ZERO, behind)
    }

    pub(super) fn last(&self) -> Option<&Segment> {
        self.all.last()
    }

    /// Adds an empty segment.
    ///
    /// # Panics
    /// If it is not named for the next record.
    pub(super) fn open(&mut self, first: Seq) {
        assert_eq!(first, self.next_seq(), "segments follow each other");
        self.all.push(Segment { first, ends: Vec::new() });
    }

    /// Adds the next record's line to a segment, which is the last one or a new one.
    pub(super) fn push(&mut self, first: Seq, line_bytes: u64) {
        if self.all.last().is_none_or(|last| last.first != first) {
            self.open(first);
        }
        let last = self.all.last_mut().expect("one was opened just now, if there was none");
        let end = last.bytes() + line_bytes;
        last.ends.push(end);
    }

    pub(super) fn locate(&self, seq: Seq) -> Option<Place> {
        let at = self.all.partition_point(|segment| segment.first <= seq).checked_sub(1)?;
        let segment = &self.all[at];
        let index = usize::try_from(seq.0 - segment.first.0).ok()?;
        let end = *segment.ends.get(index)?;
        let offset = index.checked_sub(1).map_or(0, |before| segment.ends[before]);
        let len = usize::try_from(end - offset - 1).expect("a record fits in memory");
        Some(Place { first: segment.first, offset, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ten_digits_and_nothing_like_it() {
        for (name, wanted) in [
            ("0000000000.jsonl", Name::Segment(Seq(0))),
            ("0000000120.jsonl", Name::Segment(Seq(120))),
            ("120.jsonl", Name::Strange),
            ("00000000000.jsonl", Name::Strange),
            ("+000000000.jsonl", Name::Strange),
            ("copy of 0.jsonl", Name::Strange),
            ("lock", Name::Other),
            ("lost+found", Name::Other),
        ] {
            assert_eq!(parse(name), wanted, "{name}");
        }
        assert_eq!(path("log", Seq(7)), "log/0000000007.jsonl");
    }

    #[test]
    fn records_are_found_where_they_were_pushed() {
        let mut segments = Segments::default();
        assert_eq!(segments.locate(Seq(0)), None);
        for (first, line_bytes) in [(0, 10), (0, 5), (2, 7), (3, 9), (3, 1)] {
            segments.push(Seq(first), line_bytes);
        }
        assert_eq!(segments.next_seq(), Seq(5));
        let place = |first, offset, len| Some(Place { first: Seq(first), offset, len });
        assert_eq!(segments.locate(Seq(0)), place(0, 0, 9));
        assert_eq!(segments.locate(Seq(1)), place(0, 10, 4));
        assert_eq!(segments.locate(Seq(2)), place(2, 0, 6));
        assert_eq!(segments.locate(Seq(4)), place(3, 9, 0));
        assert_eq!(segments.locate(Seq(5)), None);
    }
}
