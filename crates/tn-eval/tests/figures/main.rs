//! Every figure, with input that is hard to draw: texts stay on the canvas and apart from each other.

mod layout;

use layout::Layout;
use tn_eval::Estimate;
use tn_eval::plot::{
    BarSeries, BoxGroup, CropCell, EnrichmentDot, FoldChangePoint, HeatMap, MapPanel, Neighborhood, PlotError, VolcanoPoint,
    VolcanoThresholds, box_with_points, class_map, enrichment_dots, fold_change_scatter, heat_map, metric_bars, neighborhood_crop, stacked,
    value_map, volcano,
};
use tn_sentence::Position;

const NAMES: [&str; 9] = [
    "GFAP",
    "",
    "<cs> A & \"B\" </cs>",
    "Ünïcödé β-Zellen, клетки, 細胞, 🧬",
    "Regulation of Insulin-like Growth Factor (IGF) transport and uptake by Insulin-like Growth Factor Binding Proteins (IGFBPs)",
    "REACTOME_INTERFERON_GAMMA_SIGNALING_AND_A_VERY_LONG_TAIL_WITHOUT_ANY_BLANK_IN_IT_WHICH_GOES_ON_AND_ON",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "two\nlines\tand a tab",
    "log₂ and log₁₀",
];

/// Magnitudes of values; each is drawn with others of its size.
const MAGNITUDES: [f64; 8] = [1.0, 1e-300, 1e-9, 0.004, 1e3, 123_456.789, 1e12, 1e307];

/// Draws a figure with each of the titles that are hard, and twice, and reads it.
#[track_caller]
fn check(what: &str, draw: impl Fn(&str) -> Result<String, PlotError>) {
    for title in NAMES {
        let svg = draw(title).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(svg, draw(title).unwrap(), "{what} is not the same twice");
        Layout::read(&svg).check(what);
    }
}

/// As many names as asked for: the hard ones first, then numbered.
fn names(count: usize) -> Vec<String> {
    let numbered = (0..).map(|index| format!("OB-STR-CTX Inh IMN {index}"));
    NAMES.iter().map(ToString::to_string).chain(numbered).take(count).collect()
}

/// Numbers between -1 and 1 in no order, always the same.
fn scattered(count: usize) -> Vec<f64> {
    (0..count).map(|index| 2.0 * (1e4 * (index as f64 * 12.9898).sin()).rem_euclid(1.0) - 1.0).collect()
}

fn position(x: f64, y: f64) -> Position {
    Position::new(x, y).unwrap()
}

fn positions(count: usize, size: f64) -> Vec<Position> {
    let values = scattered(2 * count);
    values.chunks(2).map(|pair| position(size * pair[0], size * pair[1])).collect()
}

#[test]
fn class_maps_are_legible() {
    for (cells, classes, panels, size) in
        [(1, 1, 1, 0.0), (500, 60, 2, 900.0), (80, 9, 1, 1e-9), (80, 9, 3, 1e12), (9, 2, 1, 1e300), (200, 100, 13, 1e5)]
    {
        let names = names(classes);
        let cells: Vec<_> = positions(cells, size).into_iter().enumerate().map(|(index, place)| (place, &names[index % classes])).collect();
        let titles = NAMES.iter().cycle();
        let panels: Vec<_> =
            titles.take(panels).map(|title| MapPanel::new(*title, cells.clone()).with_context(positions(9, size))).collect();
        check(&format!("class map of {classes} classes"), |title| class_map(title, &panels));
    }
}

#[test]
fn value_maps_are_legible() {
    for magnitude in MAGNITUDES {
        for cells in [1, 300] {
            let values = scattered(cells).into_iter().map(|value| value * magnitude);
            let panel = MapPanel::new(NAMES[4], positions(cells, 500.0).into_iter().zip(values).collect());
            for name in NAMES {
                check(&format!("value map of {magnitude}"), |title| value_map(title, name, std::slice::from_ref(&panel)));
            }
        }
    }
}

