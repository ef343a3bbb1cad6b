//! Makes a conversation of random requests: `generate config_maps|deployments|custom SEED COUNT`.
//!
//! Three appliers, two patchers and a replacer meet on one object. Record the result with the
//! example `record` and put it beside the others under `tests/conversations`.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "writes for a person")]

use serde_json::{Map, Value, json};

/// SplitMix64; equal seeds give equal conversations.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("small")]
    }

    /// Some of the items, in random order.
    fn some<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        let mut left = from.to_vec();
        let mut taken = Vec::new();
        for _ in 0..self.below(from.len() as u64 + 1) {
            let at = usize::try_from(self.below(left.len() as u64)).expect("small");
            taken.push(left.remove(at));
        }
        taken
    }

    /// A map of some of the keys to small texts.
    fn texts(&mut self, keys: &[&str]) -> Value {
        self.some(keys)
            .into_iter()
            .map(|k| (k.to_owned(), json!(self.below(2).to_string())))
            .collect()
    }
}

/// Sets a field with a chance.
fn maybe(
    dice: &mut Dice,
    chance: u64,
    object: &mut Value,
    field: &str,
    value: fn(&mut Dice) -> Value,
) {
    if dice.percent(chance) {
        object[field] = value(dice);
    }
}

fn config_map(dice: &mut Dice) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rnd"}});
    maybe(dice, 40, &mut object["metadata"], "labels", |d| d.texts(&["x", "y"]));
    maybe(dice, 30, &mut object["metadata"], "annotations", |d| d.texts(&["p", "q"]));
    maybe(dice, 80, &mut object, "data", |d| d.texts(&["a", "b", "c"]));
    object
}

fn container(dice: &mut Dice, name: &str) -> Value {
    let mut container = json!({"name": name, "image": format!("i:{}", dice.below(2))});
    maybe(dice, 70, &mut container, "env", |d| {
        d.some(&["A", "B", "C", "D"])
            .into_iter()
            .map(|n| json!({"name": n, "value": d.below(2).to_string()}))
            .collect()
    });
    maybe(dice, 50, &mut container, "ports", |d| {
        let port = |d: &mut Dice, n: u64| {
            let mut port = json!({"containerPort": n});
            if n == 82 {
                port["protocol"] = json!("UDP");
            }
            maybe(d, 20, &mut port, "hostPort", |_| json!(0));
            port
        };
        d.some(&[80, 81, 82]).into_iter().map(|n| port(d, n)).collect()
    });
    maybe(dice, 50, &mut container, "args", |d| {
        (0..d.below(3)).map(|_| json!(d.below(3).to_string())).collect()
    });
    maybe(dice, 40, &mut container, "resources", |d| {
        let mut limits = json!({});
        maybe(d, 60, &mut limits, "cpu", |d| json!(d.pick(&["1000m", "1", "0.5", "1500m"])));
        maybe(d, 60, &mut limits, "memory", |d| json!(d.pick(&["1Gi", "1024Mi", "1000M"])));
        json!({"limits": limits})
    });
    maybe(dice, 30, &mut container, "volumeMounts", |d| {
        d.some(&[1, 2])
            .into_iter()
            .map(|n| {
                json!({"name": format!("v{n}"), "mountPath": format!("/m{n}"),
                       "readOnly": d.percent(50)})
            })
            .collect()
    });
    container
}

