//! A network file system whose server answers nobody any more.

use std::time::Duration;

use super::host::{host, watched};
use super::{Drill, Pace, Plot, SOON};
use crate::{Error, Program, Result, Running, wait_for};

/// Where a guest finds this host.
const HOST: &str = "10.0.2.2";
/// How long the server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

pub(super) static NFS_HANGS: Drill = Drill {
    name: "mount-hang",
    breaks: "the server of an NFS mount is there and answers nobody (SIGSTOP)",
    pace: Pace::Production,
    expects: &["NetworkMountHung"],
    tolerates: &["NetworkMountNotResponding", "TasksStuckInKernel", "KernelHungTask"],
    plots: &[
        Plot { title: "up", query: "up" },
        Plot { title: "no answer for (s)", query: "flatline_mount_stuck_seconds" },
        Plot { title: "tasks blocked in the kernel", query: "sum(flatline_tasks_blocked) or vector(0)" },
    ],
    play: |session| {
        let server = NfsServer::start()?;
        let guest = watched(session, &host()?.module("nfsv4"))?;
        let options = format!("vers=4.1,proto=tcp,sec=sys,addr={HOST},clientaddr=10.0.2.15,port={}", server.port);
        guest
            .sh(&format!("mkdir -p /mnt/nas; mount -t nfs4 -o {options} {HOST}:/srv /mnt/nas; touch /mnt/nas/file"))?;
        session.until_true("flatline_mount_stuck_seconds == 0", SOON)?;
        session.settle()?;
        server.process.suspend()?;
        session.onset("the NFS server is stopped");
        session.until_told(SOON)?;
        server.process.resume()?;
        session.relief("it goes on");
        session.until_over("NetworkMountHung", SOON)
    },
};

/// An NFSv4 server of this host with one directory, in memory.
struct NfsServer {
    // The order matters: it ends before its directory is removed.
    process: Running,
    port: u16,
    _directory: tempfile::TempDir,
}

impl NfsServer {
    fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("flatline-nfs-").tempdir().map_err(Error::file("/tmp"))?;
        let at = |name: &str| directory.path().join(name).display().to_string();
        let port = free_port()?;
        let settings = format!(
            "NFS_CORE_PARAM {{ NFS_Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1; Enable_UDP = false;
                Enable_NLM = false; Enable_RQUOTA = false; }}
             NFSV4 {{ Graceless = true; RecoveryRoot = \"{}\"; Only_Numeric_Owners = true; }}
             EXPORT {{ Export_Id = 1; Path = \"/srv\"; Pseudo = \"/srv\"; Access_Type = RW; Squash = No_Root_Squash;
                SecType = sys; Protocols = 4; FSAL {{ Name = MEM; }} }}\n",
            at("recovery")
        );
        std::fs::create_dir(at("recovery")).map_err(Error::file(at("recovery")))?;
        std::fs::write(at("ganesha.conf"), settings).map_err(Error::file(at("ganesha.conf")))?;
        let mut process = Program::find("ganesha.nfsd", "nfs-ganesha and nfs-ganesha-mem")?
            .args(["-F", "-N", "NIV_EVENT", "-f", &at("ganesha.conf"), "-L", &at("log"), "-p", &at("pid")])
            .scratch(directory.path())
            .start()?;
        wait_for("the NFS server", LISTENS_WITHIN, || match process.failure() {
            Some(failure) => Err(failure),
            None => Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(())),
        })?;
        Ok(Self { process, port, _directory: directory })
    }
}

/// One that was free a moment ago: the server can't choose one itself.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(Error::peer("a free port"))
}
