//! A proxy to the emulated AWS that can be cut, like a network that fails during a release, and that loses the answers to chosen
//! requests: they are executed, and nobody hears of it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A listener that forwards connections, and drops them while it is cut.
pub struct Proxy {
    port: u16,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    cut: AtomicBool,
    /// The text of the requests whose answers are lost, and how many of them still are.
    lost: Mutex<Option<(String, usize)>>,
}

impl Faults {
    /// Returns whether the answer to what a client sends is to be lost.
    fn loses(&self, sent: &[u8]) -> bool {
        let mut lost = self.lost.lock().expect("the faults");
        let Some((text, left)) = lost.as_mut().filter(|(_, left)| *left > 0) else { return false };
        let found = sent.windows(text.len()).any(|window| window == text.as_bytes());
        *left -= usize::from(found);
        found
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
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                        forward(&client, &server, &faults);
                    }
                });
            }
        });
        Self { port: own, faults }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Drops every connection from now on, or forwards them again.
    pub fn cut(&self, cut: bool) {
        self.faults.cut.store(cut, Ordering::SeqCst);
    }

    /// Loses the answers to the next requests with this text, at most so many.
    pub fn lose_answers(&self, text: &str, times: usize) {
        *self.faults.lost.lock().expect("the faults") = Some((text.to_owned(), times));
    }

    /// Returns how many of these answers were not lost, because nobody asked; from now on none is.
    pub fn stop_losing(&self) -> usize {
        self.faults.lost.lock().expect("the faults").take().map_or(0, |(_, left)| left)
    }
}

/// Copies in both directions until one side ends, the proxy is cut or an answer is lost.
fn forward(client: &TcpStream, server: &TcpStream, faults: &Faults) {
    let lost = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            copy(client, server, faults, |sent| {
                let loses = faults.loses(sent);
                lost.fetch_or(loses, Ordering::SeqCst);
                true
            })
        });
        copy(server, client, faults, |_| !lost.load(Ordering::SeqCst));
    });
}

/// Copies what is read as long as `passes` says so.
fn copy(mut from: &TcpStream, mut to: &TcpStream, faults: &Faults, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        let goes_on = read > 0 && !faults.cut.load(Ordering::SeqCst) && passes(&buffer[..read]);
        if !goes_on || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
