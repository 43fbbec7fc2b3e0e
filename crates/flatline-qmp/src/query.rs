//! The commands this client knows.

use serde::Serialize;
use std::sync::Arc;

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
    /// The threads disks are served by.
    Iothreads,
    /// The virtio devices (QEMU 7.2 and newer).
    Virtio,
    /// One queue of a virtio device (QEMU 7.2 and newer).
    VirtioQueueStatus {
        /// The device, as [`Query::Virtio`] names it.
        path: Arc<str>,
        /// The queue, from 0.
        queue: u16,
    },
}

impl Query {
    /// The questions of every visit; those about queues depend on the answers.
    pub const ALWAYS: [Self; 6] =
        [Self::Status, Self::Name, Self::BlockStats, Self::Block, Self::Iothreads, Self::Virtio];

    /// The command on the wire.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self {
            Self::Status => "query-status",
            Self::Name => "query-name",
            Self::BlockStats => "query-blockstats",
            Self::Block => "query-block",
            Self::Iothreads => "query-iothreads",
            Self::Virtio => "x-query-virtio",
            Self::VirtioQueueStatus { .. } => "x-query-virtio-queue-status",
        }
    }

    /// Appends the request as a line; QEMU repeats `id` in its answer.
    pub(crate) fn write(&self, id: usize, out: &mut Vec<u8>) {
        let arguments = match self {
            Self::VirtioQueueStatus { path, queue } => Some(Arguments { path, queue: *queue }),
            _ => None,
        };
        Request { execute: self.command(), arguments, id }.write(out);
    }
}

/// Appends the end of the negotiation. No capability is asked for: out-of-band commands would only be needed to hold
/// a connection for good.
pub(crate) fn write_capabilities(id: usize, out: &mut Vec<u8>) {
    Request { execute: "qmp_capabilities", arguments: None, id }.write(out);
}

#[derive(Serialize)]
struct Request<'a> {
    execute: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments<'a>>,
    id: usize,
}

#[derive(Serialize)]
struct Arguments<'a> {
    path: &'a str,
    queue: u16,
}

impl Request<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(&mut *out, self);
        debug_assert!(written.is_ok(), "text and numbers always become JSON, and a vector takes every byte");
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, write_capabilities};
    use serde_json::{Value, json};

    #[test]
    fn everything_that_can_be_sent_is_a_question() {
        let path = "/machine/peripheral/virtio0/virtio-backend\"}\n{\"execute\": \"stop";
        let queue = Query::VirtioQueueStatus { path: path.into(), queue: 2 };
        for query in Query::ALWAYS.into_iter().chain([queue]) {
            // A new variant does not compile here until it is in one of the two lists.
            match query {
                Query::Status | Query::Name | Query::BlockStats | Query::Block | Query::Iothreads | Query::Virtio => {
                    assert!(Query::ALWAYS.contains(&query));
                }
                Query::VirtioQueueStatus { .. } => {}
            }
            assert!(query.command().starts_with("query-") || query.command().starts_with("x-query-"), "{query:?}");
            let mut line = Vec::new();
            query.write(7, &mut line);
            // One line, one command, whatever QEMU calls its devices.
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let request: Value = serde_json::from_slice(&line).expect("JSON");
            assert_eq!(request["execute"], query.command());
            assert_eq!(request["id"], 7);
        }
    }

    #[test]
    fn a_queue_is_named_by_its_device_and_number() {
        let mut line = Vec::new();
        Query::VirtioQueueStatus { path: "/machine/a\"b".into(), queue: 3 }.write(1, &mut line);
        let request: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(request["arguments"], json!({ "path": "/machine/a\"b", "queue": 3 }));
    }

    #[test]
    fn the_negotiation_asks_for_no_capability() {
        let mut line = Vec::new();
        write_capabilities(0, &mut line);
        let request: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(request, json!({ "execute": "qmp_capabilities", "id": 0 }));
    }
}
