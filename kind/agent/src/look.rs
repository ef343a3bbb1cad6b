//! What a person asks of a pod that has no shell.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A policy drops what it does not allow, so a refusal looks like silence.
const PATIENCE: Duration = Duration::from_secs(3);

/// Does what the arguments ask for.
pub(crate) fn around(arguments: &[String]) -> Result<ExitCode> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["results"] => results(Path::new(&super::told("RYNXS_WORKSPACE")?)),
        ["reach", to] => reach(to),
        _ => bail!("{arguments:?} is neither `results` nor `reach HOST:PORT`"),
    }
}

/// Prints every result, a line each, in the order of the sessions' names.
fn results(workspace: &Path) -> Result<ExitCode> {
    let folder = workspace.join("results");
    if !folder.exists() {
        return Ok(ExitCode::SUCCESS);
    }
    let read = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).with_context(read)? {
        let path = entry.with_context(read)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path);
        println!("{}", text.with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether something accepts a TCP connection there.
fn reach(to: &str) -> Result<ExitCode> {
    let addresses = to.to_socket_addrs().with_context(|| format!("{to} is no HOST:PORT"))?;
    let mut why = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => {
                println!("reached {to} at {address}");
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    eprintln!("cannot reach {to}: {why}");
    Ok(ExitCode::FAILURE)
}
