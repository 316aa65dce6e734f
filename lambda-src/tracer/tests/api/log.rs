//! The log of each test: each runs on a thread of its own, and so does all that it starts.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Logs as the function does, at the level that says most.
///
/// For the whole process: a subscriber of one thread races with the others, which ask for none.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        http_function::logging::json_lines(tracer::LOGGED_AS, LevelFilter::TRACE, || ThisThread).init()
    });
}

/// Gives what this test logged.
pub fn lines() -> String {
    LINES.with_borrow(|lines| String::from_utf8(lines.clone()).unwrap())
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
