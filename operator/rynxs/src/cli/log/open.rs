//! Opens a log for reading, wherever it is.

use std::path::Path;
use std::sync::Arc;

use rynxs_core::config::S3Store;
use rynxs_operator::ports::Ports;
use rynxs_operator::store::s3;

use crate::adapters::{BootClock, Disk, ObjectStore, ObjectStoreOptions, OsEntropy, RealNetwork};
use crate::cli::exit::{Exit, Failure};
use crate::cli::values::Location;

use super::Reader;

/// A reader at the beginning of a log; `bucket` has the settings of a bucket.
pub fn open(
    location: &Location,
    bucket: Option<S3Store>,
    ca_bundle: Option<&Path>,
) -> Result<Reader, Failure> {
    match (location, bucket) {
        (Location::Directory(path), _) => Reader::directory(path),
        (Location::Bucket { .. }, Some(settings)) => {
            let options = ObjectStoreOptions { ca_bundle: ca_bundle.map(Path::to_owned) };
            let client = ObjectStore::connect(&options)
                .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
            let ports = Ports {
                clock: Arc::new(BootClock),
                network: Arc::new(RealNetwork::new(None, Some(client))),
                storage: Arc::new(Disk::new(".")),
                entropy: Arc::new(OsEntropy),
            };
            Ok(Reader::store(Box::new(s3::S3LogStore::new(&ports, &settings))))
        }
        (Location::Bucket { bucket, .. }, None) => {
            Err(Failure::new(Exit::Bug, format!("bucket {bucket}: no settings")))
        }
    }
}
