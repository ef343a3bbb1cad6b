//! Opens a log for reading, wherever it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rynxs_core::config::S3Store;
use rynxs_operator::observe::Silent;
use rynxs_operator::ports::Ports;
use rynxs_operator::store::S3LogStore;

use crate::adapters::{BootClock, Disk, ObjectStore, ObjectStoreOptions, OsEntropy, RealNetwork};
use crate::cli::exit::{Exit, Failure};
use crate::cli::values::Location;

use super::Reader;

/// Longest wait for one record: a person waits for the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

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
            let disk = Disk::new(".")
                .map_err(|error| Failure::io("start the thread for the disk", &error))?;
            let ports = Ports {
                clock: Arc::new(BootClock),
                network: Arc::new(RealNetwork::new(None, Some(client))),
                storage: Arc::new(disk),
                entropy: Arc::new(OsEntropy),
            };
            let store = S3LogStore::new(&ports, &settings, REQUEST_TIMEOUT, Arc::new(Silent));
            Ok(Reader::store(Box::new(store)))
        }
        (Location::Bucket { bucket, .. }, None) => {
            Err(Failure::new(Exit::Bug, format!("bucket {bucket}: no settings")))
        }
    }
}
