//! A host in a network namespace of its own, whose gateway, link, routes and programs fail for real.

mod common;

use common::{Exporter, Samples, command};
use flatline_lab::skipped;
use std::path::Path;

/// Binds where the test can reach it, then becomes its arguments in a new network (`sd_listen_fds(3)`).
const HAND_OVER: &str = "import os, socket, sys
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp('unshare', ['unshare', '--net', '--mount', 'sh', '-e', *sys.argv[1:]])
";

/// A network with a gateway in another one, a program that listens and accepts nobody, then the exporter.
const NETWORK: &str = r#"
mount -t sysfs sysfs /sys
ip link set lo up
echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range
unshare --net sleep 600 & gateway=$!
echo $gateway > "$1/gateway"
while [ "$(readlink /proc/$gateway/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add enp7s0 type veth peer name gw0 netns $gateway
# What takes the kernel minutes by default.
echo 1000 > /proc/sys/net/ipv4/neigh/enp7s0/base_reachable_time_ms
echo 1 > /proc/sys/net/ipv4/neigh/enp7s0/delay_first_probe_time
ip addr add 192.0.2.2/24 dev enp7s0
ip link set enp7s0 up
nsenter --target $gateway --net sh -ec 'ip addr add 192.0.2.1/24 dev gw0; ip link set gw0 up'
ip route add default via 192.0.2.1
python3 -c "$2" "$1/queue" & echo $! > "$1/rotting"
while [ ! -e "$1/queue" ]; do sleep 0.05; done
shift 2
exec "$@"
"#;

/// Listens with a queue of two, lets three connections wait and drops two more.
const ROTTING: &str = "import socket, sys, time
listener = socket.socket(); listener.bind(('127.0.0.1', 8080)); listener.listen(2)
clients = [socket.create_connection(('127.0.0.1', 8080)) for _ in range(3)]
for _ in range(2):
    late = socket.socket(); late.setblocking(False); late.connect_ex(('127.0.0.1', 8080)); clients.append(late)
open(sys.argv[1], 'w').close()
time.sleep(600)
";

/// The network's processes, killed when dropped.
struct Network<'a>(&'a Path);

impl Network<'_> {
    fn pid(&self, name: &str) -> Option<String> {
        Some(std::fs::read_to_string(self.0.join(name)).ok()?.trim().to_owned())
    }

    /// Runs `ip` in the gateway's network, or the host's.
    fn ip(&self, process: &str, arguments: &str) {
        let mut ip = command("nsenter");
        ip.args(["--target", process, "--net", "ip"]).args(arguments.split(' '));
        assert!(ip.status().expect("nsenter").success(), "ip {arguments}");
    }

    fn gateway(&self, arguments: &str) {
        self.ip(&self.pid("gateway").expect("started"), arguments);
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        for pid in ["gateway", "rotting"].iter().filter_map(|name| self.pid(name)) {
            let _ = command("kill").args(["-KILL", &pid]).status();
        }
    }
}

fn part(samples: &Samples, part: &str) -> Option<f64> {
    samples.get(&format!("flatline_health_gate_part_passing{{part=\"{part}\"}}"))
}

fn verdict(samples: &Samples) -> Option<f64> {
    samples.get("flatline_health_gate_passing")
}

const RESPONDING: &str = "flatline_gateway_responding{interface=\"enp7s0\",gateway=\"192.0.2.1\"}";

