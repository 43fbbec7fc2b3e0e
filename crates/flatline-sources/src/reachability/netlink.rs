//! One question to the kernel over a netlink socket (netlink(7)).
//!
//! The messages are `netlink-packet-*`'s; the socket is opened for one question and closed after it, so that nothing
//! can be left in it. The kernel may let us wait for locks of the network configuration, so nobody asks who can't wait.

use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt,
};
use std::time::Duration;

/// The kernel writes at most this much at once into a buffer that is large enough.
const BUFFER: usize = 64 << 10;
/// Answers in one dialogue; a kernel that says more is not listened to.
const MAX_MESSAGES: usize = 100_000;
/// Everything is answered within the call that asks; this is for kernels that forget to.
const SILENCE: Duration = Duration::from_secs(2);

/// The kernel has no greater one (`MAX_ERRNO`).
const LAST_ERRNO: i32 = 4095;

/// Asks and hands over each answer. With `NLM_F_DUMP` among the flags there are many and an end, else one.
pub(super) fn ask<M>(protocol: Option<Protocol>, flags: u16, question: M, take: &mut dyn FnMut(M)) -> Result<(), Errno>
where
    M: NetlinkSerializable + NetlinkDeserializable,
{
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(SILENCE))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &bytes(flags, question), SendFlags::empty(), &kernel)?;
    let mut buffer = vec![0; BUFFER];
    let mut left = MAX_MESSAGES;
    loop {
        let (_, length) = recv(&socket, &mut buffer[..], RecvFlags::TRUNC)?;
        let datagram = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
        if !messages(datagram, flags, &mut left, take)? {
            return Ok(());
        }
    }
}

fn bytes<M: NetlinkSerializable>(flags: u16, question: M) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Takes the messages of one datagram; whether more datagrams follow.
pub(super) fn messages<M: NetlinkDeserializable>(
    mut datagram: &[u8],
    flags: u16,
    left: &mut usize,
    take: &mut dyn FnMut(M),
) -> Result<bool, Errno> {
    while !datagram.is_empty() {
        *left = left.checked_sub(1).ok_or(Errno::OVERFLOW)?;
        let message = NetlinkMessage::<M>::deserialize(datagram).map_err(|_| Errno::BADMSG)?;
        let length = usize::try_from(message.header.length).map_err(|_| Errno::BADMSG)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(false),
            NetlinkPayload::Error(error) => {
                return match error.code.map_or(0, |code| code.get().wrapping_neg()) {
                    0 => Ok(false),
                    code @ 1..=LAST_ERRNO => Err(Errno::from_raw_os_error(code)),
                    _ => Err(Errno::BADMSG),
                };
            }
            NetlinkPayload::InnerMessage(answer) => take(answer),
            _ => {}
        }
        // Messages are aligned to four bytes.
        datagram = datagram.get(length.max(16).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(flags & netlink_packet_core::NLM_F_DUMP == netlink_packet_core::NLM_F_DUMP)
}

/// Whatever the kernel, or somebody who plays it, answers: no more messages than there are headers.
#[cfg(fuzzing)]
pub fn fuzz(datagram: &[u8]) {
    use netlink_packet_core::NLM_F_DUMP;
    let (mut sockets, mut routes, mut left) = (0, 0, MAX_MESSAGES);
    let _ = messages(datagram, NLM_F_DUMP, &mut left, &mut |_: netlink_packet_sock_diag::SockDiagMessage| sockets += 1);
    let _ = messages(datagram, 0, &mut left, &mut |_: netlink_packet_route::RouteNetlinkMessage| routes += 1);
    assert!(sockets.max(routes) <= datagram.len() / 16);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_none_is_a_bad_message() {
        let refused = |code: i32| {
            let mut datagram = vec![36, 0, 0, 0, 2, 0, 0, 0];
            datagram.extend([[0; 8].as_slice(), &code.to_ne_bytes(), &[16, 0, 0, 0, 30, 0, 1, 0], &[0; 8]].concat());
            messages(&datagram, 0, &mut 9, &mut |_: netlink_packet_route::RouteNetlinkMessage| {})
        };
        assert_eq!((refused(-2), refused(0)), (Err(Errno::NOENT), Ok(false)));
        for code in [2, -4096, i32::MIN] {
            assert_eq!(refused(code), Err(Errno::BADMSG), "{code}");
        }
    }
}
