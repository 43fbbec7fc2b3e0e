//! Monitors that answer like QEMU's, or misbehave on request. For tests and benchmarks only.

use serde_json::{Value, json};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;

/// How a monitor treats its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// As QEMU does.
    #[default]
    Healthy,
    /// With events between its answers.
    Chatty,
    /// The answers of a batch in reverse order.
    OutOfOrder,
    /// A byte at a time.
    ByteByByte,
    /// Without `x-query-*`, as QEMU before 7.2.
    Old,
    /// Takes the connection and says nothing.
    Silent,
    /// Greets and then says nothing.
    GreetingOnly,
    /// Answers `qmp_capabilities`, `query-status` and `query-blockstats`, and nothing else.
    Partial,
    /// Greets and then says only events, without end.
    Flood,
    /// A line without end, up to this many bytes.
    LongLine(usize),
    /// Bytes that are no text.
    InvalidUtf8,
    /// Text that is no JSON.
    Garbage,
    /// Answers of other types than QEMU's.
    WrongTypes,
    /// Half an answer, then the end.
    HalfLine,
}

/// The machine behind a monitor.
#[derive(Debug, Clone)]
pub struct Machine {
    /// How the monitor behaves.
    pub behaviour: Behaviour,
    /// Answer of `query-name`; none if empty.
    pub name: String,
    /// Answer of `query-status`.
    pub status: String,
    /// Its disks.
    pub disks: Vec<Disk>,
}

/// A disk of a machine.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The device's id.
    pub id: String,
    /// The controller's id, if it is virtio-scsi; a disk `virtio...` is its own.
    pub controller: Option<String>,
    /// Completed writes of 4 KiB.
    pub writes: u64,
    /// Nanoseconds since the last completion.
    pub idle_ns: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// The queue's used index.
    pub used: u16,
    /// Limit in bytes per second, 0 for none.
    pub bps: u64,
    /// What QEMU remembers of errors.
    pub io_status: String,
}

impl Disk {
    /// An idle disk `scsi0`, on a virtio-scsi controller of its own.
    #[must_use]
    pub fn scsi(number: usize) -> Self {
        Self {
            id: format!("scsi{number}"),
            controller: Some(format!("virtioscsi{number}")),
            writes: 1000,
            idle_ns: 1_000_000,
            in_flight: 0,
            used: 1000,
            bps: 0,
            io_status: "ok".to_owned(),
        }
    }

    fn device(&self) -> Option<String> {
        let backend = |id: &str| format!("/machine/peripheral/{id}/virtio-backend");
        self.controller.as_deref().or_else(|| self.id.starts_with("virtio").then_some(&*self.id)).map(backend)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            behaviour: Behaviour::Healthy,
            name: "devvm".to_owned(),
            status: "running".to_owned(),
            disks: vec![Disk::scsi(0)],
        }
    }
}

/// One thread that serves any number of monitors.
#[derive(Debug)]
pub struct Monitors {
    handle: Handle,
}

impl Monitors {
    /// Starts the thread; it lives as long as the process.
    ///
    /// # Panics
    /// When the host refuses a thread.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for tests only")]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        Self { handle }
    }

    /// Listens at `socket` for a machine, which may be changed at any time.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub fn add(&self, socket: &Path, machine: Machine) -> std::io::Result<Shared> {
        let listener = StdListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        let shared = Shared(Arc::new(Mutex::new(machine)));
        self.handle.spawn(serve(listener, shared.clone()));
        Ok(shared)
    }
}

/// A machine that is being served.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<Machine>>);

impl Shared {
    /// The machine, to look at or to change.
    pub fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client at a time, as QEMU does it.
async fn serve(listener: StdListener, machine: Shared) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    while let Ok((client, _)) = listener.accept().await {
        let machine = machine.lock().clone();
        // Clients leave when they like.
        let _ = talk(client, &machine).await;
    }
}

const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#;
const EVENT: &str = r#"{"timestamp": {"seconds": 1, "microseconds": 0}, "event": "RTC_CHANGE", "data": {"offset": 0}}"#;

