//! What has been received. Pure: packets in, numbers and lines to keep out.

use super::Sender;
use flatline_events::kmsg::Record;
use flatline_events::netconsole::{Fragments, Packet, Sequence, record, text_line};
use flatline_events::{Classifier, Kind, Line, Source};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// netconsole cuts at 1000 bytes and adds a header.
pub(super) const MAX_PACKET_BYTES: usize = 2048;
/// How many seconds' worth may come at once: a dying kernel says everything at once.
const BURST_SECONDS: f64 = 5.0;

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    UnknownSender,
    RateLimited,
    TooLong,
    Malformed,
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::UnknownSender, Self::RateLimited, Self::TooLong, Self::Malformed];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::UnknownSender => "unknown_sender",
            Self::RateLimited => "rate_limited",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
        }
    }
}

/// What each sender may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) packets_per_second: f64,
    pub(super) bytes_per_second: f64,
}

/// What a scrape shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    pub(super) senders: Vec<Heard>,
    pub(super) rejected: [u64; Reason::ALL.len()],
    /// Of the kernel, which did not wait for us.
    pub(super) dropped: Option<u64>,
}

/// What one sender has said.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) name: String,
    pub(super) messages: u64,
    pub(super) events: [u64; Kind::ALL.len()],
    /// When each was last told, Unix time; of those that were.
    pub(super) told: [f64; Kind::ALL.len()],
    /// Unix time.
    pub(super) last: Option<f64>,
    /// Known of the extended format only.
    pub(super) lost: Option<u64>,
    pub(super) kept_bytes: Option<u64>,
    pub(super) unkept: u64,
}

/// Everything known of the senders.
#[derive(Debug)]
pub(super) struct Tally {
    limits: Limits,
    sessions: Vec<Session>,
    pub(super) received: Received,
}

/// What must be remembered of a sender from packet to packet.
#[derive(Debug)]
struct Session {
    address: IpAddr,
    packets: Bucket,
    bytes: Bucket,
    fragments: Fragments,
    sequence: Sequence,
    /// The last packet ended within a line: the next one begins in the middle.
    within_line: bool,
}

#[derive(Debug)]
struct Bucket {
    level: f64,
    filled: Instant,
}

impl Bucket {
    fn new(rate: f64, now: Instant) -> Self {
        Self { level: rate * BURST_SECONDS, filled: now }
    }

    fn fill(&mut self, rate: f64, now: Instant) {
        let since = now.saturating_duration_since(self.filled);
        self.level = (self.level + since.as_secs_f64() * rate).min(rate * BURST_SECONDS);
        self.filled = now;
    }
}

/// When a packet came: by the clock that is never set, and by the wall's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// Since 1970.
    pub(super) wall: Duration,
}

impl Tally {
    pub(super) fn new(senders: &[Sender], limits: Limits, now: Instant) -> Self {
        let session = |sender: &Sender| Session {
            address: sender.address,
            packets: Bucket::new(limits.packets_per_second, now),
            bytes: Bucket::new(limits.bytes_per_second, now),
            fragments: Fragments::default(),
            sequence: Sequence::default(),
            within_line: false,
        };
        let heard = |sender: &Sender| Heard {
            name: sender.name.clone(),
            messages: 0,
            events: [0; Kind::ALL.len()],
            told: [0.0; Kind::ALL.len()],
            last: None,
            lost: None,
            kept_bytes: None,
            unkept: 0,
        };
        let received =
            Received { senders: senders.iter().map(heard).collect(), rejected: [0; Reason::ALL.len()], dropped: None };
        Self { limits, sessions: senders.iter().map(session).collect(), received }
    }

    /// Counts a packet; each of its messages goes to `keep`, with the number of its sender. The packet may be cut at
    /// one byte more than [`MAX_PACKET_BYTES`].
    pub(super) fn take(
        &mut self,
        packet: &[u8],
        from: IpAddr,
        arrival: Arrival,
        classifier: &Classifier,
        keep: impl FnMut(usize, &str),
    ) {
        if let Err(reason) = self.try_take(packet, from, arrival, classifier, keep) {
            self.received.rejected[reason as usize] += 1;
        }
    }

