//! The harness of the end-to-end tests: a real API server, store and scheduler, and a test that says what it
//! waits for.
//!
//! | file | what it gives a test |
//! |---|---|
//! | [`plane`] | a control plane: the one that all tests of a process share, or one of its own |
//! | [`install`] | what Weir installs on a cluster: its custom resources, and what its scheduler may read |
//! | [`objects`] | nodes and pods in the words of the tests |
//! | [`setup`] | which scheduler runs with which configuration and modules |
//! | [`scene`] | the test's own namespace: create, change, and wait for what becomes of it |
//! | [`history`] | everything that the API server told meanwhile, in order |
//! | [`native`] | the policy code, asked about the same objects as the modules |
//! | [`sidecar`] | the admission sidecar in a process of its own, with the rights that are shipped |
//! | [`program`] | a program that runs to its end, and what it left behind |
//!
//! A test that needs no nodes but the usual ones shares a control plane and owns a namespace; one that adds or
//! changes nodes owns a control plane, of which there are two at most at a time. Nothing here sleeps: what a
//! test waits for is looked for whenever the watch tells something, and when the time for it is over, the
//! error says what was there instead and ends with the schedulers' logs.

pub mod history;
pub mod install;
pub mod native;
pub mod objects;
pub mod plane;
pub mod program;
pub mod scene;
pub mod setup;
pub mod sidecar;
