//! Sample runs: a frozen leader and its late writes, refused or (the violation) accepted, and a
//! long run in which much happens.

use rynxs_judge::event::{Event, Leg, Line, node};
use rynxs_judge::history::{DiskOperation, LogObject};
use rynxs_judge::render::Highlight;
use serde_json::json;

use crate::world::{API, World};

const AGENT: &str = "Agent/agents/researcher";
const DEPLOYMENT: &str = "Deployment/agents/researcher-runtime";
const CONFIG: &str = "ConfigMap/agents/researcher-spec";
const ALL: [&str; 3] = ["rynxs-0", "rynxs-1", "rynxs-2"];

/// What became of the zombie's late write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Late {
    Refused,
    Accepted,
}

/// A leader is frozen with two writes under way; another leads when they arrive.
pub fn frozen_leader(late: Late) -> (Vec<Line>, Vec<Highlight>) {
    let mut world = World::new(3);
    first_leader(&mut world);
    let mut second_ms = 2_000;
    while second_ms < 16_000 {
        second_ms += 2_000;
        world.until_ms(second_ms);
        world.renew("rynxs-0");
        standbys_look(&mut world, &ALL[1..]);
    }
    world.until_ms(16_400);
    world.user_applies(AGENT, "alice applies Agent researcher: image v2", &ALL);
    let old = world.append("rynxs-0", &World::decided(AGENT));
    let patch = world.patch("rynxs-0", DEPLOYMENT);
    let (key, text) =
        world.record(world.next_seq(), "rynxs-0", &[json!({"type": "ActionApplied"})]);
    let put = world.put("rynxs-0", &key);
    let detail = "rynxs-0 stands still for 18 s, its requests stay under way".to_owned();
    world.wait_ms(1);
    world.push(node::NEMESIS, Event::FaultBegan { fault: "freeze".into(), detail });
    world.push("rynxs-0", Event::Frozen);
    for at_ms in [18_000, 20_000, 22_000, 24_000, 26_000, 28_000, 30_000] {
        world.until_ms(at_ms);
        standbys_look(&mut world, &ALL[1..]);
        if at_ms == 20_000 {
            let what = "alice applies Agent researcher: image v3";
            world.user_applies(AGENT, what, &ALL[1..]);
        }
    }
    second_leader(&mut world);
    world.until_ms(33_000);
    world.arrive(&put);
    world.log_write(&put, &key, &text, 412);
    world.decide(&put, 412);
    world.push(node::RUN, Event::Probe { probe: "zombie append refused by 412".into() });
    world.wait_ms(120);
    world.arrive(&patch);
    let status = if late == Late::Accepted { 200 } else { 409 };
    let place = world.apply(&patch, DEPLOYMENT, old, status);
    world.decide(&patch, status);
    world.until_ms(34_400);
    world.push(node::NEMESIS, Event::FaultEnded { fault: "freeze".into() });
    world.push("rynxs-0", Event::Resumed);
    world.hear(&put, 412);
    world.hear(&patch, status);
    world.push("rynxs-0", Event::Guard { until_ns: None });
    for at_ms in [36_000, 38_000, 40_000, 42_000, 44_000] {
        world.until_ms(at_ms);
        world.renew("rynxs-1");
        standbys_look(&mut world, &["rynxs-0", "rynxs-2"]);
    }
    end(&mut world);
    let text = format!(
        "write {place}, patch {DEPLOYMENT}: expected a stamp of at least 6, \
                        found stamp {old}"
    );
    let violation = Highlight { invariant: "I4 fenced".into(), lines: vec![place], text };
    (world.lines, if late == Late::Accepted { vec![violation] } else { Vec::new() })
}

fn standbys_look(world: &mut World, standbys: &[&str]) {
    for standby in standbys {
        world.show("Lease/rynxs/rynxs-leader", &[standby]);
        world.bookmark(standby);
    }
}