    fn try_take(
        &mut self,
        packet: &[u8],
        from: IpAddr,
        arrival: Arrival,
        classifier: &Classifier,
        mut keep: impl FnMut(usize, &str),
    ) -> Result<(), Reason> {
        let from = from.to_canonical();
        let sender = self.sessions.iter().position(|session| session.address == from).ok_or(Reason::UnknownSender)?;
        let (session, heard) = (&mut self.sessions[sender], &mut self.received.senders[sender]);
        session.admit(packet.len(), self.limits, arrival.at)?;
        if packet.len() > MAX_PACKET_BYTES {
            return Err(Reason::TooLong);
        }
        let wall = arrival.wall.as_secs_f64();
        let joined;
        let raw = match Packet::parse(packet).map_err(|_| Reason::Malformed)? {
            Packet::Text(text) => {
                heard.last = Some(wall);
                session.take_text(text, heard, classifier, |line| keep(sender, line));
                return Ok(());
            }
            Packet::Record(raw) => raw,
            Packet::Fragment(fragment) => {
                heard.lose(session.sequence.take(fragment.sequence()));
                joined = session.fragments.join(&fragment, arrival.at);
                heard.lose(session.fragments.expire(arrival.at));
                heard.last = Some(wall);
                let Some(joined) = &joined else { return Ok(()) };
                joined
            }
        };
        let record = record(raw).map_err(|_| Reason::Malformed)?;
        heard.last = Some(wall);
        heard.lose(session.sequence.take(record.sequence));
        heard.take_record(&record, classifier);
        keep(sender, &record.text);
        Ok(())
    }

    /// Gives up fragments that have waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        for (session, heard) in self.sessions.iter_mut().zip(&mut self.received.senders) {
            let given_up = session.fragments.expire(now);
            if given_up > 0 {
                heard.lose(given_up);
            }
        }
    }
}

impl Session {
    fn admit(&mut self, bytes: usize, limits: Limits, now: Instant) -> Result<(), Reason> {
        #[expect(clippy::cast_precision_loss, reason = "a packet has at most 64 KiB")]
        let bytes = bytes as f64;
        self.packets.fill(limits.packets_per_second, now);
        self.bytes.fill(limits.bytes_per_second, now);
        if self.packets.level < 1.0 || self.bytes.level < bytes {
            return Err(Reason::RateLimited);
        }
        self.packets.level -= 1.0;
        self.bytes.level -= bytes;
        Ok(())
    }

    /// The middle of a line is kept but never judged: what it begins with may have been chosen to look like an event.
    fn take_text(&mut self, text: &[u8], heard: &mut Heard, classifier: &Classifier, mut keep: impl FnMut(&str)) {
        let ended = text.ends_with(b"\n");
        let mut continued = std::mem::replace(&mut self.within_line, !ended);
        for line in text.split(|byte| *byte == b'\n') {
            let line = text_line(line);
            if !line.text.trim_ascii().is_empty() {
                if !continued {
                    heard.messages += 1;
                    let facility = line.priority.map(|priority| u8::try_from(priority >> 3).unwrap_or(u8::MAX));
                    heard.classify(&line.text, facility, classifier);
                }
                keep(&line.text);
            }
            continued = false;
        }
    }
}

impl Heard {
    fn lose(&mut self, messages: u64) {
        let lost = self.lost.get_or_insert(0);
        *lost = lost.saturating_add(messages);
    }

    fn take_record(&mut self, record: &Record<'_>, classifier: &Classifier) {
        self.messages += 1;
        self.classify(&record.text, Some(record.facility), classifier);
    }

