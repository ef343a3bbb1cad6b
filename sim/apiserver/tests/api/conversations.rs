//! The model answers recorded conversations as the real server did.

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::conversation::{Reply, Step, Tokens, forget, parse};
use crate::world::World;

fn ask(world: &World, step: &Step, tokens: &Tokens) -> (u16, Value) {
    let (method, path) = step.target();
    let body = match &step.body {
        Value::Null => String::new(),
        body => tokens.resolve(&body.to_string()),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(tokens.resolve(path))
        .header("content-type", step.content_type())
        .header("user-agent", "talker/1");
    for (name, value) in &step.headers {
        request = request.header(name, value);
    }
    let request = request.body(Bytes::from(body)).expect("a valid request");
    let (parts, body) = world.raw(request).into_parts();
    let rynxs_apiserver::Body::Full(bytes) = body else { panic!("{path} answered with a watch") };
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    (parts.status.as_u16(), serde_json::from_slice(&bytes).unwrap_or_else(|_| text()))
}

/// Where two values differ, one line each.
fn differences(path: &str, real: &Value, model: &Value, found: &mut Vec<String>) {
    match (real, model) {
        (Value::Object(real), Value::Object(model)) => {
            for (key, value) in real {
                let path = format!("{path}/{key}");
                match model.get(key) {
                    Some(other) => differences(&path, value, other, found),
                    None => found.push(format!("{path}: real {value}, model has none")),
                }
            }
            for (key, value) in model.iter().filter(|(k, _)| !real.contains_key(*k)) {
                found.push(format!("{path}/{key}: real has none, model {value}"));
            }
        }
        (Value::Array(real), Value::Array(model)) if real.len() == model.len() => {
            for (index, (real, model)) in real.iter().zip(model).enumerate() {
                differences(&format!("{path}/{index}"), real, model, found);
            }
        }
        (real, model) if real == model => {}
        (real, model) => found.push(format!("{path}: real {real}, model {model}")),
    }
}

fn compare(name: &str, steps: &str, answers: &str) {
    let answers: Vec<Reply> = serde_json::from_str(answers).expect("recorded answers");
    let steps = parse(steps);
    assert_eq!(steps.len(), answers.len(), "{name}: record it again");
    let world = World::new();
    let mut tokens = Tokens::default();
    let mut report = Vec::new();
    for (number, (step, real)) in steps.iter().zip(&answers).enumerate() {
        world.wait(1_000);
        let (code, mut body) = ask(&world, step, &tokens);

        for pointer in &step.ignore {
            forget(&mut body, pointer);
        }
        tokens.tokenize(&mut body);
        let mut found = Vec::new();
        if code != real.code {
            found.push(format!("code: real {}, model {code}", real.code));
        }
        differences("", &real.body, &body, &mut found);
        if !found.is_empty() {
            report.push(format!("{} {}\n    {}", number + 1, step.send, found.join("\n    ")));
        }
    }
    assert!(report.is_empty(), "{name}:\n{}", report.join("\n"));
}

/// Every recorded conversation has a test, and every test a conversation.
#[test]
fn no_conversation_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conversations");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is part of the package")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    found.sort();
    let mut compared = COMPARED.map(str::to_owned).to_vec();
    compared.sort();
    assert_eq!(found, compared);
}

macro_rules! conversations {
    ($($name:ident),* $(,)?) => {
        const COMPARED: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];
$(
        #[test]
        fn $name() {
            compare(
                stringify!($name),
                include_str!(concat!("../conversations/", stringify!($name), ".yaml")),
                include_str!(concat!("../conversations/", stringify!($name), ".answers.json")),
            );
        }
    )*};
}

conversations!(
    config_maps,
    ownership,
    leases,
    deletion,
    workloads,
    custom,
    lists,
    kinds,
    jobs,
    custom_strict,
    events,
    random_config_maps,
    random_deployments,
    random_custom,
    empties,
    strategic
);
