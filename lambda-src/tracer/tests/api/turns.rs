//! Moto behind a door that lets one request through at a time.
//!
//! Moto looks at a condition and writes in two steps, so that now and then two conditional writes both succeed, which
//! [DynamoDB never lets happen](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate).

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Gives an endpoint that passes requests on to `endpoint`, one after another.
pub fn one_at_a_time(endpoint: &str) -> String {
    let moto = endpoint.trim_start_matches("http://").to_owned();
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = door.local_addr().unwrap();
    std::thread::spawn(move || {
        for near in door.incoming() {
            // A client that went away is none of the others' business.
            let _passed = near.and_then(|near| pass(near, &moto));
        }
    });
    format!("http://{address}")
}

fn pass(mut near: TcpStream, moto: &str) -> io::Result<()> {
    let request = whole_request(&mut near)?;
    let mut far = TcpStream::connect(moto)?;
    far.write_all(&request)?;
    // Moto closes the connection behind its answer, and says so in it.
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
