//! Compresses entries on rayon's threads, ahead of the one that is written, and delivers them in order.
//!
//! In: entries in the order of the zip, and a window in bytes. Out: each entry's [`Piece`], in that order. Entries that are
//! being compressed or wait to be written use no more memory than the window. Errors: the first failure ends the work;
//! running workers are awaited.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, sync_channel};
use std::time::Duration;

use rayon::{Scope, Yield};

use crate::zip_writer::LARGEST_IN_MEMORY;
use crate::{Entry, Error};

/// The smallest cost of a piece, in bytes: a small file also needs memory for its name, headers and channel.
const LEAST_COST: u64 = 1024;

/// The result for an entry.
pub(super) enum Piece<'tree, T> {
    /// The worker's result.
    Compressed(T),
    /// The entry and its length, because it is too large to be compressed in memory.
    TooLarge(Entry<'tree>, u64),
}

/// An entry that is not delivered yet.
enum Pending<'tree, T> {
    Compressing(Receiver<Result<T, Error>>, u64),
    TooLarge(Entry<'tree>, u64),
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
        // Fill the window. The first entry always fits, so there is always progress.
        loop {
            let (entry, size) = match waiting.take() {
                Some(measured) => measured,
                None => match entries.next() {
                    Some(entry) => (entry, entry.size()?),
                    None => break,
                },
            };
            // While an entry is compressed, it is in memory twice: unpacked and packed.
            let cost = (2 * size).max(LEAST_COST);
            if size > LARGEST_IN_MEMORY {
                ahead.push_back(Pending::TooLarge(entry, size));
            } else if ahead.is_empty() || reserved + cost <= window {
                reserved += cost;
                let (sender, receiver) = sync_channel(1);
                scope.spawn(move |_| {
                    if !abandoned.load(Ordering::Relaxed) {
                        // The receiver is gone only where the work was abandoned.
                        let _ = sender.send(work(entry, size));
                    }
                });
                ahead.push_back(Pending::Compressing(receiver, cost));
            } else {
                waiting = Some((entry, size));
                break;
            }
        }
        match ahead.pop_front() {
            None => return Ok(()),
            Some(Pending::TooLarge(entry, size)) => deliver(Piece::TooLarge(entry, size))?,
            Some(Pending::Compressing(receiver, cost)) => {
                // A worker without a result has panicked, and the scope propagates the panic when it ends.
                let Ok(piece) = wait(&receiver) else { return Ok(()) };
                deliver(Piece::Compressed(piece?))?;
                reserved -= cost;
            }
        }
    }
}

/// Waits for a worker. A thread of rayon's own runs other work meanwhile.
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