    fn classify(&mut self, text: &str, facility: Option<u8>, classifier: &Classifier) {
        let line = Line { text, source: Source::Kmsg, facility, priority: None, ident: None };
        if let Some(event) = classifier.classify(&line) {
            let kind = event.kind.index();
            self.events[kind] = self.events[kind].saturating_add(event.count);
            self.told[kind] = self.last.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Limits, MAX_PACKET_BYTES, Reason, Sender, Tally};
    use flatline_events::{Classifier, Kind};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    const LIMITS: Limits = Limits { packets_per_second: 2.0, bytes_per_second: 2048.0 };
    const KNOWN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
    const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 6));

    struct Play {
        tally: Tally,
        classifier: Classifier,
        arrival: Arrival,
        kept: Vec<String>,
    }

    impl Play {
        fn new() -> Self {
            let arrival = Arrival { at: Instant::now(), wall: Duration::from_secs(1_000_000) };
            let sender = Sender { name: "a".to_owned(), address: KNOWN };
            let tally = Tally::new(&[sender], LIMITS, arrival.at);
            Self { tally, classifier: Classifier::new().expect("the tables"), arrival, kept: Vec::new() }
        }

        fn send(&mut self, packet: &[u8], from: IpAddr) {
            let kept = &mut self.kept;
            self.tally.take(packet, from, self.arrival, &self.classifier, |_, line| kept.push(line.to_owned()));
        }

        fn panics(&self) -> u64 {
            self.tally.received.senders[0].events[Kind::KernelPanic.index()]
        }

        fn rejected(&self, reason: Reason) -> u64 {
            self.tally.received.rejected[reason as usize]
        }
    }

    #[test]
    fn the_middle_of_a_line_is_kept_but_not_judged() {
        let mut play = Play::new();
        play.send(b"[ 1.0] name: ", KNOWN);
        play.send(b"Kernel panic - not syncing: forged\n", KNOWN);
        assert_eq!(play.panics(), 0);
        play.send(b"[ 1.5] Kernel panic - not syncing: real\n[ 1.6] second\n", KNOWN);
        assert_eq!((play.panics(), play.tally.received.senders[0].messages), (1, 3));
        assert_eq!(play.kept.len(), 4);
        assert_eq!(play.tally.received.senders[0].lost, None, "the basic format does not number its lines");
    }

    #[test]
    fn a_program_can_not_pass_for_the_kernel() {
        let mut play = Play::new();
        play.send(b"<8>Kernel panic - not syncing: by a program\n", KNOWN);
        play.send(b"12,1,1,-;Kernel panic - not syncing: by a program", KNOWN);
        assert_eq!(play.panics(), 0);
        play.send(b"<0>Kernel panic - not syncing: really\n", KNOWN);
        assert_eq!(play.panics(), 1);
    }

    #[test]
    fn every_packet_is_taken_or_refused_for_one_reason() {
        let mut play = Play::new();
        play.send(b"6,1,1,-;x", FOREIGN);
        play.send(&vec![b'x'; MAX_PACKET_BYTES + 1], KNOWN);
        play.send(b"\0", KNOWN);
        play.send(b"99999,1,1,-;x", KNOWN);
        play.send(b"6,1,1,-,ncfrag=9/1;x", KNOWN);
        let counts = Reason::ALL.map(|reason| play.rejected(reason));
        assert_eq!(counts, [1, 0, 1, 3]);
        assert_eq!((play.tally.received.senders[0].last, play.kept.len()), (None, 0));
    }

    #[test]
    fn a_flood_is_cut_and_the_sender_heard_again_later() {
        let mut play = Play::new();
        for number in 0..100 {
            play.send(format!("6,{number},1,-;x").as_bytes(), KNOWN);
        }
        assert_eq!((play.kept.len(), play.rejected(Reason::RateLimited)), (10, 90));
        play.arrival.at += Duration::from_secs(1);
        for number in 100..110 {
            play.send(format!("6,{number},1,-;x").as_bytes(), KNOWN);
        }
        assert_eq!(play.kept.len(), 12);
        assert_eq!(play.tally.received.senders[0].lost, Some(90));
        play.arrival.at += Duration::from_secs(3600);
        for _ in 0..10 {
            play.send(&[b'x'; 2000], KNOWN);
        }
        assert_eq!(play.kept.len(), 17, "five of 2000 bytes, then the bytes are used up");
    }

    #[test]
    fn a_forged_number_is_no_loss() {
        let mut play = Play::new();
        for number in [1, u64::MAX - 1, 2, u64::MAX - 1, 4] {
            play.send(format!("6,{number},1,-;x").as_bytes(), KNOWN);
        }
        assert_eq!(play.tally.received.senders[0].lost, Some(0));
        // However it came to be so high, it does not wrap.
        play.tally.received.senders[0].lost = Some(u64::MAX);
        play.send(b"6,6,1,-;x", KNOWN);
        assert_eq!(play.tally.received.senders[0].lost, Some(u64::MAX));
    }

    #[test]
    fn a_record_in_fragments_is_one_message_and_a_lost_one_when_it_stays_incomplete() {
        let mut play = Play::new();
        play.send(b"0,7,1,-,ncfrag=12/35; - not syncing: test!!", KNOWN);
        play.send(b"0,7,1,-,ncfrag=0/35;Kernel panic", KNOWN);
        assert_eq!((play.panics(), play.kept.len()), (0, 0), "a byte is missing");
        play.send(b"0,7,1,-,ncfrag=34/35;!", KNOWN);
        assert_eq!((play.panics(), play.tally.received.senders[0].lost), (1, Some(0)));
        assert_eq!(play.kept, ["Kernel panic - not syncing: test!!!"]);
        play.send(b"0,8,1,-,ncfrag=0/33;half", KNOWN);
        play.tally.expire(play.arrival.at + Duration::from_secs(60));
        assert_eq!(play.tally.received.senders[0].lost, Some(1));
    }
}
