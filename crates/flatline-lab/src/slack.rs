//! Slack's incoming webhook, as far as Alertmanager can tell: says `ok` and remembers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::http::{Server, respond};
use crate::{Result, wait_for};

/// A message that would have appeared in a channel.
#[derive(Clone, Debug)]
pub struct SlackMessage {
    /// When it came.
    pub received: SystemTime,
    /// The webhook's payload; null when it was no JSON.
    pub payload: Value,
}

impl SlackMessage {
    /// The title of the first attachment, where Alertmanager puts `[FIRING:1] Name`.
    pub fn title(&self) -> &str {
        self.payload["attachments"][0]["title"].as_str().unwrap_or_default()
    }
}

/// A recording webhook.
#[derive(Debug)]
pub struct SlackReceiver {
    server: Server,
    messages: Arc<Mutex<Vec<SlackMessage>>>,
}

impl SlackReceiver {
    /// Starts it on a free port.
    pub fn start() -> Result<Self> {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&messages);
        let server = Server::start(move |mut request| {
            let payload = serde_json::from_reader(request.as_reader()).unwrap_or_default();
            let message = SlackMessage { received: SystemTime::now(), payload };
            record.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            respond(request, 200, "text/plain", "ok");
        })?;
        Ok(Self { server, messages })
    }

    /// The URL for Alertmanager's `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}/services/hook", self.server.address())
    }

    /// Everything received so far, in order.
    pub fn messages(&self) -> Vec<SlackMessage> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a message whose title contains `part`.
    pub fn wait_for(&self, part: &str, deadline: Duration) -> Result<SlackMessage> {
        wait_for(format!("a Slack message with `{part}` in its title"), deadline, || {
            Ok(self.messages().into_iter().find(|message| message.title().contains(part)))
        })
    }
}
