//! Which nodes changed, in order, so that an index that has read up to a point looks at the rest only.

use super::ids::NodeId;

/// The nodes that changed, oldest first. The log forgets its beginning when it grows beyond a few entries for
/// each node; an index that read less than that looks at every node again.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeLog {
    forgotten: u64,
    entries: Vec<NodeId>,
}

impl ChangeLog {
    /// Notes a change of one of so many nodes.
    pub(crate) fn push(&mut self, node: NodeId, nodes: usize) {
        if self.entries.len() > 4 * nodes + 64 {
            self.forgotten += self.entries.len() as u64;
            self.entries.clear();
        }
        self.entries.push(node);
    }

    /// The point behind the last change.
    pub(crate) fn end(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// The nodes that changed since a point; `None` when the log no longer reaches back to it.
    pub(crate) fn since(&self, point: u64) -> Option<&[NodeId]> {
        let at = point.checked_sub(self.forgotten)?;
        self.entries.get(usize::try_from(at).ok()?..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_forgot_says_so_instead_of_leaving_changes_out() {
        let mut log = ChangeLog::default();
        log.push(NodeId::at(0), 1);
        let point = log.end();
        log.push(NodeId::at(0), 1);
        assert_eq!(log.since(point), Some(&[NodeId::at(0)][..]));
        (0..100).for_each(|_| log.push(NodeId::at(0), 1));
        assert_eq!(log.since(point), None);
        assert_eq!(log.since(log.end()), Some(&[][..]));
    }
}
