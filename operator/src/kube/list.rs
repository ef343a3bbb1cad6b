//! Consistent lists, page by page.
//!
//! No list names a `resourceVersion`, so every first page is a read of the newest state, never of
//! a lagging cache: that is what the observation rule of a new leader rests on.

use kube_core::params::ListParams;
use rynxs_core::ids::Kind;
use rynxs_core::names::{MANAGED_BY, MANAGED_BY_VALUE};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{Answer, Call, KubeClient, PAGE_LIMIT_BYTES};
use super::error::{Fault, KubeError};
use super::resource::ResourceType;
use super::seen;

/// Objects per page, as kube-apiserver's own clients ask for.
const PAGE_ITEMS: u32 = 500;
/// Most pages of one list: a million objects. More is a server that never ends its list.
const MAX_PAGES: usize = 2_000;
/// How often a list whose continuation expired starts over before its caller backs off.
const MAX_RESTARTS: usize = 3;

/// Which objects of one type a list or a watch is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Kind in the log's vocabulary.
    pub kind: Kind,
    /// One namespace, or all.
    pub namespace: Option<String>,
}

/// The result of a whole list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// What was kept of the objects, in the server's order.
    pub items: Vec<T>,
    /// The point in time of the whole list; a watch resumes here.
    pub resource_version: String,
}

#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

impl Selection {
    /// The type's place in the API.
    #[must_use]
    pub fn resource(&self) -> &'static ResourceType {
        ResourceType::of(self.kind)
    }

    /// The label selector: everything for Agents and Sessions, else what rynxs manages.
    #[must_use]
    pub fn labels(&self) -> Option<String> {
        match self.kind {
            Kind::Agent | Kind::Session => None,
            _ => Some(format!("{MANAGED_BY}={MANAGED_BY_VALUE}")),
        }
    }

    /// The collection's path.
    pub(super) fn path(&self) -> String {
        self.resource().path(self.namespace.as_deref())
    }
}

impl KubeClient {
    /// Lists a selection consistently and keeps what `keep` makes of each object, so that at most
    /// one page and one parsed object are in memory besides. The object is without
    /// `metadata.managedFields`.
    ///
    /// # Errors
    /// Any page's request failed, or an answer is not a list.
    pub async fn list<T>(
        &self,
        selection: &Selection,
        mut keep: impl FnMut(Value) -> Option<T> + Send,
    ) -> Result<Listed<T>, KubeError> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        let mut restarts = 0;
        for _ in 0..MAX_PAGES {
            match self.page(selection, next.as_deref(), &mut items, &mut keep).await {
                Ok(PageMeta { next: token, .. }) if !token.is_empty() => next = Some(token),
                Ok(PageMeta { resource_version, .. }) => {
                    return Ok(Listed { items, resource_version });
                }
                // The continuation expired. A list pieced together from two points in time would
                // not be consistent, so it starts over.
                Err(error) if error.code() == 410 && restarts < MAX_RESTARTS => {
                    restarts += 1;
                    items.clear();
                    next = None;
                }
                Err(error) => return Err(error),
            }
        }
        Err(KubeError {
            verb: "list",
            target: selection.path(),
            fault: Fault::Undecodable(format!("the list goes on after {MAX_PAGES} pages")),
        })
    }

    async fn page<T>(
        &self,
        selection: &Selection,
        next: Option<&str>,
        items: &mut Vec<T>,
        keep: &mut (impl FnMut(Value) -> Option<T> + Send),
    ) -> Result<PageMeta, KubeError> {
        let mut params = ListParams::default().limit(PAGE_ITEMS);
        params.label_selector = selection.labels();
        params.continue_token = next.map(str::to_owned);
        let request = kube_core::Request::new(selection.path()).list(&params);
        let mut call = Call::new("list", selection.resource().plural, request)?;
        call.limit_bytes = PAGE_LIMIT_BYTES;
        let answer = self.send(call, self.timeout()).await?;
        keep_items(&answer, items, keep).map_err(|why| KubeError {
            verb: "list",
            target: selection.path(),
            fault: Fault::Undecodable(why),
        })
    }
}

fn keep_items<T>(
    answer: &Answer,
    items: &mut Vec<T>,
    keep: &mut impl FnMut(Value) -> Option<T>,
) -> Result<PageMeta, String> {
    let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
    if page.metadata.resource_version.is_empty() {
        return Err("a list without metadata.resourceVersion".to_owned());
    }
    for item in page.items {
        let object = seen::object(item.get()).map_err(|e| e.to_string())?;
        items.extend(keep(object));
    }
    Ok(page.metadata)
}
