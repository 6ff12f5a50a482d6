//! Graphs: what their definitions draw, and which definitions are refused.

use super::caller;
use crate::testing::Caller;
use base64::Engine as _;
use serde_json::{Value, json};

/// The width, height and pixels of a widget's image.
struct Image {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Image {
    fn has(&self, colour: [u8; 3]) -> bool {
        self.count(colour) > 0
    }

    fn count(&self, colour: [u8; 3]) -> usize {
        self.pixels
            .chunks_exact(3)
            .filter(|pixel| **pixel == colour)
            .count()
    }

    /// The rows of a column that have this colour, from the top.
    fn rows(&self, x: usize, colour: [u8; 3]) -> Vec<usize> {
        let pixel = |y: usize| &self.pixels[(y * self.width + x) * 3..][..3];
        (0..self.height).filter(|y| *pixel(*y) == colour).collect()
    }
}

fn input(widget: &Value) -> Value {
    json!({"MetricWidget": widget.to_string()})
}

fn image(caller: &mut Caller, widget: &Value) -> Image {
    let answer = caller.watch("GetMetricWidgetImage", input(widget));
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(answer["MetricWidgetImage"].as_str().unwrap())
        .unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    Image {
        width: info.width as usize,
        height: info.height as usize,
        pixels,
    }
}

/// A caller who has put ten minutes of two metrics.
fn busy() -> Caller {
    let mut caller = caller();
    for _ in 0..10 {
        caller.put("Requests", 10.0);
        caller.put("Errors", 5.0);
        caller.pass(60);
    }
    caller
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 200, 0];

#[test]
fn a_line_is_drawn_in_its_colour_and_at_its_height() {
    let mut caller = busy();
    let drawn = image(
        &mut caller,
        &json!({"width": 800, "height": 300, "title": "Requests ä → ∞", "stat": "Sum", "period": 60, "start": "-PT10M",
            "yAxis": {"left": {"min": 0, "max": 20, "label": "a minute"}}, "legend": {"position": "hidden"},
            "annotations": {"horizontal": [{"value": 15, "label": "most", "color": "#00c800"}]},
            "metrics": [["App", "Requests", {"color": "#f00", "label": "All of them"}]]}),
    );
    assert_eq!((drawn.width, drawn.height), (800, 300));
    let line = drawn.rows(400, RED);
    let above = drawn.rows(400, GREEN);
    // The axis extends from 50 pixels below the top to 26 above the bottom, so 10 of 20 is in the middle and 15 at
    // three quarters.
    assert!(
        line.iter().all(|y| (158..=166).contains(y)) && !line.is_empty(),
        "{line:?}"
    );
    assert!(
        above.iter().all(|y| (103..=109).contains(y)) && !above.is_empty(),
        "{above:?}"
    );
}

#[test]
fn shorthand_expressions_and_options_are_understood() {
    let mut caller = busy();
    let host = json!([{"Name": "Host", "Value": "a"}, {"Name": "Zone", "Value": "z"}]);
    let at = caller.seconds() - 120;
    for value in ["z", "y"] {
        let mut host = host.clone();
        host[1]["Value"] = json!(value);
        let datum = json!({"MetricName": "Load", "Dimensions": host, "Value": 3.0, "Timestamp": at});
        caller.watch(
            "PutMetricData",
            json!({"Namespace": "App", "MetricData": [datum]}),
        );
    }
    let drawn = image(
        &mut caller,
        &json!({"period": 60, "start": "-PT15M", "end": "PT0H", "timezone": "+0130", "stacked": true, "legend": {"position": "right"},
            "metrics": [
                ["App", "Load", "Host", "a", "Zone", "z", {"id": "m1", "visible": false, "stat": "p99"}],
                ["...", "y", {"color": "#00c800", "yAxis": "right"}],
                [".", ".", ".", ".", ".", "z", {"id": "m2", "visible": false}],
                [{"expression": "m1+m2", "label": "both", "color": "#ff0000"}],
                [{"expression": "SEARCH('{App,Host,Zone} Load', 'Sum', 60)", "id": "found"}]]}),
    );
    assert_eq!((drawn.width, drawn.height), (600, 400));
    assert!(drawn.has(RED) && drawn.has(GREEN));
    // Series found by SEARCH have their own colours.
    assert!(drawn.has([0x2c, 0xa0, 0x2c]));
}

#[test]
fn where_nothing_was_put_the_line_has_a_gap() {
    let mut caller = caller();
    for minute in 0..10 {
        if !(3..7).contains(&minute) {
            caller.put("Requests", 10.0);
        }
        caller.pass(60);
    }
    let widget = json!({"period": 60, "start": "-PT10M", "legend": {"position": "hidden"},
        "metrics": [["App", "Requests", {"color": "#ff0000"}]]});
    let drawn = image(&mut caller, &widget);
    let columns: Vec<bool> = (80..520).map(|x| !drawn.rows(x, RED).is_empty()).collect();
    let middle = &columns[columns.len() * 4 / 10..columns.len() * 6 / 10];
    assert!(columns.iter().any(|drawn| *drawn) && middle.iter().all(|drawn| !drawn));
}

#[test]
fn the_smallest_and_the_strangest_graphs_are_drawn() {
    let mut caller = busy();
    for (name, value) in [("Huge", 1e108), ("Huge", -1e108), ("Tiny", 1e-105)] {
        caller.put(name, value);
        caller.pass(60);
    }
    for (width, height) in [(1, 1), (1, 2000), (2000, 1), (40, 40), (161, 101), (2000, 2000)] {
        for stacked in [false, true] {
            let widget = json!({"width": width, "height": height, "stacked": stacked, "start": "-PT30M", "period": 60, "title": "W".repeat(5000),
                "annotations": {"horizontal": [{"value": 1e300, "yAxis": "right", "label": "\u{1b}[31m\u{10ffff}"}, {"value": -1e308}, {"value": 1e308}]},
                "yAxis": {"left": {"min": 1e300}, "right": {"max": -1e300}},
                "metrics": [["App", "Huge", {"yAxis": "right"}], [".", "Tiny"], [".", "Absent"], [{"expression": "METRICS()/0"}]]});
            let drawn = image(&mut caller, &widget);
            assert_eq!((drawn.width, drawn.height), (width, height));
        }
    }
}

#[test]
fn what_is_no_widget_is_refused_with_the_reason() {
    let mut caller = busy();
    let metrics = json!([["App", "Requests"]]);
    let many: Vec<Value> = vec![json!(["App", "Requests"]); 101];
    for (widget, reason) in [
        (json!([]), "/: Should be an object"),
        (json!({}), "/: Should have required property 'metrics'"),
        (json!({"metrics": []}), "/metrics: Should have 1 to 100 items"),
        (json!({"metrics": many}), "/metrics: Should have 1 to 100 items"),
        (
            json!({"metrics": metrics, "width": 0}),
            "/width: Should be an integer from 1 to 2000",
        ),
        (
            json!({"metrics": metrics, "height": 2001}),
            "/height: Should be an integer from 1 to 2000",
        ),
        (
            json!({"metrics": metrics, "view": "pie"}),
            "/view: Should be timeSeries: 'pie' is not drawn",
        ),
        (
            json!({"metrics": metrics, "start": "soon"}),
            "/start: Should be a time",
        ),
        (
            json!({"metrics": metrics, "start": "-PT1H", "end": "-PT2H"}),
            "/start: Should be before end",
        ),
        (
            json!({"metrics": metrics, "timezone": "CET"}),
            "/timezone: Should be an offset",
        ),
        (
            json!({"metrics": metrics, "period": 61}),
            "must be 1, 5, 10, 20, 30 or a multiple of 60",
        ),
        (
            json!({"metrics": metrics, "stat": "Most"}),
            "The value Most for parameter Stat",
        ),
        (
            json!({"metrics": metrics, "start": "-P3D", "period": 1}),
            "exceeds the limit of 100800",
        ),
        (
            json!({"metrics": metrics, "yAxis": {"left": {"min": 2, "max": 1}}}),
            "/yAxis/left: Should have a min",
        ),
        (
            json!({"metrics": metrics, "legend": {"position": "top"}}),
            "/legend/position: Should be bottom",
        ),
        (
            json!({"metrics": metrics, "annotations": {"horizontal": [{"label": "x"}]}}),
            "Should have required property 'value'",
        ),
        (
            json!({"metrics": [["App", "Requests", {"color": "red"}]]}),
            "/metrics/0/color: Should be a colour",
        ),
        (
            json!({"metrics": [["App", "Requests", {"yAxis": "top"}]]}),
            "/metrics/0/yAxis: Should be left or right",
        ),
        (
            json!({"metrics": [["App", "Requests", {"region": "elsewhere-1"}]]}),
            "elsewhere-1 is not read",
        ),
        (
            json!({"metrics": [["App"]]}),
            "/metrics/0: Should have a namespace",
        ),
        (json!({"metrics": [["...", "x"]]}), "'...' stands for more"),
        (json!({"metrics": [[".", "x"]]}), "'.' has no counterpart"),
        (
            json!({"metrics": [["App", "Requests", {"id": "Q"}]]}),
            "not matching the expected pattern",
        ),
        (
            json!({"metrics": [[{"expression": "m9*2"}]]}),
            "no other query has the id 'm9'",
        ),
        (
            json!({"metrics": [[{"expression": "1+1"}]]}),
            "must come to series",
        ),
    ] {
        let (code, message) = caller.refused("GetMetricWidgetImage", input(&widget));
        assert_eq!(code, "ValidationError", "{widget}");
        assert!(message.contains(reason), "{widget}: {message}");
    }
    let mut wanted = input(&json!({"metrics": metrics}));
    wanted["OutputFormat"] = json!("image/png");
    caller.watch("GetMetricWidgetImage", wanted.clone());
    wanted["OutputFormat"] = json!("svg");
    let refused = caller.refused("GetMetricWidgetImage", wanted);
    assert!(refused.1.contains("must be png or image/png"), "{refused:?}");
    let broken = caller.refused("GetMetricWidgetImage", json!({"MetricWidget": "{"}));
    assert!(broken.1.contains("Should be valid JSON"), "{broken:?}");
}