#[test]
fn what_cuts_a_host_off_is_seen_part_by_part() {
    const WHAT: &str = "gateway, link, routes and accept queues that fail for real";
    let probe = command("unshare").args(["--net", "--mount", "mount", "-t", "sysfs", "sysfs", "/sys"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return skipped(WHAT, "no network namespace can be made here (root)");
    }
    let place = tempfile::tempdir().expect("directory");
    let network = Network(place.path());
    let mut host = command("python3");
    host.args(["-c", HAND_OVER, "-c", NETWORK, "network"]).arg(place.path());
    host.args([ROTTING, env!("CARGO_BIN_EXE_flatline-exporter"), "--web.systemd-socket"]);
    let arguments = [
        "--collector.disable-defaults",
        "--collector.reachability",
        "--collector.reachability.patience=10s",
        "--collector.reachability.gate-ports=8080",
    ];
    let exporter = Exporter::start_as(host, 1, &arguments);
    let us = exporter.pid().to_string();

    let parts = ["default_route", "link", "gateway", "listening"];
    let well = exporter.scrape_until("all is well", |samples| {
        verdict(samples) == Some(1.0) && parts.iter().all(|name| part(samples, name) == Some(1.0))
    });
    assert_eq!(well.get("flatline_default_routes{family=\"ipv4\"}"), Some(1.0));
    assert_eq!(well.get("flatline_default_routes{family=\"ipv6\"}"), Some(0.0));
    assert_eq!(well.get("flatline_link_up{interface=\"enp7s0\"}"), Some(1.0));
    assert_eq!(well.get(RESPONDING), Some(1.0));

    let queue = "{address=\"127.0.0.1\",port=\"8080\"}";
    assert_eq!(well.get(&format!("flatline_listen_backlog{queue}")), Some(3.0), "three wait");
    assert_eq!(well.get(&format!("flatline_listen_backlog_limit{queue}")), Some(2.0));
    assert_eq!(well.get("flatline_listen_left_out"), Some(0.0));
    assert!(well.get("flatline_listen_overflows_total").is_some_and(|dropped| dropped >= 1.0));
    exporter.scrape_until("its owner is found", |samples| {
        samples.get("flatline_listen_owner_info{address=\"127.0.0.1\",port=\"8080\",process=\"python3\"}") == Some(1.0)
    });

    network.gateway("addr flush dev gw0");
    let silent = exporter.scrape_until("the gateway is silent", |samples| samples.get(RESPONDING) == Some(0.0));
    assert_eq!((part(&silent, "gateway"), verdict(&silent)), (Some(0.0), Some(0.0)));
    assert_eq!((part(&silent, "default_route"), part(&silent, "link")), (Some(1.0), Some(1.0)));
    network.gateway("addr add 192.0.2.1/24 dev gw0");
    exporter.scrape_until("it answers again", |samples| verdict(samples) == Some(1.0));

    network.ip(&us, "route del default");
    let stranded = exporter.scrape_until("no way out", |samples| part(samples, "default_route") == Some(0.0));
    assert_eq!((part(&stranded, "gateway"), verdict(&stranded)), (None, Some(0.0)));
    assert!(!stranded.any("flatline_gateway_responding"));
    network.ip(&us, "route add default via 192.0.2.1");
    exporter.scrape_until("a way again", |samples| verdict(samples) == Some(1.0));

    network.gateway("link set gw0 down");
    let cut = exporter.scrape_until("the link is cut", |samples| part(samples, "link") == Some(0.0));
    assert_eq!((cut.get("flatline_link_up{interface=\"enp7s0\"}"), verdict(&cut)), (Some(0.0), Some(0.0)));
    assert_eq!(cut.collector("success", "reachability"), Some(1.0));
}

/// The state directory remembers what passed, so that a host which comes up without its network says so.
#[test]
fn what_passed_before_a_reboot_is_missed_after_it() {
    let place = tempfile::tempdir().expect("directory");
    common::copy_tree(&common::fixtures().join("network"), place.path());
    let at = |flag: &str, name: &str| format!("--{flag}={}", place.path().join(name).display());
    let roots = [at("path.procfs", "proc"), at("path.sysfs", "sys"), at("state.directory", "state")];
    let only = ["--collector.disable-defaults", "--collector.reachability", "--collector.reachability.patience=10s"];
    let only = only.map(str::to_owned);
    let start = || Exporter::start(&[only.to_vec(), roots.to_vec()].concat());
    let before = start();
    before.scrape_until("all is well", |samples| {
        let parts = ["default_route", "link", "listening"];
        verdict(samples) == Some(1.0) && parts.iter().all(|name| part(samples, name) == Some(1.0))
    });
    let kept = place.path().join("state/reachability.json");
    before.scrape_until("it is remembered", |_| std::fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("22")));
    drop(before);
    for (file, gone) in [("route", "enp7s0"), ("ipv6_route", "enp7s0"), ("tcp", ":0016"), ("tcp6", ":0016")] {
        let path = place.path().join("proc/net").join(file);
        let content = std::fs::read_to_string(&path).expect("recorded");
        let left: Vec<_> = content.lines().filter(|line| !line.contains(gone)).collect();
        std::fs::write(path, left.join("\n") + "\n").expect("written");
    }
    let after = start().scrape();
    assert_eq!((part(&after, "default_route"), part(&after, "listening")), (Some(0.0), Some(0.0)));
    assert_eq!((part(&after, "link"), part(&after, "gateway"), verdict(&after)), (Some(1.0), None, Some(0.0)));
}
