//! As much of QEMU's monitor protocol as breaking a guest takes.
//!
//! The exporter's own client can only ask; this one can stop, throttle and kill, which is why it lives here.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Error, Result};

/// A connection to a QMP socket. QEMU serves one client per socket at a time.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects, and waits for the greeting and the end of the negotiation; `patience` bounds each answer.
    pub fn connect(socket: &Path, patience: Duration) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(Error::file(socket))?;
        stream.set_read_timeout(Some(patience)).map_err(Error::file(socket))?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.receive()?; // the greeting
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its `return` value.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}").map_err(Error::peer(format!("QMP {command}")))?;
        loop {
            let mut answer = self.receive()?;
            if let Some(error) = answer.get("error") {
                return Err(Error::peer(format!("QMP {command}"))(error));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Everything else is an event.
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(Error::peer("QMP"))?;
        serde_json::from_str(&line).map_err(Error::peer("QMP"))
    }
}
