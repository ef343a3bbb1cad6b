//! rynxs checks across rooms: what no single package can check of itself.

use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lives one level below the root")
        .to_owned()
}

/// Every file below `dir` that git tracks or would track, relative to the root, sorted.
///
/// # Panics
/// If git cannot be run: the checks would otherwise pass on nothing.
#[must_use]
pub fn tracked_files() -> Vec<PathBuf> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files of this checkout");
    assert!(output.status.success(), "git ls-files failed: {output:?}");
    let text = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let mut files: Vec<_> = text
        .split('\0')
        .filter(|name| !name.is_empty() && root().join(name).is_file())
        .map(PathBuf::from)
        .collect();
    files.sort();
    assert!(files.len() > 20, "only {} files found, the listing is wrong", files.len());
    files
}

/// The text of a file of this checkout.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn text_of(file: &Path) -> String {
    std::fs::read_to_string(root().join(file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
