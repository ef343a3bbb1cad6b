//! The first look at the cluster: which of our numbers it carries.
//!
//! Made before the log is read, from consistent lists, so that a log that was cut, exchanged or
//! emptied is noticed before anything is written (`rynxs_core::genesis`). Nothing of these lists is
//! ever recorded: observations come only from lists begun after the epoch's start.

use rynxs_core::genesis::{ClusterStamps, StampError};
use rynxs_core::ids::{Epoch, Kind, ObjectRef};
use rynxs_core::names::{LOG, STAMP};
use serde_json::Value;

use crate::kube::{KubeClient, KubeError, Selection};

/// Why the first look failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SurveyError {
    /// The API server did not list.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// An object carries numbers that no leader has written.
    #[error(transparent)]
    Stamp(#[from] StampError),
}

/// Lists one selection and notes the numbers that it carries.
///
/// # Errors
/// The list failed, or an object carries a number that cannot be one of ours.
pub async fn survey(
    kube: &KubeClient,
    selection: &Selection,
    stamps: &mut ClusterStamps,
) -> Result<(), SurveyError> {
    let mut wrong = None;
    kube.list(selection, |live| {
        if let Err(error) = note(stamps, selection.kind, &live) {
            wrong.get_or_insert(error);
        }
        None::<()>
    })
    .await?;
    wrong.map_or(Ok(()), |error| Err(error.into()))
}

fn note(stamps: &mut ClusterStamps, kind: Kind, live: &Value) -> Result<(), StampError> {
    let metadata = &live["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = ObjectRef::new(kind, text(&metadata["namespace"]), text(&metadata["name"]));
    if matches!(kind, Kind::Agent | Kind::Session) {
        if let Some(epoch) = live.pointer("/status/controllerEpoch").and_then(Value::as_u64) {
            stamps.controller_epoch(&object, Epoch(epoch));
        }
        return Ok(());
    }
    let annotation = |name: &str| metadata["annotations"].get(name).and_then(Value::as_str);
    stamps.managed(&object, annotation(STAMP), annotation(LOG))
}
