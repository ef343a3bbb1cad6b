//! Claims about decisions, told as stories over the public interface.

mod agents;
mod book;
mod crds;
mod documents;
mod examples;
mod golden;
mod inheriting;
mod properties;
mod sessions;
