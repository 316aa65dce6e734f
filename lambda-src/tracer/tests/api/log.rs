//! The log of each test: a test and everything that it starts run on one thread.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Starts logging as in the function, at the most detailed level.
///
/// For the whole process: a subscriber for one thread would race with threads without one.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED
        .call_once(|| function_log::json_lines(tracer::LOGGED_AS, LevelFilter::TRACE, || ThisThread).init());
}

/// Returns the log of this test.
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