#[test]
fn metric_bars_are_legible() {
    for (groups, series, magnitude) in [(1, 1, 1.0), (9, 9, 1.0), (60, 3, 1.0), (3, 60, 1.0), (400, 2, 1.0)]
        .into_iter()
        .chain(MAGNITUDES.map(|magnitude| (3, 5, magnitude)))
    {
        let series: Vec<BarSeries> = names(series)
            .into_iter()
            .map(|name| {
                let estimate = |mean: f64| Estimate { mean, low: Some(mean - 0.2 * magnitude), high: Some(mean + 0.2 * magnitude) };
                BarSeries::new(name, scattered(groups).into_iter().map(|mean| estimate(mean * magnitude)).collect())
            })
            .collect();
        check(&format!("{groups} groups of bars of {magnitude}"), |title| metric_bars(title, &names(groups), &series));
    }
    let zero = BarSeries::new("Random", vec![Estimate::from_values([0.0, 0.0])]);
    check("bars of zeros", |title| metric_bars(title, &["overlap@10"], std::slice::from_ref(&zero)));
    let whole = BarSeries::new("Both ways", [1.0, -1.0].map(|mean| Estimate { mean, low: None, high: None }).to_vec());
    check("bars as long as the axis", |title| metric_bars(title, &["up", "down"], std::slice::from_ref(&whole)));
}

#[test]
fn fold_change_scatters_are_legible() {
    for (count, magnitude) in [(1, 1.0), (60, 0.0), (300, 1.0)].into_iter().chain(MAGNITUDES.map(|magnitude| (40, magnitude))) {
        let changes = scattered(2 * count);
        let point = |(index, gene): (usize, String)| {
            let (planted, predicted) = (magnitude * changes[2 * index], magnitude * changes[2 * index + 1]);
            FoldChangePoint { gene, planted, predicted }
        };
        let genes: Vec<FoldChangePoint> = names(count).into_iter().enumerate().map(point).collect();
        for name in [NAMES[3], NAMES[4]] {
            check(&format!("{count} changes of {magnitude}"), |title| fold_change_scatter(title, name, name, &genes));
        }
    }
}

#[test]
fn neighborhoods_are_legible() {
    for (count, classes, size) in
        [(0, 1, 1.0), (1, 1, 0.0), (30, 9, 50.0), (400, 60, 50.0), (60, 13, 50.0), (30, 3, 1e-9), (30, 3, 1e12), (9, 3, 1e300)]
    {
        let names = names(classes);
        let cell = |(index, place)| {
            let cell = CropCell::new(place, &names[index % classes]);
            if index % 3 == 0 { cell } else { cell.with_genes(&[NAMES[index % NAMES.len()], "AQP4"]) }
        };
        let cells = positions(count, size).into_iter().enumerate().map(cell).collect();
        let target = CropCell::new(position(0.0, 0.0), NAMES[5]).with_genes(&["SPP1", "CD74"]);
        let neighborhood = Neighborhood::new(target, cells);
        check(&format!("{count} neighbors of {classes} classes"), |title| neighborhood_crop(title, &neighborhood));
        let cropped = neighborhood.with_reach(20.0);
        check(&format!("{count} neighbors of {classes} classes, cropped"), |title| neighborhood_crop(title, &cropped));
    }
}

#[test]
fn volcanoes_are_legible() {
    for (count, magnitude) in [(1, 1.0), (60, 0.0), (3_000, 2.0)].into_iter().chain(MAGNITUDES.map(|magnitude| (40, magnitude))) {
        for rate in [0.0, 1e-308, 1e-20, 0.5, 1.0] {
            let point = |(index, (gene, change)): (usize, (String, f64))| {
                let fdr = if index % 2 == 0 { rate } else { 10_f64.powf(-50.0 * change.abs()) };
                VolcanoPoint { gene, log_fold_change: magnitude * change, fdr }
            };
            let genes: Vec<VolcanoPoint> = names(count).into_iter().zip(scattered(count)).enumerate().map(point).collect();
            for thresholds in [VolcanoThresholds::default(), VolcanoThresholds { log_fold_change: 0.0, fdr: 1.0 }] {
                check(&format!("volcano of {count} changes of {magnitude}"), |title| volcano(title, &genes, thresholds));
            }
        }
    }
}

