//! How a term ends, from how its parts end.

pub use crate::run::LeaderEnd;

use crate::journal::JournalEnd;
use crate::takeover::TakeoverEnd;

impl From<JournalEnd> for LeaderEnd {
    fn from(end: JournalEnd) -> Self {
        match end {
            JournalEnd::Fenced { .. } => Self::Fenced,
            JournalEnd::Undecided { .. } => Self::Undecided,
            JournalEnd::Halt(why) => Self::Halted(why),
            JournalEnd::Config(_) => Self::Config(end.to_string()),
            JournalEnd::Bug(why) => Self::Bug(why),
            JournalEnd::Dropped => Self::LeadershipLost,
        }
    }
}

impl From<TakeoverEnd> for LeaderEnd {
    fn from(end: TakeoverEnd) -> Self {
        match end {
            TakeoverEnd::NotLeading => Self::LeadershipLost,
            TakeoverEnd::Undecided { .. } => Self::Undecided,
            TakeoverEnd::Config { .. } | TakeoverEnd::Lineage(_) => Self::Config(end.to_string()),
            TakeoverEnd::Corrupt { .. } => Self::Halted(end.to_string()),
            TakeoverEnd::Bug(why) => Self::Bug(why),
        }
    }
}