fn first_leader(world: &mut World) {
    world.until_ms(100);
    world.renew("rynxs-0");
    world.read("rynxs-0", "/apis/apps/v1/namespaces/agents/deployments?limit=500");
    world.append("rynxs-0", &[json!({"type": "LogStarted", "base": 0})]);
    world.append("rynxs-0", &[json!({"type": "EpochStarted", "epoch": 1})]);
    world.until_ms(1_500);
    world.user_applies(AGENT, "alice applies Agent researcher", &ALL);
    let stamp = world.append("rynxs-0", &World::decided(AGENT));
    world.effect("rynxs-0", CONFIG, stamp);
    world.effect("rynxs-0", DEPLOYMENT, stamp);
    world.append("rynxs-0", &[json!({"type": "ActionApplied"}), json!({"type": "ActionApplied"})]);
}

fn second_leader(world: &mut World) {
    world.until_ms(31_050);
    world.renew("rynxs-1");
    world.read("rynxs-1", "/apis/apps/v1/namespaces/agents/deployments?limit=500");
    world.append("rynxs-1", &[json!({"type": "EpochStarted", "epoch": 5})]);
    world.read("rynxs-1", "/apis/universe.ai/v1alpha1/namespaces/agents/agents?limit=500");
    let stamp = world.append("rynxs-1", &World::decided(AGENT));
    world.effect("rynxs-1", CONFIG, stamp);
    world.effect("rynxs-1", DEPLOYMENT, stamp);
    world.append("rynxs-1", &[json!({"type": "ActionApplied"}), json!({"type": "ActionApplied"})]);
}

fn end(world: &mut World) {
    world.wait_ms(500);
    world.push(node::RUN, Event::Healed);
    world.wait_ms(1_500);
    world.push(node::RUN, Event::Replayed { fault: String::new(), decisions: 3 });
    for seq in 0..world.next_seq() {
        let key = format!("{seq:010}.json");
        world.push(node::RUN, Event::LogAtEnd(LogObject { key, text: "{}".into() }));
    }
    world.push(node::RUN, Event::Right { right: "patch apps/deployments".into(), uses: 4 });
    world.push(node::RUN, Event::End);
}

/// A run of about `events` lines in which leaders die, messages get lost and people edit.
pub fn long_run(events: usize) -> Vec<Line> {
    let mut world = World::new(3);
    first_leader(&mut world);
    let mut leader = 0_usize;
    // A small generator of its own: the stream must be the same on every machine and version.
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    while world.lines.len() < events {
        world.wait_ms(1_800 + draw(400));
        let name = ALL[leader];
        let others: Vec<&str> = ALL.into_iter().filter(|other| *other != name).collect();
        world.renew(name);
        standbys_look(&mut world, &others);
        match draw(12) {
            0 => {
                let why = "at its 3rd write".to_owned();
                world.push(
                    node::NEMESIS,
                    Event::FaultBegan {
                        fault: "crash".into(),
                        detail: format!("{name} is killed"),
                    },
                );
                world.push(name, Event::Killed { why });
                world.wait_ms(15_200);
                leader = (leader + 1) % ALL.len();
                world.renew(ALL[leader]);
                let epoch = json!({"type": "EpochStarted", "epoch": world.next_seq()});
                world.append(ALL[leader], &[epoch]);
                world.wait_ms(2_000);
                world.push(node::NEMESIS, Event::FaultEnded { fault: "crash".into() });
                world.push(name, Event::Started);
            }
            1 | 2 => {
                let leg = if draw(2) == 0 { Leg::Request } else { Leg::Answer };
                let way = world.patch(name, CONFIG);
                if leg == Leg::Answer {
                    world.arrive(&way);
                    world.apply(&way, CONFIG, world.epoch, 200);
                    world.decide(&way, 200);
                }
                world.lose(&way, leg);
            }
            3..=6 => {
                let agent = format!("Agent/agents/worker-{:03}", draw(40));
                world.user_applies(&agent, &format!("bob edits {agent}"), &ALL);
                let stamp = world.append(name, &World::decided(&agent));
                world.effect(name, &format!("Deployment/agents/{}", &agent[13..]), stamp);
                world.append(name, &[json!({"type": "ActionApplied"})]);
            }
            _ => {}
        }
    }
    world.lines.truncate(events - 1);
    world.push(node::RUN, Event::End);
    world.lines
}

