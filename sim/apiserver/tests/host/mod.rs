//! The model behind a TCP port, for clients that speak HTTP/1.1: a thread per connection.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "the host that the model itself must not be: sockets, threads, a clock"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use http::{Request, Response};
use rynxs_apiserver::{ApiServer, Body};

/// Serves until the process ends; the address has the port that was chosen.
pub(crate) fn serve(server: &ApiServer, address: &str, verbose: bool) -> SocketAddr {
    let listener = TcpListener::bind(address).expect("the address is free");
    let bound = listener.local_addr().expect("a bound socket has an address");
    let ticking = server.clone();
    std::thread::spawn(move || {
        loop {
            ticking.tick(now_ms());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let server = server.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = server.clone();
            std::thread::spawn(move || {
                // A client that goes away mid-answer is no concern of the server.
                let _ = converse(&server, stream, verbose);
            });
        }
    });
    bound
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    u64::try_from(since.as_millis()).expect("the clock is before the year 500,000,000")
}

fn converse(server: &ApiServer, stream: TcpStream, verbose: bool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = read(&mut reader)? {
        let line = format!("{} {}", request.method(), request.uri());
        let accept = request.headers().get("accept").and_then(|a| a.to_str().ok()).unwrap_or("");
        let line = format!("{line} [{accept}]");
        let response = server.handle(now_ms(), request);
        if verbose {
            eprintln!("{} {line}", response.status().as_u16());
        }
        if !answer(&mut writer, response)? {
            break;
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request<Bytes>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut parts = line.split_whitespace();
    let (method, uri) = (parts.next().unwrap_or("GET"), parts.next().unwrap_or("/"));
    let mut request = Request::builder().method(method).uri(uri);
    let mut length = 0;
    let mut chunked = false;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
        request = request.header(name, value);
    }
    let body = if chunked { read_chunks(reader)? } else { read_exactly(reader, length)? };
    request.body(Bytes::from(body)).map(Some).map_err(std::io::Error::other)
}

fn read_exactly(reader: &mut impl BufRead, length: usize) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
        body.extend(read_exactly(reader, size)?);
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Writes an answer; says whether the connection can be used again.
fn answer(writer: &mut impl Write, response: Response<Body>) -> std::io::Result<bool> {
    let (parts, body) = response.into_parts();
    write!(writer, "HTTP/1.1 {}\r\n", parts.status)?;
    for (name, value) in &parts.headers {
        write!(writer, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()))?;
    }
    match body {
        Body::Full(bytes) => {
            write!(writer, "content-length: {}\r\n\r\n", bytes.len())?;
            writer.write_all(&bytes)?;
            writer.flush()?;
            Ok(true)
        }
        Body::Watch(mut events) => {
            write!(writer, "transfer-encoding: chunked\r\n\r\n")?;
            writer.flush()?;
            while let Some(event) = block_on(events.next()) {
                write!(writer, "{:x}\r\n", event.len())?;
                writer.write_all(&event)?;
                write!(writer, "\r\n")?;
                writer.flush()?;
            }
            write!(writer, "0\r\n\r\n")?;
            writer.flush()?;
            Ok(true)
        }
    }
}