fn deployment(dice: &mut Dice) -> Value {
    let names = match dice.some(&["m", "s", "t"]) {
        none if none.is_empty() => vec!["m"],
        some => some,
    };
    let containers: Vec<Value> = names.into_iter().map(|n| container(dice, n)).collect();
    let mut pod = json!({
        "containers": containers,
        "volumes": [
            {"name": "v1", "emptyDir": {}},
            {"name": "v2", "configMap": {"name": format!("c{}", dice.below(2))}},
        ],
    });
    maybe(dice, 30, &mut pod, "nodeSelector", |d| d.texts(&["a", "b"]));
    maybe(
        dice,
        30,
        &mut pod,
        "tolerations",
        |d| json!([{"key": format!("k{}", d.below(2)), "operator": "Exists"}]),
    );
    maybe(dice, 30, &mut pod, "imagePullSecrets", |d| {
        d.some(&["p", "q"]).into_iter().map(|n| json!({"name": n})).collect()
    });
    let mut template = json!({"metadata": {"labels": {"app": "x"}}, "spec": pod});
    maybe(dice, 30, &mut template["metadata"]["labels"], "z", |d| json!(d.below(2).to_string()));
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "rnd"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    });
    maybe(dice, 50, &mut object["spec"], "replicas", |d| json!(d.below(3)));
    maybe(dice, 30, &mut object["metadata"], "annotations", |d| d.texts(&["n"]));
    object
}

fn part(dice: &mut Dice, name: &str) -> Value {
    let mut part = json!({"name": name});
    maybe(dice, 70, &mut part, "n", |d| json!(d.below(3)));
    maybe(dice, 50, &mut part, "opts", |d| d.texts(&["u", "v"]));
    part
}

fn free(dice: &mut Dice) -> Value {
    let values = [json!(1), json!("x"), json!({"y": 1}), json!([1, 2]), json!({})];
    dice.some(&["a", "b"]).into_iter().map(|k| (k.to_owned(), dice.pick(&values).clone())).collect()
}

fn custom(dice: &mut Dice) -> Value {
    let mut spec = json!({});
    maybe(dice, 50, &mut spec, "size", |d| json!(d.below(3)));
    maybe(dice, 50, &mut spec, "tags", |d| json!(d.some(&["a", "b", "c", "d"])));
    maybe(dice, 60, &mut spec, "parts", |d| {
        d.some(&["p", "q", "r", "s"]).into_iter().map(|n| part(d, n)).collect()
    });
    maybe(dice, 40, &mut spec, "whole", |d| (0..d.below(3)).map(|_| json!(d.below(3))).collect());
    maybe(dice, 40, &mut spec, "free", free);
    maybe(dice, 40, &mut spec, "fixed", |d| d.texts(&["a", "b"]));
    maybe(dice, 40, &mut spec, "deep", |d| {
        let mut one = json!({});
        maybe(d, 60, &mut one, "x", |d| json!(d.below(2)));
        maybe(d, 60, &mut one, "y", |d| json!(d.below(2)));
        json!({"one": one})
    });
    let mut object =
        json!({"apiVersion": "talk.example/v1", "kind": "Rnd", "metadata": {"name": "rnd"}});
    if spec != json!({}) || dice.percent(50) {
        object["spec"] = spec;
    }
    maybe(dice, 20, &mut object, "status", |_| json!({"n": 1}));
    object
}

