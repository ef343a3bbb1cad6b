//! Which leader's word counts: the workspace remembers the highest epoch in which its runtime, and
//! each of its sessions, was started.
//!
//! A pod that an earlier leader asked for may start late. Its epoch is lower than what the
//! workspace has seen, so it does nothing: fencing at the resource itself (Kleppmann, *How to do
//! distributed locking*, 2016). A runtime and a session do not fence each other: a runtime that
//! started under an early leader goes on beside sessions of later ones.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Whether a pod may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    /// A higher epoch was here.
    Refused {
        by: u64,
    },
}

/// Compares an epoch with the one in which `who` was started last, and raises that. Two pods never
/// race for it: the volume is ReadWriteOnce, and a Deployment of strategy Recreate runs one of them
/// at a time; where they meet all the same, the lower one finds the higher one's file, or is
/// overwritten by it.
pub(crate) fn admit(workspace: &Path, who: &str, epoch: u64) -> Result<Admission> {
    let path = workspace.join(format!(".epoch-{who}"));
    let seen = match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(seen) => Some(seen),
            Err(_) => bail!("{} holds {:?}, and no epoch: remove it", path.display(), text.trim()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    match seen {
        Some(by) if by > epoch => Ok(Admission::Refused { by }),
        Some(same) if same == epoch => Ok(Admission::Admitted),
        _ => replace(&path, epoch.to_string().as_bytes()).map(|()| Admission::Admitted),
    }
}

/// Writes a file so that a reader finds the old one or the new one, whatever happens meanwhile.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_serves_no_epoch_below_the_highest_it_has_seen() {
        let workspace = tempfile::tempdir().expect("a folder");
        let admit = |epoch| admit(workspace.path(), "runtime", epoch).expect("a sound workspace");
        assert_eq!(admit(4), Admission::Admitted);
        assert_eq!(admit(4), Admission::Admitted);
        assert_eq!(admit(7), Admission::Admitted);
        assert_eq!(admit(4), Admission::Refused { by: 7 });
        assert_eq!(admit(8), Admission::Admitted);
        let session = super::admit(workspace.path(), "session-s", 2).expect("a sound workspace");
        assert_eq!(session, Admission::Admitted);
    }

    #[test]
    fn a_file_that_holds_no_epoch_is_named() {
        let workspace = tempfile::tempdir().expect("a folder");
        fs::write(workspace.path().join(".epoch-runtime"), "yesterday\n").expect("a file");
        let error = admit(workspace.path(), "runtime", 1).expect_err("no epoch").to_string();
        assert!(error.contains(".epoch-runtime") && error.contains("yesterday"), "{error}");
    }
}
