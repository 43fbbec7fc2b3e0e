//! The health gate: what must hold for the host to be reachable, as one verdict with its parts.
//!
//! Not every host has a default route, a gateway that answers, or sshd. So a part is judged from the first time it has
//! passed on this host, which is remembered over reboots; what the operator names is judged from the start.

use flatline_sources::reachability::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A part of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// There is a default route.
    DefaultRoute,
    /// The link it leaves by passes packets.
    Link,
    /// One of the gateways is alive.
    Gateway,
    /// Every port that must listen does.
    Listening,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::DefaultRoute, Self::Link, Self::Gateway, Self::Listening];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::DefaultRoute => "default_route",
            Self::Link => "link",
            Self::Gateway => "gateway",
            Self::Listening => "listening",
        }
    }
}

/// What the operator demands.
#[derive(Debug, Clone, Default)]
pub(super) struct Demands {
    /// Links that must be up; else one of those a default route has left by must.
    pub(super) interfaces: Vec<String>,
    /// Ports that must listen.
    pub(super) ports: BTreeSet<u16>,
    /// Ports that must, once they have.
    pub(super) usual_ports: BTreeSet<u16>,
}

/// What has passed on this host before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    route: bool,
    gateway: bool,
    /// The links default routes left by, last time there were any.
    interfaces: BTreeSet<String>,
    ports: BTreeSet<u16>,
}

/// What is known now; `None` is unknown.
#[derive(Debug, Default)]
pub(super) struct Now<'a> {
    pub(super) network: Option<&'a Network>,
    /// Whether each gateway is alive.
    pub(super) gateways: Vec<Option<bool>>,
    pub(super) listening: Option<BTreeSet<u16>>,
}

/// The parts that can be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gate {
    passing: [Option<bool>; 4],
}

impl Gate {
    /// Judges, and remembers what passes. `is_up` tells of a link whether it passes packets, if that can be known.
    pub(super) fn judge(
        demands: &Demands,
        memory: &mut Memory,
        now: &Now<'_>,
        is_up: &mut dyn FnMut(&str) -> Option<bool>,
    ) -> Self {
        Self {
            passing: Part::ALL.map(|part| match part {
                Part::DefaultRoute => memory.route(now),
                Part::Link => memory.link(demands, is_up),
                Part::Gateway => memory.gateway(now),
                Part::Listening => memory.listening(demands, now),
            }),
        }
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (Part, Option<bool>)> {
        Part::ALL.into_iter().zip(self.passing)
    }

    /// Whether all parts that can be judged pass; `None` when none can.
    pub(super) fn verdict(&self) -> Option<bool> {
        let mut judged = self.passing.iter().flatten().peekable();
        judged.peek()?;
        Some(judged.all(|passing| *passing))
    }
}

impl Memory {
    fn route(&mut self, now: &Now<'_>) -> Option<bool> {
        let routes = now.network?.routes.as_ref()?;
        self.route |= !routes.is_empty();
        if !routes.is_empty() {
            self.interfaces = routes.iter().map(|route| route.interface.clone()).collect();
        }
        self.route.then_some(!routes.is_empty())
    }

    fn link(&self, demands: &Demands, is_up: &mut dyn FnMut(&str) -> Option<bool>) -> Option<bool> {
        if demands.interfaces.is_empty() {
            return decided(true, self.interfaces.iter().map(|name| is_up(name)));
        }
        decided(false, demands.interfaces.iter().map(|name| is_up(name)))
    }

    fn gateway(&mut self, now: &Now<'_>) -> Option<bool> {
        let alive = now.gateways.contains(&Some(true));
        self.gateway |= alive;
        let known = !now.gateways.is_empty() && now.gateways.iter().all(Option::is_some);
        (self.gateway && (alive || known)).then_some(alive)
    }

