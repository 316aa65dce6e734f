//! A proxy to moto that forwards one request at a time.
//!
//! moto checks a condition and writes in two steps, so that sometimes two conditional writes both succeed, which
//! [never happens in DynamoDB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate).

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Returns an endpoint that forwards requests to `endpoint`, one after another.
pub fn serialized(endpoint: &str) -> String {
    let moto = endpoint.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            // A disconnected client does not affect the others.
            let _forwarded = near.and_then(|near| forward(near, &moto));
        }
    });
    format!("http://{address}")
}

fn forward(mut near: TcpStream, moto: &str) -> io::Result<()> {
    let request = whole_request(&mut near)?;
    let mut far = TcpStream::connect(moto)?;
    far.write_all(&request)?;
    // moto closes the connection after its response, and announces it there.
    io::copy(&mut far, &mut near)?;
    Ok(())
}

fn whole_request(near: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = [0; 1 << 14];
    loop {
        let length = near.read(&mut piece)?;
        request.extend_from_slice(&piece[..length]);
        if length == 0 || is_whole(&request) {
            return Ok(request);
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    request.len() >= end + 4 + length.unwrap_or(0)
}
