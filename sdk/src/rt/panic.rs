//! The end of a module that cannot go on: say why, then trap.
//!
//! Text on standard error is the only thing that the extension puts beside a trap in the error that it
//! reports, so this is where the reason of a panic goes, and of settings that are refused.

use core::arch::wasm32::unreachable;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn fd_write(fd: u32, slices: *const Slice, count: usize, written: *mut usize) -> u32;
}

/// A piece of memory, as WASI wants it.
#[repr(C)]
struct Slice {
    start: *const u8,
    len: usize,
}

const STDERR: u32 = 2;

/// Writes to standard error. A failure is ignored: there is no other place to report it.
pub(crate) fn write_stderr(text: &str) {
    let slice = Slice { start: text.as_ptr(), len: text.len() };
    let mut written = 0;
    // SAFETY: the host reads the slice and its bytes, and writes one number, all during the call.
    unsafe { fd_write(STDERR, &raw const slice, 1, &raw mut written) };
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // No allocation from here on: that may be what failed.
    let mut line = Line { bytes: [0; 512], len: 0 };
    let _ = write!(line, "{info}");
    write_stderr(line.as_str());
    unreachable()
}

/// Text that is cut off where it gets too long.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    fn as_str(&self) -> &str {
        let bytes = &self.bytes[..self.len];
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = room.len().min(text.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