    fn listening(&mut self, demands: &Demands, now: &Now<'_>) -> Option<bool> {
        let listening = now.listening.as_ref()?;
        self.ports.extend(demands.usual_ports.intersection(listening));
        let usual = self.ports.intersection(&demands.usual_ports);
        let mut wanted = demands.ports.iter().chain(usual).peekable();
        wanted.peek()?;
        Some(wanted.all(|port| listening.contains(port)))
    }
}

/// The verdict over several of which one that is `decisive` decides; without it what is unknown leaves it open.
fn decided(decisive: bool, each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let each: Vec<_> = each.collect();
    let settled = each.contains(&Some(decisive)).then_some(decisive);
    let open = each.is_empty() || each.contains(&None);
    settled.or_else(|| (!open).then_some(!decisive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flatline_sources::reachability::{Family, Link, Operstate, Route};

    fn network(with_route: bool, up: bool) -> Network {
        let route = Route {
            family: Family::Ipv4,
            interface: "enp7s0".to_owned(),
            gateway: "192.168.0.1".parse().ok(),
            metric: 0,
        };
        let state = Some(if up { Operstate::Up } else { Operstate::Down });
        let link = Link { name: "enp7s0".to_owned(), state, up: Some(up), carrier_changes: None };
        Network {
            routes: Some(with_route.then_some(route).into_iter().collect()),
            links: Some(vec![link]),
            ..Network::default()
        }
    }

    fn sshd() -> Demands {
        Demands { usual_ports: BTreeSet::from([22]), ..Demands::default() }
    }

    fn judge(
        demands: &Demands,
        memory: &mut Memory,
        network: &Network,
        gateway: &[Option<bool>],
        ports: &[u16],
    ) -> Gate {
        let listening = Some(ports.iter().copied().collect());
        let now = Now { network: Some(network), gateways: gateway.to_vec(), listening };
        Gate::judge(demands, memory, &now, &mut |name| {
            let link = network.links.as_ref()?.iter().find(|link| link.name == name);
            link.map_or(Some(false), |link| link.up)
        })
    }

    #[test]
    fn each_part_that_once_passed_can_fail() {
        let (demands, mut memory) = (sshd(), Memory::default());
        let well = network(true, true);
        let gate = judge(&demands, &mut memory, &well, &[Some(true)], &[22, 80]);
        assert_eq!((gate.passing, gate.verdict()), ([Some(true); 4], Some(true)));
        let failing = [
            (judge(&demands, &mut memory, &network(false, true), &[], &[22]), Part::DefaultRoute),
            (judge(&demands, &mut memory, &network(true, false), &[Some(true)], &[22]), Part::Link),
            (judge(&demands, &mut memory, &well, &[Some(false)], &[22]), Part::Gateway),
            (judge(&demands, &mut memory, &well, &[Some(true)], &[80]), Part::Listening),
        ];
        for (gate, part) in failing {
            let failed: Vec<_> = gate.parts().filter(|(_, passing)| *passing == Some(false)).collect();
            assert_eq!((failed, gate.verdict()), (vec![(part, Some(false))], Some(false)));
        }
    }

    #[test]
    fn what_never_was_is_not_missed() {
        let mut memory = Memory::default();
        let gate = judge(&sshd(), &mut memory, &network(false, false), &[], &[80]);
        assert_eq!((gate.passing, gate.verdict()), ([None; 4], None));
        let gate = judge(&sshd(), &mut memory, &network(true, true), &[Some(false)], &[80]);
        assert_eq!(gate.passing, [Some(true), Some(true), None, None], "a gateway that answers nobody");
    }

    #[test]
    fn what_the_operator_names_is_judged_from_the_start() {
        let demands =
            Demands { interfaces: vec!["eth9".to_owned()], ports: BTreeSet::from([443]), ..Demands::default() };
        let gate = judge(&demands, &mut Memory::default(), &network(true, true), &[], &[22]);
        assert_eq!(gate.passing, [Some(true), Some(false), None, Some(false)]);
    }

    #[test]
    fn the_unknown_fails_nothing() {
        let (demands, mut memory) = (sshd(), Memory::default());
        judge(&demands, &mut memory, &network(true, true), &[Some(true)], &[22]);
        let gate = Gate::judge(&demands, &mut memory, &Now::default(), &mut |_| None);
        assert_eq!((gate.passing, gate.verdict()), ([None; 4], None));
        let gate = judge(&demands, &mut memory, &network(true, true), &[None, Some(false)], &[22]);
        assert_eq!(gate.passing[2], None, "one of two gateways is unknown");
        let gate = judge(&demands, &mut memory, &network(true, true), &[None, Some(true)], &[22]);
        assert_eq!(gate.passing[2], Some(true));
    }

    #[test]
    fn one_link_decides_and_an_unknown_one_leaves_it_open() {
        let any = |each: &[Option<bool>]| decided(true, each.iter().copied());
        let all = |each: &[Option<bool>]| decided(false, each.iter().copied());
        assert_eq!((any(&[None, Some(true)]), any(&[None, Some(false)])), (Some(true), None));
        assert_eq!((all(&[None, Some(true)]), all(&[None, Some(false)])), (None, Some(false)));
        assert_eq!((any(&[Some(false)]), all(&[Some(true)])), (Some(false), Some(true)));
        assert_eq!((any(&[]), all(&[])), (None, None));
    }

    #[test]
    fn another_network_card_is_no_missing_link() {
        let (demands, mut memory) = (sshd(), Memory::default());
        judge(&demands, &mut memory, &network(true, true), &[], &[]);
        let mut moved = network(true, true);
        moved.links.iter_mut().flatten().for_each(|link| link.name = "enp8s0".to_owned());
        moved.routes.iter_mut().flatten().for_each(|route| route.interface = "enp8s0".to_owned());
        assert_eq!(judge(&demands, &mut memory, &moved, &[], &[]).passing[1], Some(true));
    }
}
