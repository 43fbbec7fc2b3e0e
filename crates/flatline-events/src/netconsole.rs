//! Packets of netconsole, as `Documentation/networking/netconsole.rst` and `drivers/net/netconsole.c` define them.
//!
//! The basic format is text as a console shows it. The extended format is a record of `/dev/kmsg`, with the kernel's
//! release before it if the sender says so, and in fragments (`ncfrag=<offset>/<bytes in all>`) if it is long.

use crate::kmsg::{Record, RecordError};
use std::str;
use std::time::{Duration, Instant};

/// The longest record a sender can make (`CONSOLE_EXT_LOG_MAX`, 8 KiB, and user data of as much).
const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// Records of one sender that wait for fragments at the same time.
const MAX_PENDING: usize = 4;
/// Fragments follow each other at once; what is later is lost.
const PENDING_FOR: Duration = Duration::from_secs(5);
/// Packets overtake each other by less than this; a sequence number further back is of another boot.
const LATE_BY: u64 = 64;
/// No network is down for so many messages of a kernel: a number further ahead is a forged one's, or of another boot.
const MAX_GAP: u64 = 1_000_000;

/// What one packet holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Basic format: one line or more, the last of which may be cut.
    Text(&'a [u8]),
    /// Extended format: a whole record, to be read with [`record`].
    Record(&'a [u8]),
    /// Extended format: a part of a record.
    Fragment(Fragment<'a>),
}

/// A part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment<'a> {
    header: &'a [u8],
    sequence: u64,
    offset: usize,
    total: usize,
    part: &'a [u8],
}

/// Why a packet is none of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Nothing in it, or bytes no console shows.
    #[error("the packet holds no text")]
    NoText,
    /// The fragment lies outside of its record, or the record is longer than any.
    #[error("the fragment's place in its record is impossible")]
    Fragment,
}

impl<'a> Packet<'a> {
    /// Tells the format of a packet.
    ///
    /// # Errors
    /// [`PacketError`] if no kernel sends such a packet.
    pub fn parse(packet: &'a [u8]) -> Result<Self, PacketError> {
        let Some((header, body)) = extended(packet) else {
            let text = !packet.trim_ascii().is_empty() && !packet.contains(&0);
            return if text { Ok(Self::Text(packet)) } else { Err(PacketError::NoText) };
        };
        let Some(place) = header.split(|byte| *byte == b',').find_map(|field| field.strip_prefix(b"ncfrag=")) else {
            return Ok(Self::Record(packet));
        };
        let fragment = fragment(header, place, body).ok_or(PacketError::Fragment)?;
        Ok(Self::Fragment(fragment))
    }
}

fn fragment<'a>(header: &'a [u8], place: &[u8], part: &'a [u8]) -> Option<Fragment<'a>> {
    let (offset, total) = str::from_utf8(place).ok()?.split_once('/')?;
    let (offset, total): (usize, usize) = (offset.parse().ok()?, total.parse().ok()?);
    let sequence = without_release(header).split(|byte| *byte == b',').nth(1).and_then(number)?;
    let fits = !part.is_empty() && total <= MAX_MESSAGE_BYTES && offset.checked_add(part.len())? <= total;
    fits.then_some(Fragment { header, sequence, offset, total, part })
}

/// Header and body of a packet in extended format: `[release,]priority,sequence,microseconds,flags...;body`.
fn extended(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = packet.iter().position(|byte| *byte == b';')?;
    let header = &packet[..end];
    let mut fields = without_release(header).split(|byte| *byte == b',');
    let numbers = fields.by_ref().take(3).filter_map(number).count();
    let complete = numbers == 3 && fields.next().is_some();
    complete.then_some((header, &packet[end + 1..]))
}

/// The release is the only first field that is not a number.
fn without_release(header: &[u8]) -> &[u8] {
    let first = header.iter().position(|byte| *byte == b',');
    match first {
        Some(comma) if number(&header[..comma]).is_none() => &header[comma + 1..],
        _ => header,
    }
}

fn number(field: &[u8]) -> Option<u64> {
    field.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(field).ok()?.parse().ok()).flatten()
}

