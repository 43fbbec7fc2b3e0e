//! Who is told of an alert, where and how soon: the section `alertmanager` of the configuration.

use serde::{Deserialize, Serialize};

use crate::config::Severity;
use crate::span::Span;

/// Alertmanager and Slack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the sample, printed by `flatline-rules init`, documents every key for its user")]
pub struct Alertmanager {
    pub target: String,
    pub slack_api_url_file: String,
    pub channels: Channels,
    pub group_wait: GroupWait,
    pub group_interval: Span,
    pub repeat_interval: RepeatInterval,
    pub grafana_url: String,
    pub dead_mans_switch_url: Option<String>,
    pub dead_mans_switch_interval: Span,
}

macro_rules! by_severity {
    ($(#[$doc:meta])* $name:ident: $value:ty = $page:expr, $warning:expr, $info:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[expect(missing_docs, reason = "the severities are documented where they are declared")]
        pub struct $name {
            pub page: $value,
            pub warning: $value,
            pub info: $value,
        }

        impl $name {
            /// The value for a severity.
            #[must_use]
            pub const fn of(&self, severity: Severity) -> &$value {
                match severity {
                    Severity::Page => &self.page,
                    Severity::Warning => &self.warning,
                    Severity::Info => &self.info,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { page: $page, warning: $warning, info: $info }
            }
        }
    };
}

by_severity! {
    /// The channel that is told.
    Channels: String = "#flatline-page".to_owned(), "#flatline".to_owned(), "#flatline".to_owned()
}
by_severity! {
    /// How long the first alert of a message waits for others, at the least.
    GroupWait: Span = Span::seconds(10), Span::seconds(30), Span::minutes(5)
}
by_severity! {
    /// After how long a message that is still true is sent again.
    RepeatInterval: Span = Span::hours(1), Span::hours(12), Span::hours(24 * 3)
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self {
            target: "alertmanager.example:9093".to_owned(),
            slack_api_url_file: "/etc/alertmanager/slack-webhook-url".to_owned(),
            channels: Channels::default(),
            group_wait: GroupWait::default(),
            group_interval: Span::minutes(5),
            repeat_interval: RepeatInterval::default(),
            grafana_url: "https://grafana.example".to_owned(),
            dead_mans_switch_url: None,
            dead_mans_switch_interval: Span::minutes(1),
        }
    }
}

/// Every severity, the most urgent first.
pub const SEVERITIES: [Severity; 3] = [Severity::Page, Severity::Warning, Severity::Info];

impl Alertmanager {
    /// What can't work, by key, and why.
    #[must_use]
    pub fn problem(&self) -> Option<(String, String)> {
        let must = |key: &str, holds: bool, reason: String| (!holds).then(|| (format!("alertmanager.{key}"), reason));
        let address = |key: &str, url: &str| {
            let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
            let ok = rest.is_some_and(|rest| !rest.is_empty() && !url.contains(char::is_whitespace));
            must(key, ok, format!("`{url}` is no http or https address"))
        };
        must(
            "target",
            self.target.contains(':') && !self.target.contains('/'),
            format!("`{}` is no host:port", self.target),
        )
        .or_else(|| {
            must(
                "slack_api_url_file",
                !self.slack_api_url_file.is_empty() && !self.slack_api_url_file.contains("://"),
                "needs the path of a file that holds the webhook's address; the address itself is a secret".to_owned(),
            )
        })
        .or_else(|| {
            SEVERITIES.iter().find_map(|&severity| {
                let channel = self.channels.of(severity);
                let named = channel.strip_prefix(['#', '@']).unwrap_or(channel);
                let ok = !named.is_empty() && !named.contains(|c: char| c.is_whitespace() || "#@{}".contains(c));
                must(&format!("channels.{severity}"), ok, format!("`{channel}` is no channel; write it like \"#ops\""))
            })
        })
        .or_else(|| must("group_interval", !self.group_interval.is_zero(), "can't be 0s".to_owned()))
        .or_else(|| {
            SEVERITIES.iter().find_map(|&severity| {
                let (repeat, interval) = (*self.repeat_interval.of(severity), self.group_interval);
                let reason =
                    format!("{repeat} is shorter than group_interval ({interval}), at which messages are sent");
                must(&format!("repeat_interval.{severity}"), repeat >= interval, reason)
            })
        })
        .or_else(|| address("grafana_url", &self.grafana_url))
        .or_else(|| address("dead_mans_switch_url", self.dead_mans_switch_url.as_deref()?))
        .or_else(|| {
            let interval = self.dead_mans_switch_interval;
            must("dead_mans_switch_interval", interval >= Span::seconds(1), format!("{interval} is below 1s"))
        })
    }
}
