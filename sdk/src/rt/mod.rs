//! What a WebAssembly module needs and std would otherwise bring: memory, and an end when all is lost.

mod alloc;
mod panic;

pub(crate) use self::panic::write_stderr;
