//! Which exposition format the client wants.

/// An exposition format the exporter speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4, which every client understands.
    Text,
    /// OpenMetrics text 1.0.
    OpenMetrics,
}

impl Format {
    /// The full Content-Type; Prometheus 3 refuses a scrape without one.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Chooses by the `Accept` header: the highest quality wins, OpenMetrics wins a tie, and a client that
    /// names neither gets text rather than an error, as with every exporter.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let mut best = (Self::Text, 0.0);
        for (format, quality) in accept.unwrap_or_default().split(',').filter_map(offer) {
            if quality > best.1 || (quality == best.1 && quality > 0.0 && format == Self::OpenMetrics) {
                best = (format, quality);
            }
        }
        best.0
    }
}

/// One element of `Accept`: the format it names and its quality.
fn offer(element: &str) -> Option<(Format, f32)> {
    let mut parts = element.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let mut version = None;
    let mut quality = 1.0;
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => version = Some(value.trim().trim_matches('"')),
            "q" => quality = value.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?,
            _ => {}
        }
    }
    let format = match (media_type.as_str(), version) {
        ("application/openmetrics-text", None | Some("1.0.0")) => Format::OpenMetrics,
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Format::Text,
        _ => return None,
    };
    Some((format, quality))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use proptest::prelude::*;

    #[test]
    fn prometheus_2_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::negotiate(Some(accept)), Format::OpenMetrics);
    }

    #[test]
    fn prometheus_3_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::negotiate(Some(accept)), Format::OpenMetrics);
    }

    #[test]
    fn text_wins_where_it_is_preferred_or_all_there_is() {
        for accept in [
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;version=1.0.0;q=0,text/plain",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.3",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "nonsense",
            "",
        ] {
            assert_eq!(Format::negotiate(Some(accept)), Format::Text, "{accept}");
        }
        assert_eq!(Format::negotiate(None), Format::Text);
    }

    proptest! {
        #[test]
        fn no_header_panics(accept in "\\PC*") {
            let _ = Format::negotiate(Some(&accept));
        }
    }
}
