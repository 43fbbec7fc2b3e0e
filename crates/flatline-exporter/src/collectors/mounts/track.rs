//! What is known of one mount between readings.

use flatline_sources::mounts::{Answer, Unasked};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// What came back from a mount.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// Where it was asked.
    pub(super) mountpoint: PathBuf,
    pub(super) answer: Answer,
    pub(super) asked: Instant,
    pub(super) took: Duration,
    pub(super) at: SystemTime,
}

/// What is said of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// What it last answered, and no question has been open for too long.
    Answer(Answer),
    /// It has not answered for too long.
    Hung,
    /// Other mounts lie over it.
    Hidden,
    /// It is not asked because autofs would keep it then.
    Automounted,
    /// It has not been asked, or only just now.
    NotAsked,
}

impl State {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let answers = Answer::ALL.into_iter().map(Self::Answer);
        answers.chain([Self::Hung, Self::Hidden, Self::Automounted, Self::NotAsked])
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Answer(answer) => answer.label(),
            Self::Hung => "hung",
            Self::Hidden => "hidden",
            Self::Automounted => "automounted",
            Self::NotAsked => "not_asked",
        }
    }

    /// `None` when it can't be known.
    pub(super) const fn is_responding(self) -> Option<bool> {
        match self {
            Self::Answer(answer) => answer.is_responding(),
            Self::Hung => Some(false),
            Self::Hidden | Self::Automounted | Self::NotAsked => None,
        }
    }
}

/// One mount's history.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Since when the question has been open that it has not answered.
    asked: Option<Instant>,
    /// When the first question was asked of those that it has answered with an error only, and late: a soft mount lets
    /// everybody wait, errs, and lets them wait again.
    in_vain: Option<Instant>,
    /// Its latest answer; none when it was not asked after that for want of a thread.
    last: Option<Reply>,
    /// When it last answered with its figures.
    answered: Option<SystemTime>,
}

impl Track {
    /// `timeout` is from where on an answer is late.
    pub(super) fn replied(&mut self, reply: Reply, timeout: Duration) {
        let in_vain = reply.answer.is_responding() == Some(false) && reply.took >= timeout;
        self.in_vain = in_vain.then(|| self.in_vain.unwrap_or(reply.asked));
        self.asked = None;
        if reply.answer == Answer::Answered {
            self.answered = Some(reply.at);
        }
        self.last = Some(reply);
    }

    /// After a round that began at that time: whether a question is open.
    pub(super) fn is_out(&mut self, out: bool, round: Instant) {
        self.asked = out.then(|| self.asked.unwrap_or(round));
    }

    /// There was no thread to ask it: what it said earlier says nothing about now.
    pub(super) fn was_not_asked(&mut self) {
        (self.asked, self.in_vain, self.last) = (None, None, None);
    }

    /// For how long it has let everybody wait in vain.
    pub(super) fn stuck(&self, now: Instant) -> Duration {
        self.in_vain.or(self.asked).map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    pub(super) fn last(&self) -> Option<&Reply> {
        self.last.as_ref()
    }

    pub(super) fn answered(&self) -> Option<SystemTime> {
        self.answered
    }

    /// A question that has only just been asked changes nothing yet: a server at the end of a slow line is no dead one.
    pub(super) fn state(&self, unasked: Option<Unasked>, now: Instant, timeout: Duration) -> State {
        match (unasked, &self.last) {
            (Some(Unasked::Hidden), _) => State::Hidden,
            (Some(Unasked::Automounted), _) => State::Automounted,
            (None, _) if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) >= timeout) => State::Hung,
            (None, Some(reply)) => State::Answer(reply.answer),
            (None, None) => State::NotAsked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn reply(answer: Answer) -> Reply {
        Reply {
            mountpoint: PathBuf::from("/m"),
            answer,
            asked: Instant::now(),
            took: Duration::from_millis(3),
            at: SystemTime::UNIX_EPOCH,
        }
    }

    fn late(answer: Answer, asked: Instant) -> Reply {
        Reply { asked, took: Duration::from_secs(18), ..reply(answer) }
    }

    #[test]
    fn a_mount_hangs_and_comes_back() {
        let mut track = Track::default();
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let state = |track: &Track, now| track.state(None, now, TIMEOUT);
        assert_eq!(state(&track, begun), State::NotAsked);
        track.is_out(true, begun);
        assert_eq!((state(&track, begun), track.stuck(begun)), (State::NotAsked, Duration::ZERO));
        // The age counts from the first round, whatever comes after.
        track.is_out(true, after(15));
        assert_eq!((state(&track, after(15)), track.stuck(after(15))), (State::Hung, Duration::from_secs(15)));
        assert_eq!(track.answered(), None);
        track.replied(reply(Answer::Answered), TIMEOUT);
        track.is_out(false, after(30));
        assert_eq!(
            (state(&track, after(30)), track.stuck(after(30))),
            (State::Answer(Answer::Answered), Duration::ZERO)
        );
        assert!(track.answered().is_some());
        // Slow, but not for too long: what it said before still holds.
        track.is_out(true, after(40));
        assert_eq!(state(&track, after(40)), State::Answer(Answer::Answered));
        assert_eq!(state(&track, after(42)), State::Hung);
        track.was_not_asked();
        assert_eq!((state(&track, after(42)), track.last().is_none()), (State::NotAsked, true), "old is not now");
        track.replied(reply(Answer::NoConnection), TIMEOUT);
        assert_eq!(state(&track, after(43)), State::Answer(Answer::NoConnection));
        assert!(track.answered().is_some(), "an error is no answer with figures and takes none away");
    }

    /// As an SMB mount did whose server was stopped: 45 s without an answer, EHOSTDOWN, and again every 18 s.
    #[test]
    fn a_soft_mount_that_errs_late_goes_on_hanging() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let told = |track: &Track, now| (track.state(None, now, TIMEOUT), track.stuck(now).as_secs());
        let mut track = Track::default();
        track.is_out(true, begun);
        track.replied(late(Answer::NoConnection, begun), TIMEOUT);
        track.is_out(true, after(60));
        assert_eq!(told(&track, after(60)), (State::Answer(Answer::NoConnection), 60));
        assert_eq!(told(&track, after(75)), (State::Hung, 75));
        track.replied(late(Answer::TimedOut, after(60)), TIMEOUT);
        assert_eq!(told(&track, after(90)), (State::Answer(Answer::TimedOut), 90));
        // Whoever fails at once keeps nobody waiting.
        track.is_out(true, after(90));
        track.replied(reply(Answer::NoConnection), TIMEOUT);
        assert_eq!(told(&track, after(105)), (State::Answer(Answer::NoConnection), 0));
        // Nor does one that is slow and works.
        track.is_out(true, after(105));
        track.replied(late(Answer::Answered, after(105)), TIMEOUT);
        assert_eq!(told(&track, after(120)), (State::Answer(Answer::Answered), 0));
    }

    #[test]
    fn what_is_not_asked_is_neither_well_nor_ill() {
        let track = Track::default();
        let state = |unasked| track.state(unasked, Instant::now(), TIMEOUT);
        for unasked in [None, Some(Unasked::Hidden), Some(Unasked::Automounted)] {
            assert_eq!(state(unasked).is_responding(), None);
        }
    }

    #[test]
    fn labels_are_those_of_the_catalogue() {
        let mut labels: Vec<_> = State::all().map(State::label).collect();
        let mut declared: Vec<_> = flatline_catalog::mounts::STATE.bound.split(", ").collect();
        labels.sort_unstable();
        declared.sort_unstable();
        assert_eq!(labels, declared);
    }
}
