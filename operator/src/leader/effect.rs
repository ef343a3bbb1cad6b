//! One decided action, carried out: a few requests, each after a look at the guard.
//!
//! What comes back says what the log may be told. An answer that leaves open whether a write was
//! applied is not told at all: the action stays pending and is tried again, which is harmless,
//! because the same decision writes the same content under the same stamp.

use std::sync::Arc;
use std::time::Duration;

use rynxs_core::event::{FailureReason, Reason, Verb};
use rynxs_core::genesis::LineageError;
use rynxs_core::ids::{Hash, Kind, LogId, ObjectRef, Seq, Stamp, Uid};
use rynxs_core::names;
use rynxs_core::projection;
use rynxs_core::state::{LogInfo, PendingAction};
use serde_json::Value;

use super::settle::{Higher, LogView};
use crate::informer::{Cache, Entry, Managed, Owner};
use crate::kube::{
    Incarnation, KubeClient, KubeError, Provenance, SessionDelete, StampedApply, Written,
    without_others,
};
use crate::leadership::{Leadership, UnderWay};
use crate::observe::{Observer, RefusedBy, Signal};

/// How often one effect reads afresh and writes again before it waits: the first conflict is
/// somebody's write in between, a third in a row is contention that waiting resolves better.
const ROUNDS: usize = 3;

/// What effects need; shared by all of them.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) kube: KubeClient,
    pub(super) cache: Cache,
    pub(super) leadership: Leadership,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) log: LogInfo,
    pub(super) view: LogView,
}

/// One pending action, ready to be carried out.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) subject: ObjectRef,
    pub(super) pending: PendingAction,
    /// The content; none for deletes.
    pub(super) manifest: Option<Value>,
    /// The incarnation to write to; none for a create.
    pub(super) uid: Option<Uid>,
    pub(super) stamp: Stamp,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Acknowledged by the API server.
    Applied { uid: Uid, projection: Hash },
    /// Ended for good.
    Failed { reason: FailureReason, message: String },
    /// Not now.
    Retry {
        why: String,
        /// What the server asked for.
        after: Option<Duration>,
        /// Its words, if it forbids the write (403): people should hear of it.
        forbidden: Option<String>,
    },
    /// The guard is closed.
    NotLeading,
    /// A newer epoch wrote to the object.
    Fenced,
    /// The object carries a stamp that the log does not hold.
    Cut(String),
    /// A log that this one replaces is still written to.
    PredecessorAlive(Box<LineageError>),
}

/// An order's end, and its writes, if anything was sent that could have changed the cluster: they
/// end with a look at the guard by whoever makes something of the outcome.
#[derive(Debug)]
pub(super) struct Performed {
    pub(super) outcome: Outcome,
    pub(super) under_way: Option<UnderWay>,
}

struct Effect<'a> {
    tools: &'a Tools,
    order: &'a Order,
    under_way: Option<UnderWay>,
    /// Our create was refused, and nothing was read since.
    name_taken: bool,
}

/// Carries out one order.
pub(super) async fn perform(tools: &Tools, order: &Order) -> Performed {
    let mut effect = Effect { tools, order, under_way: None, name_taken: false };
    let result = match order.pending.action.verb {
        Verb::Create => effect.create().await,
        Verb::Update | Verb::Activate => effect.update().await,
        Verb::Delete => effect.delete().await,
        Verb::DeleteExpired => effect.delete_session().await,
    };
    let (Ok(outcome) | Err(outcome)) = result;
    Performed { outcome, under_way: effect.under_way }
}

/// `Err` ends the effect early; both sides are its outcome.
type Step<T> = Result<T, Outcome>;