fn definition() -> Value {
    let list = |kind: &str, items: Value| json!({"type": "array", "items": items, "x-kubernetes-list-type": kind});
    let texts = json!({"type": "string"});
    let part = json!({"type": "object", "required": ["name"], "properties": {
        "name": texts, "n": {"type": "integer"},
        "opts": {"type": "object", "additionalProperties": texts}}});
    let mut parts = list("map", part);
    parts["x-kubernetes-list-map-keys"] = json!(["name"]);
    let one = json!({"type": "object",
                     "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}});
    let spec = json!({"type": "object", "properties": {
        "size": {"type": "integer", "default": 7},
        "tags": list("set", texts.clone()),
        "parts": parts,
        "whole": {"type": "array", "items": {"type": "integer"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "fixed": {"type": "object", "x-kubernetes-map-type": "atomic",
                  "additionalProperties": texts},
        "deep": {"type": "object", "properties": {"one": one}},
    }});
    let status = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    json!({
        "metadata": {"name": "rnds.talk.example"},
        "spec": {
            "group": "talk.example",
            "scope": "Namespaced",
            "names": {"plural": "rnds", "kind": "Rnd"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                          "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

/// One request; `path` is that of the collection.
fn step(dice: &mut Dice, path: &str, make: fn(&mut Dice) -> Value) -> Value {
    let object = make(dice);
    match dice.below(100) {
        0..60 => {
            let manager = dice.pick(&["x", "y", "z"]);
            let forced = dice.percent(50);
            let force = if forced { "&force=true" } else { "" };
            // Conflicts are listed in the order of a Go map.
            let ignore: &[&str] =
                if forced { &["/details/causes"] } else { &["/details/causes", "/message"] };
            json!({"send": format!("PATCH {path}/rnd?fieldManager={manager}{force}"),
                   "media": "apply", "ignore": ignore, "body": object})
        }
        60..80 => {
            let mut change = object;
            if let Some(fields) = change.as_object_mut() {
                fields.remove("apiVersion");
                fields.remove("kind");
            }
            let nullable: &[&str] = match path.rsplit('/').next() {
                Some("configmaps") => &["data", "a", "b", "c"],
                Some("rnds") => &["spec", "size", "tags", "parts", "free", "deep"],
                _ => &[],
            };
            if let ([whole, fields @ ..], true) = (nullable, dice.percent(50)) {
                change[*whole][*dice.pick(fields)] = Value::Null;
            }
            let strategic = nullable.is_empty() && dice.percent(50);
            let media = if strategic { "strategic" } else { "merge" };
            let manager = dice.pick(&["u", "v"]);
            json!({"send": format!("PATCH {path}/rnd?fieldManager={manager}"),
                   "media": media, "body": change})
        }
        80..87 => json!({"send": format!("PUT {path}/rnd?fieldManager=w"),
                         "ignore": ["/message"], "body": object}),
        87..93 => json!({"send": format!("POST {path}?fieldManager=w"), "body": object}),
        93..96 => json!({"send": format!("DELETE {path}/rnd")}),
        _ => json!({"send": format!("GET {path}/rnd")}),
    }
}

fn print(step: &Value) {
    let empty = Map::new();
    let fields = step.as_object().unwrap_or(&empty);
    println!("- send: {}", fields["send"].as_str().unwrap_or_default());
    for name in ["media", "ignore", "body"] {
        if let Some(value) = fields.get(name) {
            println!("  {name}: {value}");
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: generate config_maps|deployments|custom SEED COUNT";
    let [kind, seed, count] = arguments.as_slice() else { panic!("{usage}") };
    let number = |text: &String| text.parse::<u64>().unwrap_or_else(|_| panic!("{usage}"));
    let (group, plural, make): (_, _, fn(&mut Dice) -> Value) = match kind.as_str() {
        "config_maps" => ("/api/v1", "configmaps", config_map),
        "deployments" => ("/apis/apps/v1", "deployments", deployment),
        "custom" => ("/apis/talk.example/v1", "rnds", custom),
        _ => panic!("{usage}"),
    };
    let path = format!("{group}/namespaces/default/{plural}");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    println!(
        "# Made by `cargo run -p rynxs-apiserver --example generate -- {}`.",
        arguments.join(" ")
    );
    if kind == "custom" {
        let ignore = ["/status", "/metadata/managedFields", "/metadata/resourceVersion"];
        print(&json!({"send": format!("POST {definitions}"), "ignore": ignore,
                      "body": definition()}));
    }
    let mut dice = Dice(number(seed));
    (0..number(count)).for_each(|_| print(&step(&mut dice, &path, make)));
    print(&json!({"send": format!("DELETE {path}/rnd")}));
    if kind == "custom" {
        let ignore = ["/metadata", "/spec", "/status", "/details", "/kind", "/apiVersion"];
        print(&json!({"send": format!("DELETE {definitions}/rnds.talk.example"),
                      "ignore": ignore}));
    }
}