async fn talk(client: UnixStream, machine: &Machine) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    match machine.behaviour {
        Behaviour::Silent => return wait(&mut client).await,
        Behaviour::InvalidUtf8 => return client.get_mut().write_all(b"{\"QMP\": \"\xff\xfe\"}\n").await,
        Behaviour::Garbage => return client.get_mut().write_all(b"SSH-2.0-OpenSSH_9.2\n").await,
        Behaviour::LongLine(length) => return write_long_line(client.get_mut(), length).await,
        _ => client.get_mut().write_all(format!("{GREETING}\r\n").as_bytes()).await?,
    }
    let mut line = String::new();
    let mut held = Vec::new();
    while client.read_line(&mut line).await? > 0 {
        let request: Value = serde_json::from_str(&line).unwrap_or_default();
        line.clear();
        let answer = answer(&request, machine).to_string() + "\r\n";
        match machine.behaviour {
            Behaviour::GreetingOnly => {}
            Behaviour::Partial if !is_essential(&request) => {}
            Behaviour::Flood => loop {
                client.get_mut().write_all(format!("{EVENT}\r\n").as_bytes()).await?;
            },
            Behaviour::Chatty => {
                client.get_mut().write_all(format!("{EVENT}\r\n{answer}{EVENT}\r\n").as_bytes()).await?;
            }
            Behaviour::HalfLine => return client.get_mut().write_all(&answer.as_bytes()[..answer.len() / 2]).await,
            Behaviour::ByteByByte => {
                for byte in answer.bytes() {
                    client.get_mut().write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Behaviour::OutOfOrder => {
                held.push(answer);
                if client.buffer().is_empty() {
                    for answer in held.drain(..).rev() {
                        client.get_mut().write_all(answer.as_bytes()).await?;
                    }
                }
            }
            _ => client.get_mut().write_all(answer.as_bytes()).await?,
        }
    }
    Ok(())
}

fn is_essential(request: &Value) -> bool {
    matches!(request["execute"].as_str(), Some("qmp_capabilities" | "query-status" | "query-blockstats"))
}

/// Until the client leaves.
async fn wait(client: &mut BufReader<UnixStream>) -> std::io::Result<()> {
    let mut line = String::new();
    while client.read_line(&mut line).await? > 0 {}
    Ok(())
}

async fn write_long_line(client: &mut UnixStream, length: usize) -> std::io::Result<()> {
    let part = [b'x'; 64 << 10];
    client.write_all(b"{\"QMP\": \"").await?;
    for _ in 0..length / part.len() {
        client.write_all(&part).await?;
    }
    client.write_all(b"\"}\n").await
}

fn answer(request: &Value, machine: &Machine) -> Value {
    let id = &request["id"];
    if machine.behaviour == Behaviour::WrongTypes {
        return json!({ "return": [{ "status": 5, "device": {}, "stats": { "wr_operations": "many" } }], "id": id });
    }
    let command = request["execute"].as_str().unwrap_or_default();
    let value = match command {
        "qmp_capabilities" => json!({}),
        "query-status" => {
            json!({ "status": machine.status, "singlestep": false, "running": machine.status == "running" })
        }
        "query-name" if machine.name.is_empty() => json!({}),
        "query-name" => json!({ "name": machine.name }),
        "query-blockstats" => machine.disks.iter().map(block_stats).collect(),
        "query-iothreads" => json!([]),
        "query-block" => machine.disks.iter().map(block).collect(),
        "x-query-virtio" if machine.behaviour != Behaviour::Old => virtio(machine),
        "x-query-virtio-queue-status" if machine.behaviour != Behaviour::Old => {
            match queue_status(&request["arguments"], machine) {
                Some(status) => status,
                None => return refusal(id, "GenericError", "Invalid virtqueue number"),
            }
        }
        _ => return refusal(id, "CommandNotFound", "The command has not been found"),
    };
    json!({ "return": value, "id": id })
}

fn refusal(id: &Value, class: &str, description: &str) -> Value {
    json!({ "id": id, "error": { "class": class, "desc": description } })
}

fn block_stats(disk: &Disk) -> Value {
    json!({
        "device": format!("drive-{}", disk.id), "qdev": disk.id, "node-name": "#block1",
        "stats": {
            "rd_bytes": 12288, "wr_bytes": disk.writes * 4096, "rd_operations": 3, "wr_operations": disk.writes,
            "flush_operations": 7, "unmap_operations": 0, "failed_rd_operations": 0, "failed_wr_operations": 0,
            "failed_flush_operations": 0, "failed_unmap_operations": 0, "invalid_rd_operations": 0,
            "invalid_wr_operations": 0, "invalid_flush_operations": 0, "invalid_unmap_operations": 0,
            "rd_total_time_ns": 1000, "wr_total_time_ns": disk.writes * 100_000, "flush_total_time_ns": 5000,
            "idle_time_ns": disk.idle_ns, "timed_stats": [], "account_invalid": true, "account_failed": true,
            "wr_highest_offset": 409_616_384, "rd_merged": 0, "wr_merged": 0, "unmap_bytes": 0,
        },
    })
}

fn block(disk: &Disk) -> Value {
    json!({
        "io-status": disk.io_status, "device": format!("drive-{}", disk.id), "qdev": disk.id, "locked": false,
        "removable": false, "type": "unknown",
        "inserted": {
            "drv": "raw", "ro": false, "node-name": "#block1", "file": "/dev/pve/vm-102-disk-0", "encrypted": false,
            "bps": disk.bps, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0, "write_threshold": 0,
            "image": { "filename": "/dev/pve/vm-102-disk-0", "format": "raw", "virtual-size": 67_108_864 },
        },
    })
}

fn virtio(machine: &Machine) -> Value {
    let mut paths: Vec<String> = machine.disks.iter().filter_map(Disk::device).collect();
    paths.dedup();
    let name = |path: &str| if path.contains("scsi") { "virtio-scsi" } else { "virtio-blk" };
    let net = json!({ "name": "virtio-net", "path": "/machine/peripheral/net0/virtio-backend" });
    paths.iter().map(|path| json!({ "name": name(path), "path": path })).chain([net]).collect()
}

/// One request queue per device: queue 2 of a SCSI controller, queue 0 of a block device.
fn queue_status(arguments: &Value, machine: &Machine) -> Option<Value> {
    let path = arguments["path"].as_str()?;
    let queue = arguments["queue"].as_u64()?;
    let disks: Vec<&Disk> = machine.disks.iter().filter(|disk| disk.device().as_deref() == Some(path)).collect();
    let last = if path.contains("scsi") { 2 } else { 0 };
    let in_flight: u64 = disks.iter().map(|disk| disk.in_flight).sum();
    let used = disks.iter().fold(0u16, |sum, disk| sum.wrapping_add(disk.used));
    let status = json!({ "name": "virtio-scsi", "queue-index": queue, "inuse": if queue == last { in_flight } else { 0 },
        "used-idx": used, "last-avail-idx": used, "vring-num": 128, "signalled-used": used });
    (!disks.is_empty() && queue <= last).then_some(status)
}