impl Effect<'_> {
    async fn create(&mut self) -> Step<Outcome> {
        let manifest = self.manifest()?;
        let apply = StampedApply::create(self.object(), manifest, &self.provenance());
        match self.apply(apply).await? {
            Ok(written) => Ok(self.applied(&written)),
            // The name is taken: perhaps by our own create, whose answer was lost.
            Err(error) if error.code() == 409 => {
                self.name_taken = true;
                self.write_over().await.map(|outcome| self.unless_taken(outcome))
            }
            Err(error) => self.refused(&error).await,
        }
    }

    /// What holds the name of our create cannot become what is wanted: the name is taken until
    /// that is gone, and then the create is tried again.
    fn unless_taken(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed { reason: FailureReason::Rejected, message } => Outcome::Failed {
                reason: FailureReason::NameConflict,
                message: format!("{} exists and cannot be changed: {message}", self.object()),
            },
            outcome => outcome,
        }
    }

    async fn update(&mut self) -> Step<Outcome> {
        let known = self.tools.cache.get(self.object());
        let known = known.filter(|entry| self.may_write(entry).is_ok());
        let Some(entry) = known else { return self.write_over().await };
        match self.apply_over(&entry).await? {
            Ok(written) => Ok(self.applied(&written)),
            // Ours is not the newest version (409), or not the living incarnation (422 by some
            // servers, as uid is immutable): look afresh.
            Err(error) if matches!(error.code(), 404 | 409 | 422) => self.write_over().await,
            Err(error) => self.refused(&error).await,
        }
    }

    /// Reads the object afresh and writes to it as it is now, if it is ours to write.
    async fn write_over(&mut self) -> Step<Outcome> {
        for _ in 0..ROUNDS {
            let Some(live) = self.read().await? else {
                return Ok(self.absent());
            };
            let Some(entry) = self.tools.cache.answered(self.object().kind, &live) else {
                return Err(retry("the object has no identity"));
            };
            if let Err(hurdle) = self.may_write(&entry) {
                return self.overcome(hurdle).await;
            }
            match self.apply_over(&entry).await? {
                Ok(written) => return Ok(self.applied(&written)),
                Err(error) if error.code() == 409 => {}
                // The uid is immutable, so 422 may also say that it is another object by now.
                Err(error) if error.code() == 422 && self.is_replaced(&entry.uid).await? => {}
                Err(error) => return self.refused(&error).await,
            }
        }
        Err(retry("the object changes faster than it can be written"))
    }

    async fn delete(&mut self) -> Step<Outcome> {
        for _ in 0..ROUNDS {
            let Some(live) = self.read().await? else { return Ok(self.deleted()) };
            let Some(entry) = self.tools.cache.answered(self.object().kind, &live) else {
                return Err(retry("the object has no identity"));
            };
            if !self.is_incarnation(&entry) {
                return Ok(self.deleted());
            }
            if let Err(hurdle) = self.may_write(&entry) {
                return match hurdle {
                    Hurdle::Deleting => Ok(self.deleted()),
                    other => self.overcome(other).await,
                };
            }
            let mark = match StampedApply::mark(self.object(), &live, &self.provenance()) {
                Ok(mark) => mark,
                Err(error) => return Err(rejected(error.to_string())),
            };
            self.may_send()?;
            let marked = match self.noted(self.tools.kube.mark(mark).await) {
                Ok(marked) => marked,
                Err(error) if matches!(error.code(), 404 | 409) => continue,
                Err(error) if error.code() == 422 && self.is_replaced(&entry.uid).await? => {
                    continue;
                }
                Err(error) => return self.refused(&error).await,
            };
            self.may_send()?;
            match self.noted(self.tools.kube.delete_marked(&marked).await) {
                Ok(()) => return Ok(self.deleted()),
                Err(error) if matches!(error.code(), 404 | 409) => {}
                Err(error) => return self.refused(&error).await,
            }
        }
        Err(retry("the object changes faster than it can be deleted"))
    }

    async fn delete_session(&mut self) -> Step<Outcome> {
        let known = self.tools.cache.get(self.object()).filter(|entry| self.is_incarnation(entry));
        let mut at = known.map(|entry| entry.at());
        for _ in 0..ROUNDS {
            let now = match at.take() {
                Some(at) => at,
                None => match self.read().await?.as_ref().and_then(Incarnation::of) {
                    Some(at) if Some(&at.uid) == self.order.uid.as_ref() => at,
                    _ => return Ok(self.deleted()),
                },
            };
            self.may_send()?;
            let delete = SessionDelete { session: self.object().key.clone(), at: now };
            match self.noted(self.tools.kube.delete_session(&delete).await) {
                Ok(()) => return Ok(self.deleted()),
                Err(error) if error.code() == 404 => return Ok(self.deleted()),
                Err(error) if error.code() == 409 => {}
                Err(error) => return self.refused(&error).await,
            }
        }
        Err(retry("the Session changes faster than it can be deleted"))
    }

    /// The object does not exist (any more).
    fn absent(&self) -> Outcome {
        match (&self.order.uid, self.order.pending.action.verb) {
            (Some(uid), Verb::Update | Verb::Activate) => {
                self.tools.cache.gone(self.object(), uid);
                gone(uid)
            }
            // It was there when our create was refused: the next create finds the name free.
            _ => retry("the name was taken and is free again"),
        }
    }

    /// What a hurdle on the living object means.
    async fn overcome(&mut self, hurdle: Hurdle) -> Step<Outcome> {
        match hurdle {
            Hurdle::Stamp(stamp, log) => {
                // The create that found the name taken came too late.
                if std::mem::take(&mut self.name_taken) {
                    self.stale(RefusedBy::ResourceVersion);
                }
                self.settle(stamp, log).await
            }
            Hurdle::Unstamped => Ok(Outcome::Failed {
                reason: FailureReason::NameConflict,
                message: format!("{} exists and is not managed by rynxs", self.object()),
            }),
            Hurdle::Log(log) => Ok(Outcome::Failed {
                reason: FailureReason::ForeignLog,
                message: format!("{} belongs to the installation of log {log}", self.object()),
            }),
            Hurdle::Incarnation(live) => {
                let wanted = self.order.uid.clone().unwrap_or_default();
                tracing::info!(object = %self.object(), %wanted, %live, "another incarnation");
                Ok(gone(&wanted))
            }
            Hurdle::Deleting => Err(retry("the object is being deleted")),
            Hurdle::Owner => Err(retry("the object still belongs to an owner that is gone")),
        }
    }

    /// Whether the rules of the admission policies let this order write to this version. They are
    /// checked here as well, for clusters where the policies are not installed.
    fn may_write(&self, entry: &Entry) -> Result<(), Hurdle> {
        let Some(Managed { stamp, log, owner, .. }) = entry.managed() else {
            return Err(Hurdle::Unstamped);
        };
        if let Some(uid) = &self.order.uid
            && entry.uid != *uid
        {
            return Err(Hurdle::Incarnation(entry.uid.clone()));
        }
        let Some(stamp) = stamp else { return Err(Hurdle::Unstamped) };
        if let Some(log) = log.as_ref().filter(|log| !self.is_ours(log)) {
            return Err(Hurdle::Log(log.clone()));
        }
        if *stamp > self.order.stamp {
            return Err(Hurdle::Stamp(*stamp, log.clone()));
        }
        // A claim that is deleted stays for as long as a pod uses it, and that pod may be of what
        // stands behind it: what else the agent is to become must not wait for that, whoever the
        // claim belonged to.
        let held = self.object().kind == Kind::PersistentVolumeClaim
            && matches!(self.order.pending.action.verb, Verb::Create | Verb::Update);
        if entry.deleting {
            return if held { Ok(()) } else { Err(Hurdle::Deleting) };
        }
        if self.moves(owner.as_ref()) { Err(Hurdle::Owner) } else { Ok(()) }
    }

    /// Whether the object would go from one owner to another, which the policies refuse.
    fn moves(&self, owner: Option<&Owner>) -> bool {
        let both = owner.zip(self.owner_after());
        both.is_some_and(|(before, after)| before.uid.as_str() != after)
    }

    fn owner_after(&self) -> Option<&str> {
        self.order.manifest.as_ref()?.pointer("/metadata/ownerReferences/0/uid")?.as_str()
    }

    fn is_ours(&self, log: &LogId) -> bool {
        *log == self.tools.log.log_id || self.tools.log.predecessors.contains(log)
    }

    fn is_incarnation(&self, entry: &Entry) -> bool {
        self.order.uid.as_ref() == Some(&entry.uid)
    }

    /// The guard, before every single write.
    fn may_send(&mut self) -> Step<()> {
        let leadership = &self.tools.leadership;
        let asked = match &self.under_way {
            Some(_) => leadership.may_send(),
            None => leadership.begin(self.object()).map(|begun| self.under_way = Some(begun)),
        };
        asked.map_err(|_| Outcome::NotLeading)
    }

    /// The answer to a write that named the version it replaces: 409 says that there is a newer.
    fn noted<T>(&self, answer: Result<T, KubeError>) -> Result<T, KubeError> {
        answer.inspect_err(|error| {
            if error.code() == 409 {
                self.stale(RefusedBy::ResourceVersion);
            }
        })
    }

    fn stale(&self, by: RefusedBy) {
        self.tools.observer.signal(Signal::StaleWriteRefused(by));
    }

    async fn apply(
        &mut self,
        apply: Result<StampedApply, crate::kube::ApplyError>,
    ) -> Step<Result<Written, KubeError>> {
        let apply = apply.map_err(|error| rejected(error.to_string()))?;
        self.may_send()?;
        Ok(self.tools.kube.apply(apply).await)
    }

    async fn apply_over(&mut self, entry: &Entry) -> Step<Result<Written, KubeError>> {
        let mut manifest = self.manifest()?;
        let owner = entry.managed().and_then(|managed| managed.owner.as_ref());
        if entry.deleting
            && self.moves(owner)
            && let Some(metadata) = manifest["metadata"].as_object_mut()
        {
            // What goes needs no owner any more; it may lose one, and not get another.
            metadata.remove("ownerReferences");
        }
        let at = entry.at();
        let apply = StampedApply::update(self.object(), manifest, &self.provenance(), &at);
        let answer = self.apply(apply).await?;
        Ok(self.noted(answer))
    }

    async fn read(&self) -> Step<Option<Value>> {
        self.tools.kube.get(self.object()).await.map_err(|error| passing(&error))
    }

    /// Whether the name does not belong to this incarnation any more.
    async fn is_replaced(&self, uid: &Uid) -> Step<bool> {
        let live = self.read().await?;
        Ok(live.as_ref().and_then(Incarnation::of).is_none_or(|at| at.uid != *uid))
    }

    /// A refusal that is none of the expected ones.
    async fn refused(&mut self, error: &KubeError) -> Step<Outcome> {
        let refusal = error.refusal();
        if refusal.is_some_and(crate::kube::Refusal::is_stale_stamp) {
            self.stale(RefusedBy::Policy);
            let live = self.read().await?;
            let entry = live.and_then(|live| self.tools.cache.answered(self.object().kind, &live));
            return match entry.map(|entry| self.may_write(&entry)) {
                Some(Err(hurdle)) => self.overcome(hurdle).await,
                Some(Ok(())) | None => Err(retry("refused for a stamp that is gone")),
            };
        }
        // 400, 413, 422: the server will never take this content. Everything else may pass: rights
        // and quotas are mended by people, and their names are in the message.
        match refusal {
            Some(refusal) if matches!(refusal.code, 400 | 413 | 422) => {
                Ok(rejected(refusal.message.clone()))
            }
            _ => Err(passing(error)),
        }
    }

    async fn settle(&self, stamp: Stamp, log: Option<LogId>) -> Step<Outcome> {
        let own = &self.tools.log;
        if let Some(found) = log.filter(|log| *log != own.log_id) {
            // Our decisions stand above the base: whoever wrote this did so beside us.
            let alive = LineageError::PredecessorAlive {
                object: self.object().clone(),
                stamp,
                found,
                own: own.log_id.clone(),
                base: own.base,
            };
            return Ok(Outcome::PredecessorAlive(Box::new(alive)));
        }
        match self.tools.view.settle(stamp).await {
            Higher::Ours => Err(retry("a later decision of this log has written the object")),
            Higher::Newer => Ok(Outcome::Fenced),
            Higher::Missing(seq) => Ok(Outcome::Cut(format!(
                "{} carries stamp {stamp}, but the log has no record {seq}",
                self.object()
            ))),
            Higher::Unknown(why) => Err(retry(&why)),
        }
    }

    fn applied(&self, written: &Written) -> Outcome {
        let entry = self.tools.cache.answered(self.object().kind, &written.live);
        let returned = entry.as_ref().and_then(Entry::managed).map(|managed| managed.projection);
        // What others had added before our write is drift still: only its repair, which ends in a
        // new object if it must, takes what the server returned as it is.
        let repairs = self.order.pending.action.reason == Reason::DriftRepaired;
        let projection = returned.map(|returned| {
            if repairs {
                return returned;
            }
            let ours = without_others(&written.live, names::FIELD_MANAGER);
            projection::hash_live(self.object().kind, &ours)
        });
        match projection {
            Some(projection) => Outcome::Applied { uid: written.at.uid.clone(), projection },
            None => retry("the answer lacks what every object has"),
        }
    }

    fn deleted(&self) -> Outcome {
        let uid = self.order.uid.clone().unwrap_or_default();
        if self.object().kind != Kind::Session {
            self.tools.cache.gone(self.object(), &uid);
        }
        Outcome::Applied { uid, projection: Hash::ZERO }
    }

    fn manifest(&self) -> Step<Value> {
        self.order.manifest.clone().ok_or_else(|| rejected("no content was rendered".to_owned()))
    }

    fn provenance(&self) -> Provenance {
        Provenance {
            stamp: self.order.stamp,
            log: self.tools.log.log_id.clone(),
            epoch: self.tools.leadership.epoch(),
        }
    }

    fn object(&self) -> &ObjectRef {
        &self.order.pending.action.object
    }
}

