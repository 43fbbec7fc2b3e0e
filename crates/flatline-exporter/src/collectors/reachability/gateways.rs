//! What is known of the gateways between looks.

use crate::errands::Errands;
use flatline_sources::reachability::{Echo, Look, Neighbour, Route, look};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

/// However often it is scraped, a gateway is not asked more often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long an echo may take.
const ECHO_PATIENCE: Duration = Duration::from_secs(1);
/// A lost packet is no dead gateway.
const MISSES: u32 = 3;

/// A gateway on a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Gateway {
    pub(super) interface: String,
    pub(super) address: IpAddr,
}

/// What is known of one.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) neighbour: Option<Neighbour>,
    pub(super) answered: Option<SystemTime>,
    /// How long the answer to the last echo took; `None` when it was not answered, or none was needed.
    pub(super) echo: Option<Duration>,
    looked: Option<Instant>,
    /// Whether that look has come back.
    back: bool,
    /// Echoes in a row without an answer.
    misses: u32,
    /// Whether the last look said anything.
    says: bool,
}

impl Known {
    /// Whether it is alive; `None` when nothing is known.
    pub(super) fn is_responding(&self) -> Option<bool> {
        match self.neighbour {
            Some(Neighbour::Reachable) => Some(true),
            // Asked by the kernel, and silent; an echo that came back after that says better.
            Some(Neighbour::Failed) if self.misses > 0 || !self.says => Some(false),
            _ if self.misses >= MISSES => Some(false),
            _ => (self.says && self.answered.is_some()).then_some(true),
        }
    }

    /// It is looked for once more. Where the last look hangs, what was known before it is no news any more.
    fn look(&mut self, now: Instant) {
        if self.looked.replace(now).is_some() && !self.back {
            *self = Self { answered: self.answered, looked: self.looked, ..Self::default() };
        }
        self.back = false;
    }

    fn learn(&mut self, look: Look, now: SystemTime) {
        self.back = true;
        self.neighbour = look.neighbour;
        self.echo = None;
        self.says = true;
        match (look.neighbour, look.echo) {
            (_, Some(Echo::Answered(took))) => {
                self.echo = Some(took);
                self.alive(now);
            }
            (Some(Neighbour::Reachable), _) => self.alive(now),
            (_, Some(Echo::Silent)) => self.misses = self.misses.saturating_add(1),
            // Neither the kernel nor the gateway was asked.
            _ => self.says = false,
        }
    }

    fn alive(&mut self, now: SystemTime) {
        self.answered = Some(now);
        self.misses = 0;
    }
}

/// The gateways of the default routes.
#[derive(Debug)]
pub(super) struct Gateways {
    known: BTreeMap<Gateway, Known>,
    errands: Errands<Gateway, Look>,
    with_echo: bool,
    /// Whether echoes may be sent; `None` until one was tried.
    allowed: Option<bool>,
}

impl Gateways {
    pub(super) fn new(with_echo: bool) -> Self {
        Self { known: BTreeMap::new(), errands: Errands::apart("fl-gateway"), with_echo, allowed: None }
    }

    /// Looks at the gateways of these routes and forgets all others; what is known then.
    pub(super) fn update(&mut self, routes: &[Route], patience: Duration) -> &BTreeMap<Gateway, Known> {
        let mut before = std::mem::take(&mut self.known);
        let gateways = routes
            .iter()
            .filter_map(|route| Some(Gateway { interface: route.interface.clone(), address: route.gateway? }));
        self.known = gateways.map(|gateway| (gateway.clone(), before.remove(&gateway).unwrap_or_default())).collect();
        for (gateway, look) in self.errands.settled() {
            self.learn(&gateway, look);
        }
        let now = Instant::now();
        let due = self.known.iter_mut().filter(|(_, known)| known.is_due(now));
        let with_echo = self.with_echo;
        let looks: Vec<_> = due
            .map(|(gateway, known)| {
                known.look(now);
                let asked = gateway.clone();
                (gateway.clone(), move || look(asked.address, &asked.interface, with_echo, ECHO_PATIENCE))
            })
            .collect();
        for (gateway, look) in self.errands.run(looks, patience) {
            self.learn(&gateway, look);
        }
        &self.known
    }

