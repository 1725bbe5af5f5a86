//! How bad a line of the log is.

/// How bad it is, with klog's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Severity {
    /// Good to know.
    Info = 0,
    /// An administrator has to act.
    Error = 2,
}