/// Reads a record in extended format, whole or joined.
///
/// # Errors
/// [`RecordError`] if its header is incomplete.
pub fn record(packet: &[u8]) -> Result<Record<'_>, RecordError> {
    Record::parse(without_release(packet))
}

/// A line of the basic format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLine<'a> {
    /// The syslog priority, if the sender's console writes it (`console_msg_format=syslog`).
    pub priority: Option<u64>,
    /// What was said, without priority, time and caller. Bytes that are no UTF-8 become U+FFFD.
    pub text: std::borrow::Cow<'a, str>,
}

/// Reads a line of the basic format: `[<priority>][\[ seconds\][\[ caller\]] ]text`.
#[must_use]
pub fn text_line(line: &[u8]) -> TextLine<'_> {
    let (priority, rest) = priority(line).map_or((None, line), |(priority, rest)| (Some(priority), rest));
    let rest = after_time(rest).unwrap_or(rest);
    TextLine { priority, text: String::from_utf8_lossy(rest) }
}

fn priority(line: &[u8]) -> Option<(u64, &[u8])> {
    let rest = line.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>').filter(|end| *end > 0)?;
    Some((number(&rest[..end])?, &rest[end + 1..]))
}

/// What follows `[   12.345678] ` or `[   12.345678][    T1] `.
fn after_time(line: &[u8]) -> Option<&[u8]> {
    let (time, rest) = bracketed(line)?;
    let point = time.iter().position(|byte| *byte == b'.')?;
    (number(&time[..point]).is_some() && number(&time[point + 1..]).is_some()).then_some(())?;
    let rest = bracketed(rest).filter(|(caller, _)| is_caller(caller)).map_or(rest, |(_, rest)| rest);
    rest.strip_prefix(b" ").or(rest.is_empty().then_some(rest))
}

/// A task (`T12`) or a processor (`C3`), with `CONFIG_PRINTK_CALLER`.
fn is_caller(caller: &[u8]) -> bool {
    matches!(caller.split_first(), Some((b'T' | b'C', digits)) if !digits.is_empty() && number(digits).is_some())
}

fn bracketed(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().take(32).position(|byte| *byte == b']')?;
    Some((rest[..end].trim_ascii_start(), &rest[end + 1..]))
}

/// The records of one sender that wait for their other fragments. Bounded in number, size and time.
#[derive(Debug, Default)]
pub struct Fragments {
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    sequence: u64,
    since: Instant,
    /// The header of the fragment that came first, a `;`, and room for the body.
    record: Vec<u8>,
    body_at: usize,
    received: Vec<bool>,
}

impl Fragments {
    /// Takes a fragment; returns the record when it was the last one missing. Fragments come in any order.
    pub fn join(&mut self, fragment: &Fragment<'_>, now: Instant) -> Option<Vec<u8>> {
        let same =
            |pending: &Pending| pending.sequence == fragment.sequence && pending.received.len() == fragment.total;
        let at = self.pending.iter().position(same).unwrap_or_else(|| {
            self.pending.push(Pending::new(fragment, now));
            self.pending.len() - 1
        });
        self.pending[at].fill(fragment);
        self.pending[at].received.iter().all(|received| *received).then(|| self.pending.remove(at).record)
    }

    /// Gives up records that have waited too long, the oldest of too many as well; returns how many.
    pub fn expire(&mut self, now: Instant) -> u64 {
        let before = self.pending.len();
        self.pending.retain(|pending| now.saturating_duration_since(pending.since) < PENDING_FOR);
        self.pending.drain(..self.pending.len().saturating_sub(MAX_PENDING));
        (before - self.pending.len()) as u64
    }
}

impl Pending {
    fn new(fragment: &Fragment<'_>, now: Instant) -> Self {
        let mut record = fragment.header.to_vec();
        record.push(b';');
        let body_at = record.len();
        record.resize(body_at + fragment.total, 0);
        let received = vec![false; fragment.total];
        Self { sequence: fragment.sequence, since: now, record, body_at, received }
    }

