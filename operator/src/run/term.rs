//! One term: from the campaign to the moment at which nothing of it acts any more.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, select_biased};
use rynxs_core::election::End;
use rynxs_core::ids::WriterId;
use rynxs_core::time::Mono;

use super::{LeaderEnd, Leading, Next, Replica, RunError};
use crate::election::{Change, Election};
use crate::guard::Guard;
use crate::observe::Signal;
use crate::store::LogStore;

/// What ended the leading of a term.
enum Over {
    /// The election did; the guard is closed.
    Lost,
    /// The leader did.
    Ended(LeaderEnd),
    /// The leader did not stop in time when asked to.
    Late,
}

/// A future that ends when the sender sends, and never if the sender is dropped.
fn asking_to_stop() -> (BoxFuture<'static, ()>, oneshot::Sender<()>) {
    let (asking, asked) = oneshot::channel::<()>();
    let stop = async move {
        if asked.await.is_err() {
            futures::future::pending::<()>().await;
        }
    };
    (stop.boxed(), asking)
}

impl Replica<'_> {
    /// One term, from the campaign to its end.
    pub(super) async fn term(&mut self, store: Arc<dyn LogStore>) -> Next {
        let identity = self.fresh_identity();
        if self.config.leader_election.enabled {
            self.elected_term(identity, store).await
        } else {
            self.lone_term(identity, store).await
        }
    }

    async fn elected_term(&mut self, identity: WriterId, store: Arc<dyn LogStore>) -> Next {
        tracing::info!(%identity, "campaigning");
        let settings = &self.config.leader_election;
        let observer = self.observer.clone();
        let mut election =
            Election::new(&self.ports, observer, settings, identity.clone(), self.doubtful);
        let change = match select(election.next().boxed(), self.shutdown.clone()).await {
            Either::Left((change, _)) => Some(change),
            Either::Right(_) => None,
        };
        let guard = match change {
            Some(Change::Leading(guard)) => guard,
            Some(Change::Ended(_)) => return Next::Again,
            None => {
                self.release(&mut election).await;
                return Next::Done;
            }
        };
        self.note_term(&identity);
        let (stop, asking) = asking_to_stop();
        let leading = Leading { identity, guard: guard.clone(), store, stop };
        let over = self.reign(leading, asking, Some(&mut election)).await;
        // From here on nothing of the leader runs: its future is dropped.
        guard.close();
        self.conclude(over, Some(&mut election)).await
    }

    /// A single replica without election: nothing but the log keeps a second one out.
    async fn lone_term(&mut self, identity: WriterId, store: Arc<dyn LogStore>) -> Next {
        tracing::info!(%identity, "leading without election");
        let guard = Guard::always();
        self.observer.signal(Signal::Leading(true));
        self.observer.signal(Signal::ValidUntil(guard.valid_until()));
        self.observer.signal(Signal::LeaderTransition);
        self.note_term(&identity);
        let (stop, asking) = asking_to_stop();
        let leading = Leading { identity, guard: guard.clone(), store, stop };
        let over = self.reign(leading, asking, None).await;
        guard.close();
        self.observer.signal(Signal::ValidUntil(None));
        self.observer.signal(Signal::Leading(false));
        self.observer.signal(Signal::LeaderTransition);
        self.conclude(over, None).await
    }

    /// Leads until something ends it, and drops the leader.
    async fn reign(
        &self,
        leading: Leading,
        asking: oneshot::Sender<()>,
        election: Option<&mut Election>,
    ) -> Over {
        let mut leader = self.lead.lead(leading).fuse();
        let mut lost = self.until_lost(election).fuse();
        let mut shutdown = self.shutdown.clone().fuse();
        let mut asking = Some(asking);
        let mut late = futures::future::pending().boxed().fuse();
        loop {
            select_biased! {
                () = lost => return Over::Lost,
                end = leader => return Over::Ended(end),
                () = shutdown => {
                    tracing::info!("asked to stop");
                    if let Some(asking) = asking.take() {
                        // A leader that dropped its end is ending by itself.
                        let _ = asking.send(());
                    }
                    late = self.ports.clock.sleep_until(self.drain_deadline()).fuse();
                }
                () = late => return Over::Late,
            }
        }
    }

    /// Ends when the election says that leadership is lost; beats if there is no election.
    fn until_lost<'a>(&'a self, election: Option<&'a mut Election>) -> BoxFuture<'a, ()> {
        async move {
            match election {
                Some(election) => while !matches!(election.next().await, Change::Ended(_)) {},
                None => loop {
                    let beat = self.config.leader_election.retry_period;
                    self.observer.signal(Signal::ElectionAlive);
                    self.ports.clock.sleep_until(self.ports.clock.now() + beat).await;
                },
            }
        }
        .boxed()
    }

    /// Draining leaves time for the two requests of the release.
    fn drain_deadline(&self) -> Mono {
        let release = self.release_time();
        self.ports.clock.now() + self.config.shutdown_timeout.saturating_sub(release)
    }

    fn release_time(&self) -> Duration {
        self.config.leader_election.request_timeout * 2
    }

    async fn conclude(&mut self, over: Over, election: Option<&mut Election>) -> Next {
        let asked = self.shutdown.peek().is_some();
        let end = match over {
            Over::Ended(end) => end,
            Over::Lost if asked => return Next::Done,
            Over::Lost => return Next::Again,
            Over::Late => {
                tracing::warn!("not drained in time: the Lease is left to run out");
                return Next::Done;
            }
        };
        tracing::info!(?end, "the leader ended");
        match end {
            // Released only when nothing is left open: a successor would have to settle it.
            LeaderEnd::Stopped { settled } if asked => {
                match election {
                    Some(election) if settled => self.release(election).await,
                    Some(_) => tracing::warn!("an append is open: the Lease is left to run out"),
                    None => {}
                }
                Next::Done
            }
            LeaderEnd::Stopped { .. } => {
                Next::Fail(RunError::Bug("a leader stopped that nobody asked to".to_owned()))
            }
            LeaderEnd::Halted(why) => Next::Fail(RunError::Halted(why)),
            LeaderEnd::Bug(why) => Next::Fail(RunError::Bug(why)),
            LeaderEnd::Config(why) => {
                self.observer.signal(Signal::LogRefused);
                // The store refused, so nothing is open; another replica may fare better.
                if let Some(election) = election {
                    self.release(election).await;
                }
                if asked { Next::Done } else { Next::Trouble(why) }
            }
            LeaderEnd::Fenced | LeaderEnd::LeadershipLost | LeaderEnd::Undecided if asked => {
                Next::Done
            }
            LeaderEnd::Fenced | LeaderEnd::LeadershipLost | LeaderEnd::Undecided => Next::Again,
        }
    }

    /// Gives the Lease up, within a bound.
    async fn release(&self, election: &mut Election) {
        let clock = &self.ports.clock;
        let late = clock.sleep_until(clock.now() + self.release_time());
        match select(std::pin::pin!(election.release()), late).await {
            Either::Left((End::Released, _)) => {}
            Either::Left((End::Lost(loss), _)) => {
                tracing::info!(why = %loss, "the Lease was lost before it was given up");
            }
            Either::Right(_) => tracing::warn!("the Lease is left to run out"),
        }
    }
}
