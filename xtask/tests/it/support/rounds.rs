//! Many rounds of one test, two at a time. All of them run, so that a failed one does not hide the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Runs a round for each number; panics with the failures of all rounds.
pub fn rounds(numbers: impl IntoIterator<Item = usize>, round: impl Fn(usize) + Sync) {
    let mut left: Vec<usize> = numbers.into_iter().collect();
    left.reverse();
    let total = left.len();
    assert!(total > 0, "no round to run");
    let left = Mutex::new(left);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(number) = left.lock().expect("the remaining rounds").pop() else {
                        break;
                    };
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| round(number))) {
                        let text = panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                            .unwrap_or_default();
                        failed.lock().expect("the failures").push((number, text));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("the failures");
    let messages: Vec<String> =
        failed.iter().map(|(number, text)| format!("round {number}: {text}")).collect();
    assert!(messages.is_empty(), "{} of {total} rounds failed\n{}", messages.len(), messages.join("\n\n"));
}
