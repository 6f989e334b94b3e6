//! The allocator of the allocation tests: counts for each thread what it allocates, and apart from
//! that for all cores of an engine together.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of all threads that have called [`count_this_core`].
static OF_CORES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_CORE: Cell<bool> = const { Cell::new(false) };
    static TOTAL: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// What one piece of code has allocated on its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    pub(crate) count_total: u64,
    /// Bytes that it has allocated and not freed.
    pub(crate) bytes_current: i64,
}

/// Runs the code and gives what it allocates on this thread.
pub(crate) fn measure(code: impl FnOnce()) -> Allocated {
    let (total, held) = (TOTAL.get(), HELD.get());
    code();
    Allocated {
        count_total: TOTAL.get() - total,
        bytes_current: HELD.get() - held,
    }
}

/// From here on this thread counts as a core of an engine.
pub(crate) fn count_this_core() {
    IS_CORE.set(true);
}

/// How often all cores have allocated.
pub(crate) fn of_cores() -> u64 {
    OF_CORES.load(Relaxed)
}

fn note(allocations: u64, bytes: i64) {
    TOTAL.set(TOTAL.get() + allocations);
    HELD.set(HELD.get() + bytes);
    if IS_CORE.get() {
        OF_CORES.fetch_add(allocations, Relaxed);
    }
}

fn bytes(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes to the system's allocator unchanged, and counting allocates nothing:
// the cells of a thread are constants without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, bytes(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -bytes(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, bytes(size) - bytes(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[test]
fn what_is_allocated_is_counted_and_what_is_freed_is_not_held() {
    let mut kept = Vec::new();
    let counted = measure(|| {
        drop(std::hint::black_box(Box::new([1_u8; 100])));
        kept.reserve_exact(10);
        kept.push(1_u64);
    });
    assert_eq!((counted.count_total, counted.bytes_current), (2, 80));
    assert_eq!(kept, [1]);
}
