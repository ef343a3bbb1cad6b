//! Performs the steps: users' wishes and faults. A fault that lasts ends by itself, or at the heal.

use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::Handle;
use rynxs_judge::event::{Event, node};

use super::servers::{BUCKET, PREFIX};
use super::{World, hold, is_users};
use crate::fault;
use crate::machine::Machine;
use crate::net::{Link, adjust};
use crate::scenario::{Do, Server, StoreKind, Tampering, Who};

impl World {
    /// Performs one step, without waiting for its end.
    pub(super) fn perform(&self, what: &Do) {
        if is_users(what) {
            self.do_for_users(what);
            return;
        }
        if self.has_nothing_to_spoil(what) {
            return;
        }
        let fault = fault::name(what);
        let detail = serde_json::to_string(what).expect("a step is plain data");
        self.note(node::NEMESIS, Event::FaultBegan { fault: fault.to_owned(), detail });
        match what {
            Do::Crash { .. }
            | Do::CrashAtWrite { .. }
            | Do::LoseAnswer { .. }
            | Do::CrashAtAwait { .. }
            | Do::Freeze { .. }
            | Do::Stop { .. }
            | Do::Upgrade { .. }
            | Do::PowerLoss { .. }
            | Do::BitRot { .. } => self.break_process(what),
            Do::ClockRate { .. } | Do::ClockJump { .. } => self.break_clock(what),
            Do::ApiFault { .. }
            | Do::FreezeView { .. }
            | Do::LagView { .. }
            | Do::StallControllers { .. }
            | Do::MoveToView { .. }
            | Do::Compact {}
            | Do::DeleteLease {}
            | Do::EditLease { .. } => self.break_api(what),
            Do::S3Fault { .. }
            | Do::IgnoreCondition {}
            | Do::Tamper { .. }
            | Do::FailSyncs { .. }
            | Do::FillDisk { .. } => self.break_store(what),
            _ => self.break_network(what),
        }
    }

    /// Something that lasts: begins now, ends after a while unless the heal was first.
    fn lasts(&self, fault: &'static str, for_ms: u64, end: impl FnOnce(&Self) + Send + 'static) {
        self.later(Duration::from_millis(for_ms), move |world| {
            if !world.is_healed() {
                end(world);
                let fault = fault.to_owned();
                world.note(node::NEMESIS, Event::FaultEnded { fault });
            }
        });
    }

    fn break_process(&self, what: &Do) {
        match what {
            Do::Crash { who, back_after_ms } => {
                for machine in self.resolve(*who) {
                    self.crash_now(&machine, *back_after_ms, "without warning");
                }
            }
            Do::CrashAtWrite { who, nth, applied, back_after_ms } => {
                for machine in self.resolve(*who) {
                    machine.process().crash_at_write(*nth, *applied, *back_after_ms);
                }
            }
            Do::LoseAnswer { who, nth } => {
                for machine in self.resolve(*who) {
                    machine.process().lose_answer(*nth);
                }
            }
            Do::CrashAtAwait { who, nth, back_after_ms } => {
                for machine in self.resolve(*who) {
                    machine.process().crash_at_await(*nth, *back_after_ms);
                }
            }
            Do::Freeze { who, for_ms } => {
                for machine in self.resolve(*who) {
                    self.freeze(&machine, *for_ms);
                }
            }
            Do::Stop { who, back_after_ms } => {
                for machine in self.resolve(*who) {
                    self.stop(&machine, *back_after_ms);
                }
            }
            Do::Upgrade { image, pause_ms } => self.upgrade(*image, *pause_ms),
            Do::PowerLoss { torn, back_after_ms } => {
                for machine in self.resolve(Who::All) {
                    self.crash_now(&machine, *back_after_ms, "the power is gone");
                    for event in machine.disk.lose_power(*torn) {
                        self.note(&machine.disk_name, event);
                    }
                    if let Some(bytes) = machine.disk.torn() {
                        self.note(&machine.name, Event::Torn { bytes });
                    }
                }
            }
            Do::BitRot { back_after_ms } => {
                for machine in self.resolve(Who::All) {
                    self.crash_now(&machine, *back_after_ms, "a bit rots meanwhile");
                    if let Some(event) = machine.disk.rot() {
                        self.note(&machine.disk_name, event);
                    }
                }
            }
            _ => unreachable!("only processes are broken here"),
        }
    }

    fn crash_now(&self, machine: &Arc<Machine>, back_after_ms: u64, why: &str) {
        let process = machine.process();
        process.set_back_after(back_after_ms);
        self.crash(machine, &process, why);
    }

