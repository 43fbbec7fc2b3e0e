//! The plot of a scenario: signals above, alerts below, on one axis.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::drills::{EventKind, Outcome, Plotted};

/// The width of a plot in pixels.
const WIDTH: u32 = 900;
/// The height of one signal.
const ROW: u32 = 110;
/// The height of one alert's lane.
const LANE: u32 = 26;
/// Room for values at the left.
const LEFT: u32 = 70;
/// Room for times below.
const BELOW: u32 = 34;
/// Of the numbers along the axes.
const FONT: i32 = 13;
const AMBER: RGBColor = RGBColor(240, 173, 78);
const BRICK: RGBColor = RGBColor(201, 48, 44);
const GREY: RGBColor = RGBColor(120, 120, 120);
const LINES: [RGBColor; 5] = [
    RGBColor(31, 119, 180),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(23, 190, 207),
];

/// Why a plot could not be drawn.
pub(crate) type DrawError = Box<dyn std::error::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG: signals above, alerts below. Zero is the moment of the break.
pub(crate) fn plot(outcome: &Outcome) -> Result<String, DrawError> {
    let signals: Vec<&Plotted> = outcome.plots.iter().filter(|plotted| !plotted.series.is_empty()).collect();
    let lanes = lanes(outcome);
    let rows = u32::try_from(signals.len())? * ROW;
    let height = rows + u32::try_from(lanes.len())? * LANE + BELOW;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let (upper, lower) = root.split_vertically(rows);
        for (area, plotted) in upper.split_evenly((signals.len(), 1)).iter().zip(&signals) {
            signal(area, plotted, outcome)?;
        }
        alerts(&lower, &lanes, outcome)?;
        root.present()?;
    }
    Ok(svg)
}

fn since_break(outcome: &Outcome, at: f64) -> f64 {
    at - outcome.onset().unwrap_or_default()
}

/// From the first sample to the end.
fn shown(outcome: &Outcome) -> std::ops::Range<f64> {
    let first = outcome.plots.iter().flat_map(|plotted| &plotted.series).filter_map(|series| series.points.first());
    let start = first.map(|(at, _)| *at).fold(outcome.seconds, f64::min);
    since_break(outcome, start)..since_break(outcome, outcome.seconds)
}

fn signal(area: &Area<'_>, plotted: &Plotted, outcome: &Outcome) -> Result<(), DrawError> {
    let finite = |(at, value): &(f64, f64)| value.is_finite().then_some((since_break(outcome, *at), *value));
    let lines: Vec<Vec<(f64, f64)>> =
        plotted.series.iter().map(|series| series.points.iter().filter_map(finite).collect()).collect();
    let top = lines.iter().flatten().map(|(_, value)| *value).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(&plotted.title, ("sans-serif", FONT + 2))
        .margin_right(10)
        .y_label_area_size(LEFT)
        .x_label_area_size(4)
        .build_cartesian_2d(shown(outcome), 0.0..top)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().x_labels(0).y_labels(3).light_line_style(WHITE).label_style(("sans-serif", FONT)).draw()?;
    for (line, color) in lines.iter().zip(LINES.iter().cycle()) {
        for piece in pieces(line) {
            chart.draw_series(LineSeries::new(piece.iter().copied(), color.stroke_width(2)))?;
        }
    }
    for ((series, color), row) in plotted.series.iter().zip(LINES.iter()).zip(0..) {
        let style = ("sans-serif", FONT).into_text_style(area).color(color);
        area.draw_text(&series.name, &style, (LEFT.cast_signed() + 8, 20 + FONT * row))?;
    }
    chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (0.0, top)], 4, 3, GREY.stroke_width(1)))?;
    Ok(())
}

/// The line without the times at which there was no value: no value is none, and not what lies between two others.
fn pieces(line: &[(f64, f64)]) -> Vec<&[(f64, f64)]> {
    let steps = line.windows(2).map(|pair| pair[1].0 - pair[0].0);
    let step = steps.fold(f64::INFINITY, f64::min);
    line.chunk_by(|one, next| next.0 - one.0 < step * 1.5).collect()
}

/// An alert's states over time: from, to, colour. What was pending and never fired is not shown.
struct Lane<'a> {
    alert: &'a str,
    bands: Vec<(f64, f64, RGBColor)>,
    told: Vec<f64>,
}

fn lanes(outcome: &Outcome) -> Vec<Lane<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for event in &outcome.events {
        if event.kind == EventKind::Firing && !lanes.iter().any(|lane| lane.alert == event.what) {
            lanes.push(lane(outcome, &event.what));
        }
    }
    lanes
}

