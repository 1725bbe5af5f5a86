//! End to end: a real API server, store and scheduler, and our modules in it.
//!
//! One program for all of it, because all tests of a program share one world ([`weir_tests::world::shared`]).

mod bad_input;
mod extension;
mod gpu_filter;
mod load;
mod mixed;
mod new_plugin;
mod packing;
mod preemption;
mod run;
mod special_hardware;
mod swap;
mod swap_away;
mod swap_leader;
mod swap_settings;
mod swap_signed;
