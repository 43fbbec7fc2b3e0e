//! What is shown of reachability.

use super::gate::Gate;
use super::gateways::{Gateway, Known};
use crate::exposition::{Emitter, Reading, Value};
use flatline_catalog::{Family as Metric, reachability as catalog};
use flatline_sources::reachability::{Family, Link, Listener, Neighbour, Network, Operstate};
use std::collections::BTreeMap;
use std::fmt;
use std::time::UNIX_EPOCH;

/// The host's network as it is now.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) network: Network,
    pub(super) gateways: BTreeMap<Gateway, Known>,
    pub(super) echo_allowed: Option<bool>,
    pub(super) listeners: Option<Vec<Owned>>,
    pub(super) left_out: Option<usize>,
    pub(super) gate: Gate,
}

/// A listener and who owns it.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) listener: Listener,
    pub(super) address: String,
    pub(super) port: String,
    pub(super) process: Option<String>,
}

impl Owned {
    pub(super) fn new(listener: Listener, process: Option<&str>) -> Self {
        Self {
            address: listener.address.ip().to_string(),
            port: listener.address.port().to_string(),
            process: process.map(str::to_owned),
            listener,
        }
    }
}

impl Reading for Found {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        self.emit_routes(out)?;
        emit_links(self.network.links.as_deref().unwrap_or_default(), out)?;
        self.emit_gateways(out)?;
        self.emit_listeners(out)?;
        out.family(&catalog::GATE_PART, |samples| {
            self.gate.parts().try_for_each(|(part, passing)| samples.push_some(&[part.label()], passing))
        })?;
        out.family(&catalog::GATE, |samples| samples.push_some(&[], self.gate.verdict()))
    }
}

/// A number about a gateway, or a listener, and the family that shows it.
type OfGateway = (&'static Metric, fn(&Known) -> Option<Value>);
type OfListener = (&'static Metric, fn(&Listener) -> Option<u32>);

impl Found {
    fn emit_routes(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let Some(routes) = &self.network.routes else { return Ok(()) };
        out.family(&catalog::DEFAULT_ROUTES, |samples| {
            Family::ALL.into_iter().try_for_each(|family| {
                let count = routes.iter().filter(|route| route.family == family).count();
                samples.push(&[family.label()], count)
            })
        })?;
        out.family(&catalog::DEFAULT_ROUTE_METRIC, |samples| {
            routes.iter().try_for_each(|route| {
                let gateway = route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
                samples.push(&[route.family.label(), &route.interface, &gateway], u64::from(route.metric))
            })
        })
    }

    fn emit_gateways(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let labels: Vec<_> =
            self.gateways.iter().map(|(gateway, known)| (gateway.address.to_string(), gateway, known)).collect();
        out.family(&catalog::GATEWAY_STATE, |samples| {
            labels.iter().try_for_each(|(address, gateway, known)| {
                let Some(neighbour) = known.neighbour else { return Ok(()) };
                Neighbour::ALL.into_iter().try_for_each(|state| {
                    samples.push(&[&gateway.interface, address, state.label()], state == neighbour)
                })
            })
        })?;
        let figures: [OfGateway; 3] = [
            (&catalog::GATEWAY_RESPONDING, |known| known.is_responding().map(Value::from)),
            (&catalog::GATEWAY_LAST_ANSWER, |known| {
                known.answered.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(Value::from)
            }),
            (&catalog::GATEWAY_ECHO_SECONDS, |known| known.echo.map(Value::from)),
        ];
        for (family, figure) in figures {
            out.family(family, |samples| {
                labels.iter().try_for_each(|(address, gateway, known)| {
                    samples.push_some(&[&gateway.interface, address], figure(known))
                })
            })?;
        }
        out.family(&catalog::GATEWAY_ECHO_ALLOWED, |samples| samples.push_some(&[], self.echo_allowed))
    }

    fn emit_listeners(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let drops = self.network.drops;
        out.family(&catalog::LISTEN_OVERFLOWS, |samples| samples.push_some(&[], drops.overflows))?;
        out.family(&catalog::LISTEN_DROPS, |samples| samples.push_some(&[], drops.drops))?;
        out.family(&catalog::LISTEN_LEFT_OUT, |samples| samples.push_some(&[], self.left_out))?;
        let Some(listeners) = &self.listeners else { return Ok(()) };
        let figures: [OfListener; 3] = [
            (&catalog::LISTEN_BACKLOG, |listener| Some(listener.backlog)),
            (&catalog::LISTEN_BACKLOG_LIMIT, |listener| listener.limit),
            (&catalog::LISTEN_SOCKETS, |listener| Some(listener.sockets)),
        ];
        for (family, figure) in figures {
            out.family(family, |samples| {
                listeners.iter().try_for_each(|owned| {
                    samples.push_some(&[&owned.address, &owned.port], figure(&owned.listener).map(u64::from))
                })
            })?;
        }
        out.family(&catalog::LISTEN_OWNER, |samples| {
            listeners.iter().try_for_each(|owned| {
                let Some(process) = &owned.process else { return Ok(()) };
                samples.push(&[&owned.address, &owned.port, process], true)
            })
        })
    }
}

fn emit_links(links: &[Link], out: &mut Emitter<'_>) -> fmt::Result {
    out.family(&catalog::LINK_UP, |samples| {
        links.iter().try_for_each(|link| samples.push_some(&[&link.name], link.up))
    })?;
    out.family(&catalog::STATE_OF_LINK, |samples| {
        links.iter().try_for_each(|link| {
            let Some(now) = link.state else { return Ok(()) };
            Operstate::ALL.into_iter().try_for_each(|state| samples.push(&[&link.name, state.label()], state == now))
        })
    })?;
    out.family(&catalog::LINK_CARRIER_CHANGES, |samples| {
        links.iter().try_for_each(|link| samples.push_some(&[&link.name], link.carrier_changes))
    })
}