/// Why a living object cannot be written by an order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hurdle {
    /// It has no stamp: a person's.
    Unstamped,
    /// It has another installation's stamp.
    Log(LogId),
    /// It has a higher stamp, of this log or of a predecessor.
    Stamp(Stamp, Option<LogId>),
    /// It is another incarnation than the one decided about.
    Incarnation(Uid),
    /// Its deletion has begun.
    Deleting,
    /// It belongs to another owner, whose garbage has not been collected yet.
    Owner,
}

impl Order {
    /// The decision's record.
    pub(super) fn decision(&self) -> Seq {
        self.pending.decision
    }
}

fn retry(why: &str) -> Outcome {
    Outcome::Retry { why: why.to_owned(), after: None, forbidden: None }
}

/// A failure that may pass: rights and quotas are mended by people, the rest by time.
fn passing(error: &KubeError) -> Outcome {
    let forbidden = error.refusal().filter(|refusal| refusal.code == 403);
    Outcome::Retry {
        why: error.to_string(),
        after: error.retry_after(),
        forbidden: forbidden.map(|refusal| refusal.message.clone()),
    }
}

fn rejected(message: String) -> Outcome {
    Outcome::Failed { reason: FailureReason::Rejected, message }
}

fn gone(uid: &Uid) -> Outcome {
    let message = format!("incarnation {uid} does not exist any more");
    Outcome::Failed { reason: FailureReason::ObjectGone, message }
}
