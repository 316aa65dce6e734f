//! Works on entries ahead of need, on rayon's threads, and hands the results over in the entries' own order.
//!
//! In: entries in the order of the zip and a window in bytes. Out: each entry's piece, in that order. No more than
//! the window is held by what is being compressed or waits to be written, so memory is bounded and the order of
//! arrival can't reach the zip. The first failure ends the work; what runs is waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, sync_channel};
use std::time::Duration;

use rayon::{Scope, Yield};

use crate::writing::LONGEST_HELD;
use crate::{Entry, Error};

/// The least a piece counts for, in bytes: a small file costs its name, its headers and a channel too.
const LEAST: u64 = 1024;

/// What comes out for an entry.
pub(super) enum Piece<'tree, T> {
    /// What the worker made of it.
    Ready(T),
    /// The entry itself with its length, since it is too long to be held.
    TooLong(Entry<'tree>, u64),
}

/// An entry on its way.
enum Ahead<'tree, T> {
    Worked(Receiver<Result<T, Error>>, u64),
    TooLong(Entry<'tree>, u64),
}

/// Runs `work` on entries in parallel and `deliver` on their pieces in order, on the calling thread.
pub(super) fn in_order<'tree, T: Send>(
    entries: impl Iterator<Item = Entry<'tree>> + Send,
    window: u64,
    work: impl Fn(Entry<'tree>, u64) -> Result<T, Error> + Sync,
    mut deliver: impl FnMut(Piece<'tree, T>) -> Result<(), Error>,
) -> Result<(), Error> {
    let abandoned = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        let result = run(scope, entries, window, &work, &mut deliver, &abandoned);
        abandoned.store(true, Ordering::Relaxed);
        result
    })
}

fn run<'scope, 'tree: 'scope, T: Send + 'scope>(
    scope: &Scope<'scope>,
    mut entries: impl Iterator<Item = Entry<'tree>>,
    window: u64,
    work: &'scope (impl Fn(Entry<'tree>, u64) -> Result<T, Error> + Sync),
    deliver: &mut impl FnMut(Piece<'tree, T>) -> Result<(), Error>,
    abandoned: &'scope AtomicBool,
) -> Result<(), Error> {
    let mut ahead = VecDeque::new();
    let mut reserved = 0;
    let mut waiting: Option<(Entry<'tree>, u64)> = None;
    loop {
        // Fill the window; the first of the line always gets in, so the line always moves.
        loop {
            let (entry, size) = match waiting.take() {
                Some(measured) => measured,
                None => match entries.next() {
                    Some(entry) => (entry, entry.size()?),
                    None => break,
                },
            };
            // While it is compressed, a piece is held twice: as it was, and as it will stand in the zip.
            let cost = (2 * size).max(LEAST);
            if size > LONGEST_HELD {
                ahead.push_back(Ahead::TooLong(entry, size));
            } else if ahead.is_empty() || reserved + cost <= window {
                reserved += cost;
                let (sender, receiver) = sync_channel(1);
                scope.spawn(move |_| {
                    if !abandoned.load(Ordering::Relaxed) {
                        // Nobody listens any more only where the work was abandoned.
                        let _ = sender.send(work(entry, size));
                    }
                });
                ahead.push_back(Ahead::Worked(receiver, cost));
            } else {
                waiting = Some((entry, size));
                break;
            }
        }
        match ahead.pop_front() {
            None => return Ok(()),
            Some(Ahead::TooLong(entry, size)) => deliver(Piece::TooLong(entry, size))?,
            Some(Ahead::Worked(receiver, cost)) => {
                // A worker that says nothing has panicked, and the scope passes the panic on when it ends.
                let Ok(piece) = wait(&receiver) else { return Ok(()) };
                deliver(Piece::Ready(piece?))?;
                reserved -= cost;
            }
        }
    }
}

/// Waits for a worker, lending this thread to rayon where it is one of rayon's own.
fn wait<T>(receiver: &Receiver<T>) -> Result<T, RecvError> {
    loop {
        match receiver.try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => match rayon::yield_now() {
                None => return receiver.recv(),
                Some(Yield::Executed) => {}
                Some(Yield::Idle) => std::thread::sleep(Duration::from_micros(200)),
            },
        }
    }
}