    fn freeze(&self, machine: &Arc<Machine>, for_ms: u64) {
        if machine.process().is_dead() || machine.set_frozen(true) {
            return;
        }
        Handle::current().pause(machine.name.as_str());
        self.note(&machine.name, Event::Frozen);
        let machine = Arc::clone(machine);
        self.lasts("freeze", for_ms, move |world| world.thaw(&machine));
    }

    fn stop(&self, machine: &Arc<Machine>, back_after_ms: u64) {
        self.note(&machine.name, Event::Stopping);
        machine.process().stop();
        machine.set_down(true);
        let machine = Arc::clone(machine);
        self.later(Duration::from_millis(back_after_ms), move |world| {
            machine.set_down(false);
            world.start(&machine);
        });
    }

    /// One after the other is stopped and started with another default image.
    fn upgrade(&self, image: u32, pause_ms: u64) {
        for (index, machine) in self.machines().into_iter().enumerate() {
            let at = Duration::from_millis(pause_ms * index as u64);
            self.later(at, move |world| {
                if world.is_healed() {
                    return;
                }
                machine.change_config(|config| {
                    config.build = format!("build-{image}");
                    config.decisions.default_image = format!("ghcr.io/rynxs/agent:v{image}");
                });
                world.stop(&machine, pause_ms / 2);
            });
        }
    }

    fn break_clock(&self, what: &Do) {
        match what {
            Do::ClockRate { who, rate_ppm } => {
                for machine in self.resolve(*who) {
                    self.set_rate(&machine, *rate_ppm);
                }
            }
            Do::ClockJump { who, mono_ms, wall_ms } => {
                for machine in self.resolve(*who) {
                    let mono = u64::try_from(*mono_ms).unwrap_or(0);
                    machine.clock.jump_mono(Duration::from_millis(mono));
                    machine.clock.jump_wall(*wall_ms);
                    self.tell_clock(&machine, mono_ms.max(&0) * 1_000_000, *wall_ms);
                }
            }
            _ => unreachable!("only clocks are moved here"),
        }
    }

    fn set_rate(&self, machine: &Machine, rate_ppm: i64) {
        machine.clock.set_rate(rate_ppm);
        self.tell_clock(machine, 0, 0);
    }

    /// A changed clock changes until when a belief lasts in true time.
    fn tell_clock(&self, machine: &Machine, mono_jump_ns: i64, wall_jump_ms: i64) {
        let rate_ppm = machine.clock.rate_ppm();
        let clock = Event::Clock { rate_ppm, mono_jump_ns, wall_jump_ms };
        self.note(&machine.name, clock);
        self.note(&machine.name, machine.belief());
    }

    fn break_network(&self, what: &Do) {
        match *what {
            Do::Partition { who, server, way, for_ms } => {
                self.for_links(what, who, server, for_ms, move |link, on| link.block(way, on));
            }
            Do::Lose { who, server, way, per_mille, for_ms } => {
                let lose = move |link: &mut Link, on| link.lose(way, per_mille, on);
                self.for_links(what, who, server, for_ms, lose);
            }
            Do::Slow { who, server, more_ms, for_ms } => {
                self.for_links(what, who, server, for_ms, move |link, on| link.slow(more_ms, on));
            }
            Do::Reorder { who, server, up_to_ms, for_ms } => {
                let reorder = move |link: &mut Link, on| link.reorder(up_to_ms, on);
                self.for_links(what, who, server, for_ms, reorder);
            }
            Do::Duplicate { who, per_mille, for_ms } => {
                let duplicate = move |link: &mut Link, on| link.duplicate(per_mille, on);
                self.for_links(what, who, Server::Any, for_ms, duplicate);
            }
            Do::DuplicateEvents { who, per_mille, for_ms } => {
                self.for_links(what, who, Server::Api, for_ms, move |link, on| {
                    adjust(&mut link.events_doubled, per_mille, on);
                });
            }
            Do::CoalesceEvents { who, per_mille, for_ms } => {
                self.for_links(what, who, Server::Api, for_ms, move |link, on| {
                    adjust(&mut link.events_coalesced, per_mille, on);
                });
            }
            Do::DropEvents { who, per_mille, for_ms } => {
                self.for_links(what, who, Server::Api, for_ms, move |link, on| {
                    adjust(&mut link.events_dropped, per_mille, on);
                });
                let machines = self.resolve(who);
                self.later(Duration::from_millis(for_ms), move |_| {
                    machines.iter().for_each(|machine| machine.break_watches());
                });
            }
            Do::HoldWrite { who, server, for_ms } => {
                for machine in self.resolve(who) {
                    let by = Duration::from_millis(for_ms);
                    machine.link(server, |link| link.hold_write(by));
                }
            }
            Do::PassWrite { who, server } => {
                for machine in self.resolve(who) {
                    machine.link(server, |link| link.pass_write());
                }
            }
            Do::ReplayWrite { who, for_ms } => {
                for machine in self.resolve(who) {
                    let after = Duration::from_millis(for_ms);
                    machine.link(Server::Api, |link| link.replay_write(after));
                }
            }
            Do::BreakWatches { who } => {
                self.resolve(who).iter().for_each(|machine| machine.break_watches());
            }
            _ => unreachable!("only the network is broken here"),
        }
    }

