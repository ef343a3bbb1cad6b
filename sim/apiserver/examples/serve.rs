//! The model on loopback, to be looked at with kubectl:
//! `cargo run -p rynxs-apiserver --example serve -- 127.0.0.1:8099 FILE.yaml…`
//! then `kubectl --server=http://127.0.0.1:8099 get all -A`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "serves the model to a person"
)]

#[path = "../tests/host/mod.rs"]
mod host;

use rynxs_apiserver::{ApiServer, Options};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    let server = ApiServer::new(Options { start_ms: host::now_ms(), ..Options::default() });
    for file in arguments {
        let yaml = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let yaml = yaml.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
        server.load(&yaml).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
    eprintln!("kubectl --server=http://{}", host::serve(&server, &address, true));
    loop {
        std::thread::park();
    }
}
