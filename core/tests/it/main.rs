//! Claims about decisions, told as stories over the public interface.

#![allow(clippy::missing_panics_doc, reason = "a test that panics has found something")]

mod agents;
mod book;
mod sessions;