/// A second replica believes that it leads while the first one still may.
pub fn two_leaders() -> (Vec<Line>, Vec<Highlight>) {
    let mut world = World::new(3);
    first_leader(&mut world);
    for at_ms in [2_000, 4_000, 6_000] {
        world.until_ms(at_ms);
        world.renew("rynxs-0");
        standbys_look(&mut world, &ALL[1..]);
    }
    let first = world.lines.iter().rposition(is_belief).expect("the first leader renewed");
    world.until_ms(8_000);
    let detail = "the monotonic clock of rynxs-1 jumps by 20 s".to_owned();
    world.push(node::NEMESIS, Event::FaultBegan { fault: "clock".into(), detail });
    let jump = Event::Clock { rate_ppm: 0, mono_jump_ns: 20_000_000_000, wall_jump_ms: 0 };
    world.push("rynxs-1", jump);
    world.wait_ms(40);
    world.renew("rynxs-1");
    let second = world.lines.iter().rposition(is_belief).expect("the second leader took over");
    world.append("rynxs-1", &[json!({"type": "EpochStarted", "epoch": 4})]);
    let put = world.put("rynxs-0", "0000000004.json");
    world.lose(&put, Leg::Request);
    world.until_ms(9_000);
    world.push("rynxs-0", Event::Guard { until_ns: None });
    end(&mut world);
    let text = "rynxs-1: expected no belief while rynxs-0 believes until 20.200 s, \
                found a belief from 8.043 s on";
    let lines = vec![first, second];
    let violation = Highlight { invariant: "I7 one leader".into(), lines, text: text.into() };
    (world.lines, vec![violation])
}

fn is_belief(line: &Line) -> bool {
    matches!(line.event, Event::Guard { until_ns: Some(_) })
}

/// A log in a file: an append that goes well, a sync that fails, and a power loss.
pub fn file_log() -> Vec<Line> {
    let mut world = World::new(1);
    let events = [json!({"type": "LogStarted"}), json!({"type": "EpochStarted"})];
    world.append_to_disk(&events);
    world.wait_ms(800);
    world.append_to_disk(&World::decided(AGENT));
    world.until_ms(1_500);
    world.disk("rynxs-0", DiskOperation::Append, 100, "no space left on device");
    world.disk("rynxs-0", DiskOperation::Truncate, 100, "");
    world.until_ms(2_000);
    world.disk("rynxs-0", DiskOperation::Append, 400, "");
    world.disk("rynxs-0", DiskOperation::SyncData, 400, "Input/output error");
    world.until_ms(4_000);
    let (fault, detail) = ("power-loss".to_owned(), "torn".to_owned());
    world.push(node::NEMESIS, Event::FaultBegan { fault, detail });
    world.push("rynxs-0", Event::Killed { why: "the power is gone".into() });
    world.disk("", DiskOperation::LosePower, 388, "12 bytes that were not durable are left");
    end(&mut world);
    world.lines
}

/// Requests that meet faults, one after the other.
pub fn troubled() -> Vec<Line> {
    let mut world = World::new(2);
    first_leader(&mut world);
    world.until_ms(3_000);
    for fault in ["s3-slow-down", "api-fails-after", "lose"] {
        let detail = "for 3 s".to_owned();
        world.push(node::NEMESIS, Event::FaultBegan { fault: fault.into(), detail });
    }
    let put = world.put("rynxs-0", "0000000004.json");
    world.arrive(&put);
    world.hit(node::S3, &put, "s3-slow-down");
    world.answer(&put, 503);
    world.wait_ms(100);
    let stamp = world.append("rynxs-0", &World::decided(AGENT));
    let patch = world.patch("rynxs-0", DEPLOYMENT);
    world.arrive(&patch);
    world.hit(API, &patch, "api-fails-after");
    world.apply(&patch, DEPLOYMENT, stamp, 200);
    world.answer(&patch, 500);
    world.wait_ms(100);
    let again = world.patch("rynxs-0", DEPLOYMENT);
    world.hit("rynxs-0", &again, "lose");
    world.lose(&again, Leg::Request);
    end(&mut world);
    world.lines
}