fn lane<'a>(outcome: &Outcome, alert: &'a str) -> Lane<'a> {
    let mut lane = Lane { alert, bands: Vec::new(), told: Vec::new() };
    let mut open: Option<(f64, RGBColor)> = None;
    for event in outcome.events.iter().filter(|event| event.what == alert) {
        let at = since_break(outcome, event.at);
        let next = match event.kind {
            EventKind::Pending => Some((at, AMBER)),
            EventKind::Firing => Some((at, BRICK)),
            EventKind::Resolved => None,
            EventKind::Slack => {
                lane.told.push(at);
                continue;
            }
            EventKind::Step | EventKind::Onset | EventKind::Relief => continue,
        };
        // It may have been pending before, and no more: then it is pending anew, or at the end.
        let pending_again = event.kind == EventKind::Pending;
        if let Some((start, color)) = std::mem::replace(&mut open, next).filter(|_| !pending_again) {
            lane.bands.push((start, at, color));
        }
    }
    if let Some((start, color)) = open.filter(|(_, color)| *color == BRICK) {
        lane.bands.push((start, since_break(outcome, outcome.seconds), color));
    }
    lane
}

#[expect(clippy::cast_precision_loss, reason = "a few lanes")]
fn alerts(area: &Area<'_>, lanes: &[Lane<'_>], outcome: &Outcome) -> Result<(), DrawError> {
    let count = lanes.len().max(1) as f64;
    let axis = shown(outcome);
    let names_at = axis.start + (axis.end - axis.start) * 0.005;
    let mut chart = ChartBuilder::on(area)
        .margin_right(10)
        .y_label_area_size(LEFT)
        .x_label_area_size(BELOW)
        .build_cartesian_2d(axis, 0.0..count)?;
    let since = |at: &f64| format!("{at:.0} s");
    let mut mesh = chart.configure_mesh();
    mesh.disable_mesh().y_labels(0).x_labels(8).x_label_formatter(&since).label_style(("sans-serif", FONT)).draw()?;
    for (number, Lane { alert, bands, told }) in lanes.iter().enumerate() {
        let base = count - number as f64 - 1.0;
        let band = |(start, end, color): &(f64, f64, RGBColor)| {
            Rectangle::new([(*start, base + 0.15), (*end, base + 0.85)], color.filled())
        };
        chart.draw_series(bands.iter().map(band))?;
        chart.draw_series(told.iter().map(|at| Circle::new((*at, base + 0.5), 5, BLACK.filled())))?;
        chart.draw_series([Text::new(
            (*alert).to_owned(),
            (names_at, base + 0.75),
            ("sans-serif", FONT + 1).into_font(),
        )])?;
    }
    chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (0.0, count)], 4, 3, GREY.stroke_width(1)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{AMBER, BRICK, lane, pieces, plot};
    use crate::drills::{Event, EventKind, Outcome, Plotted, Series};

    fn outcome() -> Outcome {
        let event = |at, kind, what: &str| Event { at, kind, what: what.to_owned(), severity: String::new() };
        let points = vec![(5.0, 1.0), (20.0, f64::NAN), (100.0, 0.0)];
        Outcome {
            scenario: "x".to_owned(),
            began: String::new(),
            seconds: 100.0,
            machine: String::new(),
            pace: String::new(),
            failures: Vec::new(),
            events: vec![
                event(10.0, EventKind::Onset, "broken"),
                event(20.0, EventKind::Pending, "A"),
                event(30.0, EventKind::Firing, "A"),
                event(35.0, EventKind::Slack, "A"),
                event(50.0, EventKind::Resolved, "A"),
                event(60.0, EventKind::Firing, "A"),
                event(70.0, EventKind::Pending, "B"),
            ],
            messages: Vec::new(),
            scrapes: Vec::new(),
            plots: vec![Plotted { title: "up <1>".to_owned(), series: vec![Series { name: "a".to_owned(), points }] }],
            others: Vec::new(),
        }
    }

    #[test]
    fn an_alert_is_pending_then_firing_then_over_then_firing_to_the_end() {
        let outcome = outcome();
        let lane = lane(&outcome, "A");
        assert_eq!(lane.bands, [(10.0, 20.0, AMBER), (20.0, 40.0, BRICK), (50.0, 90.0, BRICK)]);
        assert_eq!(lane.told, [25.0]);
        assert!(super::lane(&outcome, "B").bands.is_empty(), "it never fired");
    }

    #[test]
    fn where_there_was_no_value_is_no_line() {
        let line = [(1.0, 1.0), (2.0, 1.0), (3.002, 1.0), (9.0, 1.0), (10.0, 0.0)];
        assert_eq!(pieces(&line), [&line[..3], &line[3..]]);
        assert_eq!(pieces(&line[..1]), [&line[..1]]);
        assert!(pieces(&[]).is_empty());
    }

    #[test]
    fn a_plot_has_its_titles_and_times() {
        let svg = plot(&outcome()).unwrap();
        for part in ["up &lt;1&gt;", ">\nA\n<", ">\n20 s\n<"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }
}