    fn for_links(
        &self,
        what: &Do,
        who: Who,
        server: Server,
        for_ms: u64,
        mut set: impl FnMut(&mut Link, bool) + Send + 'static,
    ) {
        let machines = self.resolve(who);
        for machine in &machines {
            machine.link(server, |link| set(link, true));
        }
        self.lasts(fault::name(what), for_ms, move |_| {
            for machine in &machines {
                machine.link(server, |link| set(link, false));
            }
        });
    }

    fn break_api(&self, what: &Do) {
        match *what {
            Do::ApiFault { fault, per_mille, for_ms } => {
                hold(&self.0.servers).api.set(fault, per_mille, true);
                self.lasts(fault::name(what), for_ms, move |world| {
                    hold(&world.0.servers).api.set(fault, per_mille, false);
                });
            }
            Do::FreezeView { view, for_ms } => {
                self.0.views[view as usize].hold();
                self.lasts(fault::name(what), for_ms, move |world| {
                    world.0.views[view as usize].release();
                });
            }
            Do::LagView { view, lag_ms, for_ms } => {
                self.0.views[view as usize].hold();
                let newest = self.0.views[view as usize].newest();
                self.lag(view, Duration::from_millis(lag_ms), newest, for_ms / lag_ms);
                self.lasts(fault::name(what), for_ms, move |world| {
                    world.0.views[view as usize].release();
                });
            }
            Do::StallControllers { for_ms } => {
                hold(&self.0.servers).stalled += 1;
                self.lasts(fault::name(what), for_ms, move |world| {
                    hold(&world.0.servers).stalled -= 1;
                    world.wake_ticker();
                });
            }
            Do::MoveToView { who, view } => {
                for machine in self.resolve(who) {
                    machine.move_to_view(view);
                    machine.break_watches();
                }
            }
            Do::Compact {} => {
                hold(&self.0.servers).compacted = true;
                self.0.views[0].compact();
            }
            Do::DeleteLease {} => self.delete_lease(),
            Do::EditLease { ref holder } => self.edit_lease(holder),
            _ => unreachable!("only the API is broken here"),
        }
    }

    /// Lets a held cache go on, so many times, to what was newest so long ago.
    fn lag(&self, view: u32, by: Duration, newest: u64, times: u64) {
        self.later(by, move |world| {
            if world.is_healed() || times <= 1 {
                return;
            }
            let seen = &world.0.views[view as usize];
            let now = seen.newest();
            seen.advance_to(newest);
            world.lag(view, by, now, times - 1);
        });
    }

    fn break_store(&self, what: &Do) {
        match *what {
            Do::S3Fault { fault, per_mille, for_ms } => {
                hold(&self.0.servers).set_s3(fault, per_mille, true);
                self.lasts(fault::name(what), for_ms, move |world| {
                    hold(&world.0.servers).set_s3(fault, per_mille, false);
                });
            }
            Do::IgnoreCondition {} => {
                self.0.s3.set_conditional_puts(rynxs_s3::ConditionalPuts::Ignored);
            }
            Do::Tamper { how } => self.tamper(how),
            Do::FailSyncs { count } => {
                self.machines().iter().for_each(|machine| machine.disk.fail_syncs(count));
            }
            Do::FillDisk { free_bytes, for_ms } => {
                let fill = |world: &Self, free| {
                    world.machines().iter().for_each(|machine| machine.disk.set_free_bytes(free));
                };
                fill(self, Some(free_bytes));
                self.lasts(fault::name(what), for_ms, move |world| fill(world, None));
            }
            _ => unreachable!("only stores are broken here"),
        }
    }