    fn learn(&mut self, gateway: &Gateway, look: Look) {
        if let Some(echo) = look.echo {
            self.allowed = Some(echo != Echo::NotAllowed);
        }
        if let Some(known) = self.known.get_mut(gateway) {
            known.learn(look, SystemTime::now());
        }
    }

    pub(super) const fn allowed(&self) -> Option<bool> {
        self.allowed
    }
}

impl Known {
    fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[(Option<Neighbour>, Option<Echo>)]) -> Option<bool> {
        let mut known = Known::default();
        looks.iter().for_each(|(neighbour, echo)| {
            known.learn(Look { neighbour: *neighbour, echo: *echo }, SystemTime::now());
        });
        known.is_responding()
    }

    const ANSWER: Option<Echo> = Some(Echo::Answered(Duration::from_millis(1)));
    const SILENCE: Option<Echo> = Some(Echo::Silent);
    const STALE: Option<Neighbour> = Some(Neighbour::Stale);

    #[test]
    fn who_was_just_heard_is_alive() {
        assert_eq!(after(&[(Some(Neighbour::Reachable), None)]), Some(true));
        assert_eq!(after(&[(STALE, ANSWER)]), Some(true));
        assert_eq!(after(&[(None, ANSWER)]), Some(true), "a kernel before 5.0");
    }

    #[test]
    fn a_lost_echo_is_no_dead_gateway_and_three_are() {
        let (ok, lost) = ((STALE, ANSWER), (STALE, SILENCE));
        assert_eq!(after(&[ok, lost, lost]), Some(true));
        assert_eq!(after(&[ok, lost, lost, lost]), Some(false));
        assert_eq!(after(&[ok, lost, lost, lost, ok]), Some(true));
        assert_eq!(after(&[lost]), None, "it may be one that answers no echoes");
        assert_eq!(after(&[lost, lost, lost]), Some(false));
    }

    #[test]
    fn whom_the_kernel_asked_in_vain_is_dead() {
        let failed = Some(Neighbour::Failed);
        assert_eq!(after(&[(STALE, ANSWER), (failed, SILENCE)]), Some(false));
        assert_eq!(after(&[(failed, Some(Echo::NotAllowed))]), Some(false));
        assert_eq!(after(&[(failed, None)]), Some(false));
        assert_eq!(after(&[(failed, ANSWER)]), Some(true));
    }

    #[test]
    fn what_was_known_before_a_look_that_hangs_is_forgotten() {
        let (mut known, now) = (Known::default(), SystemTime::now());
        known.look(Instant::now());
        known.learn(Look { neighbour: Some(Neighbour::Reachable), echo: ANSWER }, now);
        known.look(Instant::now());
        assert_eq!(
            (known.is_responding(), known.neighbour),
            (Some(true), Some(Neighbour::Reachable)),
            "it may be late"
        );
        known.look(Instant::now());
        assert_eq!((known.is_responding(), known.neighbour, known.echo), (None, None, None));
        assert_eq!(known.answered, Some(now), "that was then");
        known.learn(Look { neighbour: STALE, echo: ANSWER }, now);
        assert_eq!(known.is_responding(), Some(true));
    }

    #[test]
    fn who_may_not_be_asked_is_unknown() {
        assert_eq!(after(&[(STALE, Some(Echo::NotAllowed))]), None);
        assert_eq!(after(&[(Some(Neighbour::Reachable), None), (STALE, Some(Echo::NotAllowed))]), None);
        assert_eq!(after(&[(Some(Neighbour::Noarp), None)]), None);
        assert_eq!(after(&[]), None);
    }
}
