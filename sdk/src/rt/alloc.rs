//! The module's memory: a list of free blocks for each power of two.
//!
//! A plugin allocates a few short-lived things in a call, again and again of the same sizes. Blocks of one
//! size are interchangeable, so nothing fragments: the memory in use stops growing once the largest call has
//! been seen. Compared with the allocator in std this is a tenth of the code and never searches. What it
//! does not do is give blocks of one size to another size; the price is at most twice the largest need.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::UnsafeCell;
use core::ptr::null_mut;

/// The size of a page of WebAssembly memory.
const PAGE: usize = 64 * 1024;
/// The smallest block, and the alignment of all blocks. Nothing here wants more.
const SMALLEST: usize = 16;

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(State { free: [null_mut(); 32], next: 0, end: 0 }));

struct Heap(UnsafeCell<State>);

// SAFETY: without the threads proposal, which this target does not enable, an instance has one thread.
unsafe impl Sync for Heap {}

struct State {
    /// The first free block of 2ⁿ bytes; its first word points to the next one.
    free: [*mut u8; 32],
    /// The first byte that was never handed out; 0 before the first allocation.
    next: usize,
    /// The end of the memory.
    end: usize,
}

// SAFETY: blocks do not overlap, are as large and as aligned as asked, and are reused only after `dealloc`.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            return null_mut();
        };
        // SAFETY: one thread, and nothing below comes back here.
        let state = unsafe { &mut *self.0.get() };
        let block = state.free[class];
        if block.is_null() {
            return state.fresh(1 << class);
        }
        // SAFETY: a free block holds a pointer to the next one in its first word; it is aligned for that.
        state.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            return;
        };
        // SAFETY: one thread; the block is ours, unused from now on and large enough for a pointer.
        unsafe {
            let state = &mut *self.0.get();
            block.cast::<*mut u8>().write(state.free[class]);
            state.free[class] = block;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller sees to it that the new size is valid for this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if class_of(layout) == class_of(new_layout) {
            return block;
        }
        // SAFETY: as for any allocation; the two blocks do not overlap and both hold the bytes copied.
        unsafe {
            let new_block = self.alloc(new_layout);
            if !new_block.is_null() {
                new_block.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new_block
        }
    }
}

impl State {
    fn fresh(&mut self, size: usize) -> *mut u8 {
        if self.next == 0 {
            self.next = heap_base().next_multiple_of(SMALLEST);
            self.end = wasm32::memory_size(0) * PAGE;
        }
        let Some(next) = self.next.checked_add(size) else {
            return null_mut();
        };
        if next > self.end {
            let pages = (next - self.end).div_ceil(PAGE);
            if wasm32::memory_grow(0, pages) == usize::MAX {
                return null_mut();
            }
            self.end += pages * PAGE;
        }
        let block = self.next;
        self.next = next;
        block as *mut u8
    }
}

/// The exponent of the power of two that holds the layout; none for what no memory could hold.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size().max(SMALLEST).checked_next_power_of_two()?;
    let class = size.trailing_zeros() as usize;
    (layout.align() <= SMALLEST && class < 32).then_some(class)
}

/// Where the linker says that the module's own data ends.
fn heap_base() -> usize {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    &raw const __heap_base as usize
}