    /// What changes nothing is nothing to be noticed; and a log that nothing was done by yet,
    /// spoilt for good, leaves a run in which nothing is ever done.
    fn has_nothing_to_spoil(&self, what: &Do) -> bool {
        let least = match what {
            Do::Tamper { how } => least_records(*how),
            Do::IgnoreCondition {} | Do::BitRot { .. } => 1,
            _ => return false,
        };
        let log = self.log();
        log.len() < least || !log.iter().any(|(_, text)| text.contains("\"ActionApplied\""))
    }

    fn tamper(&self, how: Tampering) {
        let (s3, keys) = (&self.0.s3, self.log_keys());
        let (Some(last), middle) = (keys.last(), keys.len() / 2) else { return };
        let tell = |key: &str, what: &str| {
            let text = format!("{} {what} by somebody", key.rsplit('/').next().unwrap_or(key));
            self.note(node::S3, Event::Note { text });
        };
        match how {
            Tampering::DeleteMiddle => {
                s3.erase(BUCKET, &keys[middle]);
                tell(&keys[middle], "is DELETED");
            }
            Tampering::DeleteLastButOne => {
                let key = &keys[keys.len() - 2];
                s3.erase(BUCKET, key);
                tell(key, "is DELETED");
            }
            Tampering::Swap => {
                s3.swap(BUCKET, &keys[middle], &keys[middle - 1]);
                tell(&keys[middle], "is SWAPPED with the record before it");
            }
            Tampering::Flip => {
                let mut bytes = s3.object(BUCKET, &keys[middle]).unwrap_or_default().to_vec();
                let at = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1;
                }
                s3.overwrite(BUCKET, &keys[middle], bytes.into());
                tell(&keys[middle], "is CHANGED in one bit");
            }
            Tampering::CutTail => {
                s3.erase(BUCKET, last);
                tell(last, "is DELETED");
            }
            Tampering::Rollback => {
                tell(last, "and all behind the middle are DELETED");
                for key in &keys[middle..] {
                    s3.erase(BUCKET, key);
                }
            }
            Tampering::Empty => {
                tell(last, "and all before it are DELETED");
                for key in &keys {
                    s3.erase(BUCKET, key);
                }
            }
        }
    }

    /// The keys of the log in the bucket.
    fn log_keys(&self) -> Vec<String> {
        if self.0.scenario.store != StoreKind::S3 {
            return Vec::new();
        }
        let keys = self.0.s3.objects(BUCKET).into_keys();
        keys.filter(|key| key.starts_with(PREFIX)).collect()
    }

    /// Everything is mended: what was broken, stopped, frozen or slow is not any more.
    pub(super) fn heal(&self) {
        self.0.healed.store(true, std::sync::atomic::Ordering::SeqCst);
        if let Some(heals) = hold(&self.0.heals).take() {
            // Nothing may be under way.
            let _ = heals.send(());
        }
        {
            let mut faults = hold(&self.0.servers);
            // What was forgotten stays so.
            let compacted = faults.compacted;
            *faults = super::servers::Faults { compacted, ..Default::default() };
        }
        self.wake_ticker();
        self.0.views.iter().for_each(|view| view.release());
        let core = &self.0.scenario.core;
        let bound_ppm = super::config_of(&self.0.scenario).leader_election.clock_rate_error_ppm;
        for (index, machine) in self.machines().iter().enumerate() {
            machine.process().disarm();
            machine.link(Server::Any, |link| *link = Link::default());
            machine.disk.fail_syncs(0);
            machine.disk.set_free_bytes(None);
            // Clocks that are as good as is promised stay as they are.
            if !fault::is_within(machine.clock.rate_ppm(), bound_ppm) {
                self.set_rate(machine, 0);
            }
            self.thaw(machine);
            machine.break_watches();
            if core.is_empty() || core.contains(&u32::try_from(index).unwrap_or(u32::MAX)) {
                machine.set_down(false);
                self.start(machine);
            } else {
                // What is not in the core is gone for good.
                machine.set_down(true);
                self.crash(machine, &machine.process(), "gone for good");
            }
        }
        self.note(node::NEMESIS, Event::Healed);
    }
}

/// Records that there must be, so that a manipulation is the one that it is called.
const fn least_records(how: Tampering) -> usize {
    match how {
        Tampering::DeleteMiddle | Tampering::DeleteLastButOne | Tampering::Swap => 3,
        Tampering::Rollback => 2,
        Tampering::Flip | Tampering::CutTail | Tampering::Empty => 1,
    }
}
