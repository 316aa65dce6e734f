//! Returns each event with a word. Implements Lambda's Runtime API with the standard library alone, so that it builds quickly.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const SAYS: &str = "one";

fn main() -> std::io::Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(std::io::Error::other)?;
    loop {
        let (head, event) = call(&api, "GET", "next", "")?;
        let id = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("lambda-runtime-aws-request-id")
                    .then(|| value.trim().to_owned())
            })
            .ok_or_else(|| std::io::Error::other("an invocation without an id"))?;
        let response = format!("{{\"says\":\"{SAYS}\",\"event\":{event}}}");
        call(&api, "POST", &format!("{id}/response"), &response)?;
    }
}

fn call(api: &str, method: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(api)?;
    write!(
        stream,
        "{method} /2018-06-01/runtime/invocation/{path} HTTP/1.0\r\nHost: {api}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .ok_or_else(|| std::io::Error::other("a response without the end of its head"))?;
    Ok((head.to_owned(), body.to_owned()))
}