#[test]
fn enrichment_dots_are_legible() {
    for (count, magnitude) in [(1, 1.0), (9, 0.0), (60, 2.0)].into_iter().chain(MAGNITUDES.map(|magnitude| (9, magnitude))) {
        for rate in [0.0, 1e-300, 0.04, 1.0] {
            let dot = |(index, (term, nes)): (usize, (String, f64))| {
                let gene_share = if count == 1 { 0.0 } else { index as f64 / count as f64 };
                EnrichmentDot { term, nes: nes * magnitude, fdr: rate * nes.abs(), gene_share }
            };
            let dots: Vec<EnrichmentDot> = names(count).into_iter().zip(scattered(count)).enumerate().map(dot).collect();
            check(&format!("{count} gene sets of {magnitude}"), |title| enrichment_dots(title, &dots));
        }
    }
}

#[test]
fn boxes_are_legible() {
    for (groups, count, magnitude) in [(1, 1, 1.0), (9, 40, 1.0), (60, 40, 1.0), (400, 5, 1.0), (2, 2_500, 1.0), (2, 40, 0.0)]
        .into_iter()
        .chain(MAGNITUDES.map(|magnitude| (4, 30, magnitude)))
    {
        let values: Vec<f64> = scattered(count).into_iter().map(|value| value * magnitude).collect();
        let groups: Vec<BoxGroup> = names(groups).into_iter().map(|name| BoxGroup::new(name, values.clone())).collect();
        for name in [NAMES[3], NAMES[4]] {
            check(&format!("{} boxes of {magnitude}", groups.len()), |title| box_with_points(title, name, &groups));
        }
    }
}

#[test]
fn heat_maps_are_legible() {
    for (rows, columns, magnitude) in [(1, 1, 1.0), (9, 9, 1.0), (60, 60, 1.0), (2, 400, 1.0), (100, 1, 0.0)]
        .into_iter()
        .chain(MAGNITUDES.map(|magnitude| (5, 7, magnitude)))
    {
        let values: Vec<f64> = scattered(rows * columns).into_iter().map(|value| value * magnitude).collect();
        let plain = HeatMap::new(names(rows), names(columns), values).unwrap();
        check(&format!("{rows} rows, {columns} columns of {magnitude}"), |title| heat_map(title, &plain));
        let named = plain.with_axes(NAMES[4], NAMES[5]).with_value_name(NAMES[6]);
        check(&format!("named: {rows} rows, {columns} columns of {magnitude}"), |title| heat_map(title, &named));
    }
}

#[test]
fn stacked_figures_are_legible() {
    let bars = metric_bars("Scores", &["overlap@10"], &[BarSeries::new("Random", vec![Estimate::from_values([0.1, 0.2])])]).unwrap();
    let boxes = box_with_points("NFKBIA", "expression", &[BoxGroup::new("near", vec![1.0, 2.0])]).unwrap();
    let picture = stacked(&[&bars, &boxes]).unwrap();
    let layout = Layout::read(&picture);
    layout.check("stacked");
    assert_eq!(layout.texts.len(), Layout::read(&bars).texts.len() + Layout::read(&boxes).texts.len());
}

#[test]
fn what_is_illegible_is_found() {
    let figure = |body: &str| format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" height=\"50\">{body}</svg>");
    let fails = |body: &str| {
        let layout = Layout::read(&figure(body));
        std::panic::catch_unwind(|| layout.check("")).is_err()
    };
    let text = |x: f64, y: f64, more: &str| format!("<text x=\"{x}\" y=\"{y}\" font-size=\"10\"{more}>GFAP</text>");
    assert!(!fails(&text(10.0, 20.0, "")));
    assert!(fails(&text(80.0, 20.0, "")));
    assert!(fails(&text(10.0, 20.0, " text-anchor=\"end\"")));
    assert!(fails(&text(10.0, 5.0, "")));
    assert!(fails(&(text(10.0, 20.0, "") + &text(30.0, 25.0, ""))));
    assert!(!fails(&(text(10.0, 20.0, "") + &text(10.0, 35.0, ""))));
    assert!(fails("<text transform=\"translate(50 10) rotate(-90)\" font-size=\"10\">GFAP</text>"));
    assert!(!fails("<text transform=\"translate(50 40) rotate(-90)\" font-size=\"10\">GFAP</text>"));
    assert!(fails("<circle cx=\"50\" cy=\"45\" r=\"9\"/>"));
    assert!(fails("<polygon points=\"5,5 50,60 5,40\"/>"));
}