    fn fill(&mut self, fragment: &Fragment<'_>) {
        let body = self.body_at + fragment.offset;
        self.record[body..body + fragment.part.len()].copy_from_slice(fragment.part);
        self.received[fragment.offset..fragment.offset + fragment.part.len()].fill(true);
    }
}

impl Fragment<'_> {
    /// Which record it is a part of.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// The numbers of a sender's records.
#[derive(Debug, Default)]
pub struct Sequence {
    /// The number that comes next; none before the first.
    next: Option<u64>,
}

impl Sequence {
    /// Takes the number of a record, or of one of its fragments; returns how many before it are missing, none if that
    /// is more than can be believed. One that was overtaken is not missing any more, but it has been counted.
    pub fn take(&mut self, sequence: u64) -> u64 {
        let expected = self.next.unwrap_or(sequence);
        let late = sequence < expected && expected - sequence <= LATE_BY;
        if !late {
            self.next = Some(sequence.saturating_add(1));
        }
        Some(sequence.saturating_sub(expected)).filter(|gap| *gap <= MAX_GAP).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fragments, MAX_GAP, MAX_PENDING, PENDING_FOR, Packet, PacketError, Sequence, record, text_line};
    use proptest::prelude::*;
    use std::time::Instant;

    fn fragment<'a>(packet: &'a [u8]) -> super::Fragment<'a> {
        match Packet::parse(packet) {
            Ok(Packet::Fragment(fragment)) => fragment,
            other => panic!("{other:?} is no fragment"),
        }
    }

    #[test]
    fn a_record_may_have_the_release_before_it() {
        for packet in
            [&b"6,444,501151268,-;netconsole: started"[..], b"6.4.0-rc1,6,444,501151268,-;netconsole: started"]
        {
            assert_eq!(Packet::parse(packet), Ok(Packet::Record(packet)));
            let record = record(packet).expect("a record");
            assert_eq!((record.facility, record.level, record.sequence, record.usec), (0, 6, 444, 501_151_268));
            assert_eq!(record.text, "netconsole: started");
        }
    }

    #[test]
    fn text_is_told_from_records() {
        for text in [&b"[   12.5] a;b"[..], b"plain;text", b"a,b,c,d;e", b"1,2,x,-;e", b"6,1,2;no flags", b"<6>x"] {
            assert_eq!(Packet::parse(text), Ok(Packet::Text(text)));
        }
        for none in [&b""[..], b" \n", b"\0\x01binary"] {
            assert_eq!(Packet::parse(none), Err(PacketError::NoText));
        }
    }

    #[test]
    fn a_console_s_line_loses_priority_time_and_caller() {
        let read = |line: &'static str| {
            let line = text_line(line.as_bytes());
            (line.priority, line.text.into_owned())
        };
        assert_eq!(read("[    1.234567] Kernel panic"), (None, "Kernel panic".to_owned()));
        assert_eq!(read("<0>[    1.234567][   T12] Kernel panic"), (Some(0), "Kernel panic".to_owned()));
        assert_eq!(read("<28>systemd[1]: x"), (Some(28), "systemd[1]: x".to_owned()));
        assert_eq!(read("[drm] device [1.2.3] x"), (None, "[drm] device [1.2.3] x".to_owned()));
        assert_eq!(read("[  1.5] [drm] x"), (None, "[drm] x".to_owned()));
        assert_eq!(read("<x>[1.5]y"), (None, "<x>[1.5]y".to_owned()));
    }

    #[test]
    fn fragments_are_joined_in_any_order() {
        let parts: [&[u8]; 3] = [
            b"6,416,1758426,-,ncfrag=0/33;the first chunk,",
            b"6,416,1758426,-,ncfrag=16/33;the 2nd ",
            b"6,416,1758426,-,ncfrag=24/33;chunk end",
        ];
        let now = Instant::now();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let mut fragments = Fragments::default();
            let mut joined = order.map(|part| fragments.join(&fragment(parts[part]), now));
            let whole = joined[2].take().expect("complete");
            assert!(joined.iter().all(Option::is_none), "not before the last");
            assert_eq!(record(&whole).expect("a record").text, "the first chunk,the 2nd chunk end");
            assert_eq!(fragments.expire(now + PENDING_FOR), 0);
        }
    }

    #[test]
    fn fragments_that_never_come_are_given_up() {
        let now = Instant::now();
        let mut fragments = Fragments::default();
        for sequence in 0..2 * MAX_PENDING {
            let packet = format!("6,{sequence},1,-,ncfrag=0/1000;begin");
            assert_eq!(fragments.join(&fragment(packet.as_bytes()), now), None);
        }
        assert_eq!(fragments.expire(now), MAX_PENDING as u64);
        assert_eq!(fragments.expire(now + PENDING_FOR), MAX_PENDING as u64);
        assert!(fragments.pending.is_empty());
    }

    #[test]
    fn impossible_fragments_are_refused() {
        for place in ["30/33", "0/99999999", "18446744073709551615/33", "0", "x/33", "-1/33", "0/3"] {
            let packet = format!("6,416,1,-,ncfrag={place};four");
            assert_eq!(Packet::parse(packet.as_bytes()), Err(PacketError::Fragment), "{place}");
        }
        assert_eq!(Packet::parse(b"6,416,1,-,ncfrag=0/0;"), Err(PacketError::Fragment));
    }

    #[test]
    fn gaps_are_counted_but_not_reboots_and_what_was_overtaken() {
        let mut sequence = Sequence::default();
        let missing = [375, 376, 380, 378, 381, 5, 6, 8].map(|number| sequence.take(number));
        assert_eq!(missing, [0, 0, 3, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_gap_that_can_not_be_is_none() {
        let mut sequence = Sequence::default();
        let next = 6 + MAX_GAP;
        // Whoever forges a number harms the count no further: the true ones go on from where they are.
        let missing =
            [5, next, u64::MAX - 1, u64::MAX, 7, 9, 11 + MAX_GAP, 12 + MAX_GAP].map(|number| sequence.take(number));
        assert_eq!(missing, [0, MAX_GAP, 0, 0, 0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn arbitrary_packets_never_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20)) {
            let mut fragments = Fragments::default();
            for packet in &packets {
                let _ = text_line(packet);
                let _ = record(packet);
                if let Ok(Packet::Fragment(fragment)) = Packet::parse(packet) {
                    fragments.join(&fragment, Instant::now());
                }
            }
        }

        #[test]
        fn any_fragments_of_any_sender_stay_bounded(
            parts in prop::collection::vec((0u64..20, 0usize..20_000, 0usize..20_000, "[ -~]{0,50}"), 0..100)
        ) {
            let (mut fragments, now) = (Fragments::default(), Instant::now());
            for (sequence, offset, total, part) in &parts {
                let packet = format!("6,{sequence},1,-,ncfrag={offset}/{total};{part}");
                if let Ok(Packet::Fragment(fragment)) = Packet::parse(packet.as_bytes())
                    && let Some(whole) = fragments.join(&fragment, now)
                {
                    prop_assert_eq!(record(&whole).expect("a record").sequence, *sequence);
                }
                fragments.expire(now);
                prop_assert!(fragments.pending.len() <= MAX_PENDING);
            }
        }

        #[test]
        fn what_is_cut_anywhere_is_joined(text in "[ -:<-\\[\\]-~]{1,200}", size in 1usize..60, rotate in 0usize..60) {
            let mut packets: Vec<String> = text
                .as_bytes()
                .chunks(size)
                .enumerate()
                .map(|(n, part)| {
                    let part = std::str::from_utf8(part).expect("ASCII");
                    format!("6.4.0,6,7,8,c,ncfrag={}/{};{part}", n * size, text.len())
                })
                .collect();
            let rotate = rotate % packets.len();
            packets.rotate_left(rotate);
            let mut fragments = Fragments::default();
            let joined: Vec<Vec<u8>> =
                packets.iter().filter_map(|packet| fragments.join(&fragment(packet.as_bytes()), Instant::now())).collect();
            prop_assert_eq!(joined.len(), 1);
            prop_assert_eq!(record(&joined[0]).expect("a record").text, text);
        }
    }
}
