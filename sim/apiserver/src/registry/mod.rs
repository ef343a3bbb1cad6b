//! Which resources exist: the built-in ones and those that CRDs define.

mod builtin;
mod crd;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resource::{ResourceInfo, StorageKey};

pub(crate) use crd::{accept as accept_crd, infos as crd_infos};

/// All resources, by group, version and plural name.
#[derive(Debug)]
pub(crate) struct Registry {
    resources: BTreeMap<(String, String, String), Arc<ResourceInfo>>,
    generation: u64,
}

impl Registry {
    /// The built-in resources.
    pub(crate) fn new() -> Self {
        let mut registry = Self { resources: BTreeMap::new(), generation: 0 };
        for info in builtin::all() {
            registry.insert(info);
        }
        registry
    }

    fn insert(&mut self, info: ResourceInfo) {
        let key = (info.group.clone(), info.version.clone(), info.plural.clone());
        self.resources.insert(key, Arc::new(info));
    }

    /// Finds a resource by its path segments.
    pub(crate) fn get(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<&Arc<ResourceInfo>> {
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Finds a resource by group, version and kind.
    pub(crate) fn by_kind(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Option<&Arc<ResourceInfo>> {
        self.iter().find(|r| r.group == group && r.version == version && r.kind == kind)
    }

    /// Some version of the resource that a collection holds.
    pub(crate) fn by_storage(&self, storage: &StorageKey) -> Option<&Arc<ResourceInfo>> {
        let from = (storage.group.clone(), String::new(), String::new());
        self.resources
            .range(from..)
            .take_while(|((group, _, _), _)| *group == storage.group)
            .map(|(_, info)| info)
            .find(|info| info.plural == storage.plural && info.storage == *storage)
    }

    /// All resources, ordered by group, version, plural.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<ResourceInfo>> {
        self.resources.values()
    }

    /// Rises with every change; discovery documents can be cached by it.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Replaces what a CRD defines (all of its versions); an empty list removes it.
    pub(crate) fn define(&mut self, storage: &StorageKey, infos: Vec<ResourceInfo>) {
        self.resources.retain(|_, info| !(info.is_custom() && info.storage == *storage));
        for info in infos {
            self.insert(info);
        }
        self.generation += 1;
    }
}
