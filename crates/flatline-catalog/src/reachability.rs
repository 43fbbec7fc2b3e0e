//! Whether the host can be reached: default routes, links, gateways, accept queues, and the health gate over them
//! (kernel documentation: `Documentation/networking/operstates.rst`, `proc_net_tcp.rst`; sock_diag(7), rtnetlink(7)).

use crate::{Family, Label, Unit};

/// The protocol.
pub const FAMILY: Label = Label::new("family", "ipv4, ipv6");
/// A link.
pub const INTERFACE: Label = Label::new("interface", "the first 256 that are not excluded");
/// Who passes packets on.
pub const GATEWAY: Label = Label::new("gateway", "one per default route, at most 64; empty on links that need none");
/// What the kernel says of a link.
pub const LINK_STATE: Label = Label::new("state", "unknown, notpresent, down, lowerlayerdown, testing, dormant, up");
/// What the kernel knows of a neighbour.
pub const NEIGHBOUR_STATE: Label =
    Label::new("state", "none, incomplete, reachable, stale, delay, probe, failed, noarp, permanent");
/// Where somebody listens.
pub const ADDRESS: Label = Label::new("address", "one per listening address and port");
/// Where somebody listens.
pub const PORT: Label =
    Label::new("port", "one per listening address and port, at most --collector.reachability.max-listeners");
/// Who listens.
pub const PROCESS: Label = Label::new("process", "the command's name, at most 15 bytes");
/// A part of the health gate.
pub const PART: Label = Label::new("part", "default_route, link, gateway, listening");

const THROUGH: &[Label] = &[INTERFACE, GATEWAY];
const LISTENER: &[Label] = &[ADDRESS, PORT];

