//! A runtime's door: it tells whoever connects its name, so that people can see who reaches whom.

use std::io::Write;
use std::net::TcpListener;

use anyhow::{Context, Result};

const USUAL: u16 = 7070;

/// Answers from now on; the port.
pub(crate) fn listen(agent: &str) -> Result<u16> {
    let port = match std::env::var("AGENT_PORT") {
        Ok(text) => text.parse().with_context(|| format!("AGENT_PORT is {text:?}, and no port"))?,
        Err(_) => USUAL,
    };
    let listener = TcpListener::bind(("0.0.0.0", port))
        .with_context(|| format!("cannot listen on port {port}"))?;
    let port = listener.local_addr().context("a listener has an address")?.port();
    let line = format!("{agent}\n");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            // Whoever has gone meanwhile needs no answer.
            let _ = connection.and_then(|mut connection| connection.write_all(line.as_bytes()));
        }
    });
    Ok(port)
}
