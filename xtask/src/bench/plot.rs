//! The ratios as bars.

use std::fmt::Write;

use super::report::Report;

const BAR: u32 = 13;
const GAP: u32 = 14;
const LEFT: u32 = 270;
const WIDTH: u32 = 560;
const RIGHT: u32 = 70;
const TOP: u32 = 66;

/// Draws the cells' figures ÷ those of the raw server, on a logarithmic scale.
pub(super) fn svg(report: &Report<'_>) -> String {
    let groups: Vec<_> = report
        .cells
        .iter()
        .map(|cell| {
            let bars: Vec<_> = report
                .subjects
                .iter()
                .filter(|subject| !subject.is_raw())
                .filter_map(|subject| Some((*subject, report.ratios(cell, subject)?.0)))
                .collect();
            (cell, bars)
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let ratios = || {
        groups
            .iter()
            .flat_map(|(_, bars)| bars.iter().map(|bar| bar.1))
    };
    let low = ratios().fold(0.5, f64::min);
    let high = ratios().fold(2.0, f64::max);
    let at = |ratio: f64| {
        let share = (ratio / low).ln() / (high / low).ln();
        f64::from(LEFT) + share * f64::from(WIDTH)
    };
    let bars: u32 = groups.iter().map(|(_, bars)| bars.len() as u32).sum();
    let height = TOP + bars * BAR + groups.len() as u32 * GAP + 10;
    let width = LEFT + WIDTH + RIGHT;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" fill=\"#222\">CPU time a message ÷ raw TCP in \
         the same run</text>\n\
         <text x=\"12\" y=\"40\" fill=\"#666\">Less is better; logarithmic; medians. A cell is \
         message size/connections/frames at once; latency is p99, calls are system calls.</text>\n"
    );
    let mut tick = low.log2().ceil();
    while tick <= high.log2() {
        let x = at(tick.exp2());
        let color = if tick == 0.0 { "#222" } else { "#ddd" };
        let _ = write!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"{color}\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{}</text>\n",
            TOP - 4,
            height - 10,
            TOP - 8,
            tick.exp2(),
        );
        tick += 1.0;
    }
    let mut y = TOP;
    for (cell, bars) in groups {
        let _ = writeln!(
            out,
            "<text x=\"12\" y=\"{}\" fill=\"#222\" font-weight=\"bold\">{cell}</text>",
            y + BAR - 3
        );
        for (subject, ratio) in bars {
            let (from, to) = (at(1.0).min(at(ratio)), at(1.0).max(at(ratio)));
            let color = if subject.is_ours() { "#0a7" } else { "#9ab" };
            let _ = write!(
                out,
                "<text x=\"{}\" y=\"{text_y}\" text-anchor=\"end\" fill=\"#444\">{}</text>\n\
                 <rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{color}\"/>\n\
                 <text x=\"{:.1}\" y=\"{text_y}\" fill=\"#444\">{ratio:.2}</text>\n",
                LEFT - 8,
                subject.name,
                y + 1,
                (to - from).max(1.0),
                BAR - 2,
                to + 4.0,
                text_y = y + BAR - 3,
            );
            y += BAR;
        }
        y += GAP;
    }
    out.push_str("</svg>\n");
    out
}
