//! A proxy to the emulated AWS that fails like a network and like a service: it can be cut, it loses the answers to chosen
//! requests (they are executed, and nobody hears of it), and it fails requests at random.
//!
//! Each connection carries one request, so that a fault hits exactly one.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A listener that forwards requests, and drops them while it is cut.
pub struct Proxy {
    port: u16,
    faults: Arc<Faults>,
}

/// What can go wrong between a client and a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkFault {
    /// The connection is reset while the request is sent.
    Reset,
    /// The request arrives nowhere, and the connection ends.
    Dropped,
    /// The request is executed, and the connection ends without an answer.
    AnswerLost,
    /// The request is executed, and the connection ends in the middle of the answer.
    AnswerCut,
    /// The service answers 500, and does nothing.
    Failed,
    /// The service answers 503 and asks for fewer requests.
    Throttled,
    /// The answer takes three seconds.
    Slow,
}

impl NetworkFault {
    pub const ALL: [Self; 7] = [
        Self::Reset,
        Self::Dropped,
        Self::AnswerLost,
        Self::AnswerCut,
        Self::Failed,
        Self::Throttled,
        Self::Slow,
    ];
}

/// Which requests a fault hits.
enum Hits {
    /// Those with this text in their head or body.
    Text(String),
    /// The next write, after so many others.
    Write(usize),
    /// Of a hundred so many.
    Percent(u8, fastrand::Rng),
}

struct Rule {
    fault: NetworkFault,
    hits: Hits,
    /// How many more it hits.
    left: usize,
    hit: usize,
}

#[derive(Default)]
struct Faults {
    cut: AtomicBool,
    rules: Mutex<Vec<Rule>>,
}

impl Faults {
    /// Returns what is to happen to a request.
    fn of(&self, request: &[u8]) -> Option<NetworkFault> {
        let mut rules = self.rules.lock().expect("the faults");
        for rule in rules.iter_mut().filter(|rule| rule.left > 0) {
            let hits = match &mut rule.hits {
                Hits::Text(text) => contains(request, text.as_bytes()),
                Hits::Percent(percent, random) => random.u8(..100) < *percent,
                Hits::Write(before) => {
                    let writes = !request.starts_with(b"GET ") && !request.starts_with(b"HEAD ");
                    let now = writes && *before == 0;
                    *before = before.saturating_sub(usize::from(writes));
                    now
                }
            };
            if hits {
                rule.left -= 1;
                rule.hit += 1;
                return Some(rule.fault);
            }
        }
        None
    }
}

impl Proxy {
    /// Listens on a free port and forwards everything to another port.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("its address").port();
        let faults: Arc<Faults> = Arc::default();
        let of_connections = Arc::clone(&faults);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let faults = Arc::clone(&of_connections);
                std::thread::spawn(move || {
                    // Whoever hangs up gets no answer.
                    let _ = forward(&client, port, &faults);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port: own, faults }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Drops every request from now on, or forwards them again.
    pub fn cut(&self, cut: bool) {
        self.faults.cut.store(cut, Ordering::SeqCst);
    }

    /// Loses the answers to the next requests with this text, at most so many.
    pub fn lose_answers(&self, text: &str, times: usize) {
        self.add(NetworkFault::AnswerLost, Hits::Text(text.to_owned()), times);
    }

    /// Returns how many of these answers were not lost, because nobody asked; from now on nothing fails.
    pub fn stop_losing(&self) -> usize {
        self.faults.rules.lock().expect("the faults").drain(..).map(|rule| rule.left).sum()
    }

    /// Fails every request with this text.
    pub fn fail(&self, fault: NetworkFault, text: &str) {
        self.add(fault, Hits::Text(text.to_owned()), usize::MAX);
    }

    /// Fails the next write after so many others, and its next attempts.
    pub fn fail_write(&self, fault: NetworkFault, before: usize, times: usize) {
        self.add(fault, Hits::Write(before), times);
    }

    /// Fails so many of a hundred requests, chosen at random.
    pub fn fail_at_random(&self, fault: NetworkFault, percent: u8, seed: u64) {
        self.add(fault, Hits::Percent(percent, fastrand::Rng::with_seed(seed)), usize::MAX);
    }

    /// Returns how many requests failed; from now on none does.
    pub fn stop_failing(&self) -> usize {
        self.faults.rules.lock().expect("the faults").drain(..).map(|rule| rule.hit).sum()
    }

    fn add(&self, fault: NetworkFault, hits: Hits, left: usize) {
        self.faults.rules.lock().expect("the faults").push(Rule { fault, hits, left, hit: 0 });
    }
}

/// Forwards one request, and its answer as far as no fault hits it.
fn forward(mut client: &TcpStream, port: u16, faults: &Faults) -> std::io::Result<()> {
    let Some(request) = read_request(client)? else { return Ok(()) };
    if faults.cut.load(Ordering::SeqCst) {
        return Ok(());
    }
    let fault = faults.of(&request);
    match fault {
        Some(NetworkFault::Dropped) => return Ok(()),
        // An end with unread bytes is a reset: the client is still sending, or is asked to go on.
        Some(NetworkFault::Reset) => return client.write_all(b"HTTP/1.1 "),
        Some(NetworkFault::Failed) => return client.write_all(error(500, "InternalError").as_bytes()),
        Some(NetworkFault::Throttled) => return client.write_all(error(503, "SlowDown").as_bytes()),
        Some(NetworkFault::Slow) => std::thread::sleep(Duration::from_secs(3)),
        _ => {}
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    match fault {
        _ if faults.cut.load(Ordering::SeqCst) => Ok(()),
        Some(NetworkFault::AnswerLost) => Ok(()),
        Some(NetworkFault::AnswerCut) => client.write_all(&answer[..answer.len() / 2]),
        _ => client.write_all(&answer),
    }
}

/// An answer that both AWS's protocols understand.
fn error(status: u16, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>chaos</Message></Error>");
    format!(
        "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nx-amzn-ErrorType: {code}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads a request whole, and has its connection end with the answer; `None` where the client sent nothing.
fn read_request(mut client: &TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let head = loop {
        if let Some(end) = position(&read, b"\r\n\r\n") {
            break end + 4;
        }
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            length => read.extend_from_slice(&buffer[..length]),
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let header = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    if header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length: Option<usize> = header("content-length").and_then(|length| length.parse().ok());
    let chunked = header("transfer-encoding").is_some();
    let mut body = read.split_off(head);
    while match length {
        Some(length) => body.len() < length,
        None => chunked && !body.ends_with(b"0\r\n\r\n"),
    } {
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            length => body.extend_from_slice(&buffer[..length]),
        }
    }
    let kept: String = text
        .trim_end()
        .split("\r\n")
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("connection:") && !line.starts_with("expect:")
        })
        .flat_map(|line| [line, "\r\n"])
        .collect();
    Ok(Some([format!("{kept}Connection: close\r\n\r\n").as_bytes(), &body].concat()))
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    position(bytes, text).is_some()
}

fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
