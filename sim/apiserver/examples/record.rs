//! Records the answers of a real API server to the conversations under `tests/conversations`.
//!
//! `kubectl proxy --port 8001` in front of a server without controllers, then
//! `cargo run -p rynxs-apiserver --example record -- 127.0.0.1:8001 FILE.yaml...` writes
//! `FILE.answers.json` beside each.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "asks a real server, for a person"
)]

#[path = "../tests/api/conversation.rs"]
mod conversation;

use std::io::{Read, Write};
use std::net::TcpStream;

use conversation::{Reply, Step, Tokens, parse};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: record HOST:PORT FILE.yaml...")?;
    for file in arguments {
        let steps = parse(&std::fs::read_to_string(&file)?);
        let mut tokens = Tokens::default();
        let mut answers = Vec::new();
        for step in &steps {
            // Times have seconds; one step per second makes their order the order of the steps.
            std::thread::sleep(std::time::Duration::from_secs(1));
            let (mut code, mut body) = send(&address, step, &tokens)?;
            while code == 429 {
                // The storage of a new resource is being made.
                std::thread::sleep(std::time::Duration::from_secs(1));
                (code, body) = send(&address, step, &tokens)?;
            }

            for pointer in &step.ignore {
                conversation::forget(&mut body, pointer);
            }
            tokens.tokenize(&mut body);
            answers.push(Reply { code, body });
            if step.send.starts_with("POST") && step.send.ends_with("/customresourcedefinitions") {
                // A real server serves a new resource after a moment.
                std::thread::sleep(std::time::Duration::from_secs(3));
            }
        }
        let lines: Vec<String> =
            answers.iter().map(|a| serde_json::to_string(a).expect("JSON")).collect();
        std::fs::write(
            file.replace(".yaml", ".answers.json"),
            format!("[{}]\n", lines.join(",\n")),
        )?;
        eprintln!("{file}: {} answers", answers.len());
    }
    Ok(())
}

/// One HTTP/1.0 exchange: the server closes the connection after its answer.
fn send(
    address: &str,
    step: &Step,
    tokens: &Tokens,
) -> Result<(u16, Value), Box<dyn std::error::Error>> {
    let (method, path) = step.target();
    let path = tokens.resolve(path);
    let body = match &step.body {
        Value::Null => String::new(),
        body => tokens.resolve(&body.to_string()),
    };
    let mut head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         User-Agent: talker/1\r\n",
        step.content_type(),
        body.len()
    );
    for (name, value) in &step.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let code = head.split(' ').nth(1).ok_or("no status line")?.parse()?;
    Ok((code, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))))
}
