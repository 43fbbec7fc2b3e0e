//! The commands this client knows.

use serde_json::json;

/// A question to QEMU. There is no way to make one from a string: what is not listed here can't be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// What the guest is doing.
    Status,
    /// The name QEMU was started with.
    Name,
    /// Counters of every disk.
    BlockStats,
    /// Every disk: image, limits, last error.
    Block,
    /// The virtio devices (QEMU 7.2 and newer).
    Virtio,
    /// One queue of a virtio device (QEMU 7.2 and newer).
    VirtioQueueStatus {
        /// The device, as [`Query::Virtio`] names it.
        path: String,
        /// The queue, from 0.
        queue: u16,
    },
}

impl Query {
    /// The command on the wire.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self {
            Self::Status => "query-status",
            Self::Name => "query-name",
            Self::BlockStats => "query-blockstats",
            Self::Block => "query-block",
            Self::Virtio => "x-query-virtio",
            Self::VirtioQueueStatus { .. } => "x-query-virtio-queue-status",
        }
    }

    /// Appends the request as a line; QEMU repeats `id` in its answer.
    pub(crate) fn write(&self, id: usize, out: &mut Vec<u8>) {
        let mut request = json!({ "execute": self.command(), "id": id });
        if let Self::VirtioQueueStatus { path, queue } = self {
            request["arguments"] = json!({ "path": path, "queue": queue });
        }
        out.extend_from_slice(request.to_string().as_bytes());
        out.push(b'\n');
    }
}

/// The end of the negotiation. No capability is asked for: out-of-band commands would only be needed to hold a
/// connection for good.
pub(crate) fn write_capabilities(id: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(json!({ "execute": "qmp_capabilities", "id": id }).to_string().as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn everything_that_can_be_sent_is_a_question() {
        let path = "/machine/peripheral/virtio0/virtio-backend\"}\n{\"execute\": \"stop".to_owned();
        let all = [
            Query::Status,
            Query::Name,
            Query::BlockStats,
            Query::Block,
            Query::Virtio,
            Query::VirtioQueueStatus { path, queue: 2 },
        ];
        for query in all {
            // A new variant does not compile here until it is listed above.
            match query {
                Query::Status | Query::Name | Query::BlockStats | Query::Block => {}
                Query::Virtio | Query::VirtioQueueStatus { .. } => {}
            }
            assert!(query.command().starts_with("query-") || query.command().starts_with("x-query-"), "{query:?}");
            let mut line = Vec::new();
            query.write(7, &mut line);
            // One line, one command, whatever QEMU calls its devices.
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let request: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
            assert_eq!(request["execute"], query.command());
            assert_eq!(request["id"], 7);
        }
    }
}
