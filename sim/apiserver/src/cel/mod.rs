//! The CEL dialect of Kubernetes on top of the `cel` crate.
