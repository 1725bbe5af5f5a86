//! The harness of the end-to-end tests: a real API server, store and scheduler, and a test that says what it
//! waits for.
//!
//! | file | what it gives a test |
//! |---|---|
//! | [`world`] | a control plane and what of Weir runs on it: shared by the tests of a process, or the test's own |
//! | [`namespace`] | the test's part of a world: create, change, and wait for what becomes of it |
//! | [`history`] | everything that the API server told meanwhile, in order |
//! | [`objects`] | nodes and pods in the words of the tests, and what a pod says of itself |
//! | [`judge`], [`native`] | which promises a history breaks; the policy code, asked about the same objects as the modules |
//! | [`install`], [`setup`], [`sidecar`] | what Weir installs, and the scheduler and the sidecar as processes of their own |
//! | [`program`] | a program that runs to its end, and what it left behind |
//! | [`wait`] | waiting with a deadline and a sentence |
//!
//! Nothing here sleeps: what a test waits for is looked for whenever a watch tells something, and when the time for
//! it is over, the error says what was there instead and ends with the logs.

pub mod history;
pub mod install;
pub mod judge;
pub mod namespace;
pub mod native;
pub mod objects;
pub mod program;
pub mod setup;
pub mod sidecar;
pub mod wait;
pub mod world;