/// How many ways lead out.
pub static DEFAULT_ROUTES: Family = Family::gauge(
    "flatline_default_routes",
    Unit::None,
    &[FAMILY],
    "Default routes: of IPv4 in the main table, of IPv6 in all tables (the kernel lists them together). 0: this host reaches nobody beyond its own networks over this protocol.",
);
/// Each of them.
pub static DEFAULT_ROUTE_METRIC: Family = Family::gauge(
    "flatline_default_route_metric",
    Unit::None,
    &[FAMILY, INTERFACE, GATEWAY],
    "The metric of each default route; the lowest is used. Of a route over several next hops the first is shown.",
);
/// Whether packets pass.
pub static LINK_UP: Family = Family::gauge(
    "flatline_link_up",
    Unit::None,
    &[INTERFACE],
    "1 while the link passes packets, 0 while it does not: cable, switch, access point, or somebody took it down.",
);
/// In the kernel's words.
pub static STATE_OF_LINK: Family = Family::gauge(
    "flatline_link_state",
    Unit::None,
    &[INTERFACE, LINK_STATE],
    "1 for the state the kernel says the link is in (RFC 2863). unknown: its driver does not say, as with tunnels.",
);
/// Flapping.
pub static LINK_CARRIER_CHANGES: Family = Family::counter(
    "flatline_link_carrier_changes_total",
    Unit::None,
    &[INTERFACE],
    "How often the link's carrier came or went. Starts anew when the interface is made anew.",
);
/// Whether it is alive.
pub static GATEWAY_RESPONDING: Family = Family::gauge(
    "flatline_gateway_responding",
    Unit::None,
    THROUGH,
    "1 while the gateway of a default route is alive: the kernel has just heard from it, or it answered an echo. 0 when the kernel asked in vain, or three echoes in a row went unanswered. Absent while nothing can be known.",
);
/// What the kernel knows.
pub static GATEWAY_STATE: Family = Family::gauge(
    "flatline_gateway_neighbour_state",
    Unit::None,
    &[INTERFACE, GATEWAY, NEIGHBOUR_STATE],
    "1 for what the kernel knows of the gateway as a neighbour: reachable (heard of within half a minute), stale (some time ago), failed (asked and silent), and so on. Needs Linux 5.0.",
);
/// When it last gave a sign of life.
pub static GATEWAY_LAST_ANSWER: Family = Family::gauge(
    "flatline_gateway_last_answer_timestamp_seconds",
    Unit::Seconds,
    THROUGH,
    "When the gateway was last known to be alive. Absent when it has not been since the exporter started.",
);
/// How long an echo takes.
pub static GATEWAY_ECHO_SECONDS: Family = Family::gauge(
    "flatline_gateway_echo_seconds",
    Unit::Seconds,
    THROUGH,
    "How long the gateway's last answer to an echo took. Absent while none was needed: the kernel knew it to be alive.",
);
/// Whether we may ask.
pub static GATEWAY_ECHO_ALLOWED: Family = Family::gauge(
    "flatline_gateway_echo_allowed",
    Unit::None,
    &[],
    "0 when the kernel does not let the exporter send echoes: put its group into the sysctl net.ipv4.ping_group_range. Without, a gateway that nobody talks to is not known to be alive. Absent until one was needed.",
);
/// Who waits to be accepted.
pub static LISTEN_BACKLOG: Family = Family::gauge(
    "flatline_listen_backlog",
    Unit::None,
    LISTENER,
    "Connections that are open and that the listening program has not accepted yet. A program that works takes them at once; one that is stuck lets them pile up, up to flatline_listen_backlog_limit. Of several sockets on one port the fullest.",
);
/// How many may.
pub static LISTEN_BACKLOG_LIMIT: Family = Family::gauge(
    "flatline_listen_backlog_limit",
    Unit::None,
    LISTENER,
    "How long the accept queue may get; one more than this fits, further connections are dropped. Absent where the kernel does not answer sock_diag.",
);
/// How many share it.
pub static LISTEN_SOCKETS: Family = Family::gauge(
    "flatline_listen_sockets",
    Unit::None,
    LISTENER,
    "Sockets that listen at the same address and port (SO_REUSEPORT), each with a queue of its own.",
);
/// Who listens.
pub static LISTEN_OWNER: Family = Family::info(
    "flatline_listen_owner_info",
    &[ADDRESS, PORT, PROCESS],
    "Always 1: the process that listens there. Absent when the exporter may not look (CAP_SYS_PTRACE), or the kernel itself listens.",
);
/// What is not shown.
pub static LISTEN_LEFT_OUT: Family = Family::gauge(
    "flatline_listen_left_out",
    Unit::None,
    &[],
    "Listening sockets beyond --collector.reachability.max-listeners, which are not shown.",
);
/// Full queues.
pub static LISTEN_OVERFLOWS: Family = Family::counter(
    "flatline_listen_overflows_total",
    Unit::None,
    &[],
    "Connections dropped because an accept queue was full, of all programs since boot.",
);
/// All drops.
pub static LISTEN_DROPS: Family = Family::counter(
    "flatline_listen_drops_total",
    Unit::None,
    &[],
    "Connections dropped at listening sockets for any reason, full accept queues included, since boot.",
);
/// Its parts.
pub static GATE_PART: Family = Family::gauge(
    "flatline_health_gate_part_passing",
    Unit::None,
    &[PART],
    "1 while this part of the health gate passes, 0 while it fails: a default route, its link, its gateway, the ports that must listen. A part is judged from the first time it has passed, over reboots with a state directory; absent before, and while nothing is known.",
);
/// The verdict.
pub static GATE: Family = Family::gauge(
    "flatline_health_gate_passing",
    Unit::None,
    &[],
    "1 while every part of the health gate that can be judged passes, 0 while one fails: the host can't be reached, whatever else is well with it.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &DEFAULT_ROUTES,
    &DEFAULT_ROUTE_METRIC,
    &LINK_UP,
    &STATE_OF_LINK,
    &LINK_CARRIER_CHANGES,
    &GATEWAY_RESPONDING,
    &GATEWAY_STATE,
    &GATEWAY_LAST_ANSWER,
    &GATEWAY_ECHO_SECONDS,
    &GATEWAY_ECHO_ALLOWED,
    &LISTEN_BACKLOG,
    &LISTEN_BACKLOG_LIMIT,
    &LISTEN_SOCKETS,
    &LISTEN_OWNER,
    &LISTEN_LEFT_OUT,
    &LISTEN_OVERFLOWS,
    &LISTEN_DROPS,
    &GATE_PART,
    &GATE,
];
