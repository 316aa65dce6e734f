//! What all fuzz targets have in common: the limit on the memory that one input may take.
//!
//! libFuzzer's own limit on one allocation needs a sanitizer, and so a nightly compiler. This one works with the stable one: an
//! allocation of Rust code beyond the limit ends the process, and libFuzzer keeps the input. How long an input may take is
//! libFuzzer's `-timeout`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes one input may hold at a time. Inputs have 64 KiB at most, so that this is a thousand times as much.
const LIMIT: usize = 64 << 20;

/// The bytes that are held now, and how many may be.
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The system's allocator, with a limit.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        System.alloc_zeroed(layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        System.dealloc(pointer, layout);
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        System.realloc(pointer, layout, size)
    }
}

fn count(size: usize) {
    let held = HELD.fetch_add(size, Ordering::Relaxed).saturating_add(size);
    if held > MOST.load(Ordering::Relaxed) {
        // What follows may allocate.
        MOST.store(usize::MAX, Ordering::Relaxed);
        let _ = writeln!(std::io::stderr(), "the input takes more than {LIMIT} bytes of memory: {size} more");
        std::process::abort();
    }
}

/// Reads an input within the limit.
pub fn read_within_limit(read: impl FnOnce()) {
    MOST.store(HELD.load(Ordering::Relaxed).saturating_add(LIMIT), Ordering::Relaxed);
    read();
    MOST.store(usize::MAX, Ordering::Relaxed);
}

/// Defines a target that passes each input to functions that read it.
#[macro_export]
macro_rules! target {
    ($($read:path),+) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            $crate::read_within_limit(|| { $($read(bytes);)+ });
        });
    };
}
