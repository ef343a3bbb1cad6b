//! Planted bugs: patches under `sim/planted/`, each a mistake that a person would make, kept with
//! the case from the world that it is modelled on and with the invariant that must catch it.
//!
//! They are the simulator's own test: a world, a strategy or an oracle that got weaker lets one of
//! them through.

use std::path::Path;

use rynxs_judge::Invariant;

/// Where the patches are, below the workspace's root.
pub const FOLDER: &str = "sim/planted";

/// What may catch a bug besides an invariant: the same run gave other bytes.
pub const DETERMINISM: &str = "determinism";

/// One patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Name of its file, without `.patch`.
    pub name: String,
    /// What is wrong, in one sentence.
    pub bug: String,
    /// The case that it is modelled on.
    pub seen: String,
    /// What must catch it: `I1` to `I10` or [`DETERMINISM`]; any of them will do.
    pub expected: Vec<String>,
    /// Runs within which it must be found.
    pub budget: u64,
    /// Which scenarios to draw, if not the usual mix.
    pub bias: Option<String>,
}

impl Planted {
    /// Reads the head of a patch: `# key: value` lines before the diff.
    ///
    /// # Errors
    /// What is missing or cannot be understood.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let head = text.lines().take_while(|line| !line.starts_with("--- "));
            let prefix = format!("# {key}: ");
            let found = head.filter_map(|line| line.strip_prefix(&prefix)).next();
            found.map(str::trim).filter(|value| !value.is_empty())
        };
        let needed = |key: &str| {
            value(key).map(str::to_owned).ok_or_else(|| format!("{name}: no line `# {key}: …`"))
        };
        let expected: Vec<String> =
            needed("caught by")?.split(", ").map(|what| what.trim().to_owned()).collect();
        if let Some(strange) = expected.iter().find(|what| !is_known(what)) {
            return Err(format!("{name}: caught by {strange:?}, which is no invariant"));
        }
        let budget = needed("budget")?;
        let budget = budget.strip_suffix(" seeds").and_then(|number| number.parse().ok());
        Ok(Self {
            name: name.to_owned(),
            bug: needed("bug")?,
            seen: needed("seen")?,
            expected,
            budget: budget.ok_or_else(|| format!("{name}: write `# budget: 200 seeds`"))?,
            bias: value("scenario").map(str::to_owned),
        })
    }
}

fn is_known(what: &str) -> bool {
    what == DETERMINISM || Invariant::numbered(what).is_some()
}

/// All planted bugs of a tree, by name.
///
/// # Errors
/// A file that cannot be read, or is no patch with a head.
#[allow(clippy::disallowed_methods, reason = "patches are files of the tree")]
pub fn all(root: &Path) -> Result<Vec<Planted>, String> {
    let folder = root.join(FOLDER);
    let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_suffix(".patch") else { continue };
        let text = std::fs::read_to_string(&path).map_err(trouble)?;
        found.push(Planted::parse(name, &text)?);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# bug: b\n# seen: s\n# caught by: I4, determinism\n# budget: 9 seeds\n";

    #[test]
    fn a_head_says_what_is_wrong_and_what_must_catch_it() {
        let planted = Planted::parse("p", &format!("{HEAD}# scenario: file\n--- a/x\n"));
        let planted = planted.expect("a whole head");
        assert_eq!(planted.expected, ["I4", "determinism"]);
        assert_eq!((planted.budget, planted.bias.as_deref()), (9, Some("file")));
    }

    #[test]
    fn a_head_without_a_line_or_with_a_strange_one_is_refused_by_name() {
        for (from, to, expected) in [
            ("# seen: s\n", "", "no line `# seen: …`"),
            ("I4", "I11", "caught by \"I11\""),
            ("9 seeds", "nine", "budget"),
        ] {
            let error = Planted::parse("p", &HEAD.replace(from, to)).expect_err(to);
            assert!(error.contains(expected), "{error}");
        }
    }
}
