//! The command line as people see it: help and error texts, word for word.
//!
//! `TRYCMD=overwrite cargo test -p rynxs --test cli` writes what the binary says now.
#![allow(missing_docs, reason = "a test")]

#[test]
fn help_and_errors_are_what_the_golden_files_say() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
