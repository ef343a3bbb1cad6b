//! One replica as a whole: the election's loop, leading by the leader over the log that the
//! settings name.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use rynxs_core::config::{Config, Store};

use crate::kube::KubeClient;
use crate::leader::{LeaderContext, lead};
use crate::observe::Observer;
use crate::ports::Ports;
use crate::run::{Closed, Lead, LeaderEnd, Leading, RunError, run_with};
use crate::store::{FileLogStore, LogStore, S3LogStore};

/// Runs one replica until `shutdown` ends or the process must end.
///
/// # Errors
/// See [`RunError`]; everything else is retried.
pub async fn run(
    ports: Ports,
    config: Config,
    observer: Arc<dyn Observer>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<(), RunError> {
    let leader = Leader {
        ports: ports.clone(),
        config: Arc::new(config.clone()),
        observer: Arc::clone(&observer),
    };
    run_with(ports, config, observer, shutdown, &leader).await
}

/// What a replica leads with, term after term.
struct Leader {
    ports: Ports,
    config: Arc<Config>,
    observer: Arc<dyn Observer>,
}

impl Lead for Leader {
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>> {
        let (ports, config) = (self.ports.clone(), Arc::clone(&self.config));
        let observer = Arc::clone(&self.observer);
        async move {
            match &config.log_sink.store {
                Store::S3(settings) => {
                    let timeout = config.append.request_timeout;
                    let store: Arc<dyn LogStore> =
                        Arc::new(S3LogStore::new(&ports, settings, timeout, observer));
                    Ok(store)
                }
                Store::File(settings) => {
                    let storage = Arc::clone(&ports.storage);
                    match FileLogStore::open(storage, &settings.dir, &settings.dir).await {
                        Ok(store) => Ok(Arc::new(store) as Arc<dyn LogStore>),
                        Err(error) => {
                            Err(Closed { kind: error.kind(), message: error.to_string() })
                        }
                    }
                }
            }
        }
        .boxed()
    }

    fn lead(&self, leading: Leading) -> BoxFuture<'static, LeaderEnd> {
        let timeout = self.config.reconcile.request_timeout;
        lead(LeaderContext {
            kube: KubeClient::new(self.ports.clone(), Arc::clone(&self.observer), timeout),
            ports: self.ports.clone(),
            config: Arc::clone(&self.config),
            store: leading.store,
            guard: leading.guard,
            identity: leading.identity,
            observer: Arc::clone(&self.observer),
            stop: leading.stop.shared(),
        })
        .boxed()
    }
}
