//! OpenMetrics 1.0 to the Prometheus text format 0.0.4, while it is written.
//!
//! `prometheus-client` writes OpenMetrics only. Sample lines are the same in both formats; what differs is
//! the metadata: 0.0.4 names a counter by its sample (`_total`), an info by its sample (`_info`) with the
//! type gauge, and knows neither UNIT nor EOF.

use std::fmt;

/// Passes sample lines through and rewrites metadata lines.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut String,
    metadata: String,
    at_line_start: bool,
    in_metadata: bool,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut String) -> Self {
        Self { out, metadata: String::new(), at_line_start: true, in_metadata: false }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Never: it writes to a `String`.
    pub fn finish(mut self) -> fmt::Result {
        self.flush_metadata();
        Ok(())
    }

    fn flush_metadata(&mut self) {
        let (suffix, kind) = match field(&self.metadata, "# TYPE ").map(|(_, kind)| kind).unwrap_or_default() {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            other => ("", other),
        };
        if let Some((name, help)) = field(&self.metadata, "# HELP ") {
            for piece in ["# HELP ", name, suffix, " ", help, "\n", "# TYPE ", name, suffix, " ", kind, "\n"] {
                self.out.push_str(piece);
            }
        }
        self.metadata.clear();
    }
}

/// The name and the rest of the metadata line that starts so.
fn field<'m>(metadata: &'m str, start: &str) -> Option<(&'m str, &'m str)> {
    metadata.lines().find_map(|line| line.strip_prefix(start)?.split_once(' '))
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if piece.is_empty() {
            return Ok(());
        }
        if self.at_line_start {
            self.in_metadata = piece.starts_with('#');
            if !self.in_metadata && !self.metadata.is_empty() {
                self.flush_metadata();
            }
        }
        if self.in_metadata {
            self.metadata.push_str(piece);
        } else {
            self.out.push_str(piece);
        }
        self.at_line_start = piece.ends_with('\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;
    use std::fmt::Write;

    fn convert(pieces: &[&str]) -> String {
        let mut out = String::new();
        let mut writer = Writer::new(&mut out);
        for piece in pieces {
            writer.write_str(piece).expect("a String takes everything");
        }
        writer.finish().expect("a String takes everything");
        out
    }

    #[test]
    fn counters_are_named_by_their_sample() {
        let out = convert(&[
            "# HELP a_seconds Help.\n# TYPE a_seconds counter\n",
            "# UNIT a_seconds seconds\n",
            "a_seconds_total",
            "{x=\"1\"} 2",
            "\n",
        ]);
        assert_eq!(out, "# HELP a_seconds_total Help.\n# TYPE a_seconds_total counter\na_seconds_total{x=\"1\"} 2\n");
    }

    #[test]
    fn infos_are_gauges_and_eof_is_gone() {
        let out =
            convert(&["# HELP ", "b", " ", "Help.", "\n", "# TYPE ", "b", " info", "\n", "b_info 1\n", "# EOF\n"]);
        assert_eq!(out, "# HELP b_info Help.\n# TYPE b_info gauge\nb_info 1\n");
    }

    #[test]
    fn a_label_value_that_looks_like_metadata_stays() {
        let out = convert(&["# HELP c Help.\n# TYPE c gauge\n", "c{x=\"", "# EOF", "\"} 1\n"]);
        assert_eq!(out, "# HELP c Help.\n# TYPE c gauge\nc{x=\"# EOF\"} 1\n");
    }
}
