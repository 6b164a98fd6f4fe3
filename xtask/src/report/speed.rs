//! Speed and memory beside others, as the kept runs have them.

use std::fmt::Write as _;

use super::page::{Page, Verdict, escape, mark, table};
use crate::{
    bench::results::{self, Comparison, Whose},
    tool::Failure,
};

/// By how much two numbers may differ that are one: runs differ by as much.
const EVEN: f64 = 0.02;

pub(super) fn write(page: &mut Page) -> Result<(), Failure> {
    let plain = results::read("selection")?;
    let mut secure = results::read("tls")?;
    secure.extend(results::read("tls-storm")?);
    let (of_memory, of_time): (Vec<_>, Vec<_>) = plain.into_iter().partition(is_memory);
    let all = || of_time.iter().chain(&of_memory).chain(&secure);
    let compared = all()
        .filter(|comparison| comparison.ratio().is_some())
        .count();
    let lost: Vec<_> = all().filter(|comparison| is_lost(comparison)).collect();
    let won = all().filter(|comparison| is_won(comparison)).count();
    page.sum_up(
        format!("{won} of {compared}"),
        &format!(
            "comparisons with the best of the others are won, {} are even, {} are lost",
            compared - won - lost.len(),
            lost.len()
        ),
        Verdict::Neutral,
    );
    let machine = escape(&results::machine("selection")?);
    let about = format!("<p>{machine}</p>\n<p>{ABOUT}</p>\n");
    page.add(
        "speed",
        "Speed",
        format!("{about}{}{}", plot(&of_time), loads(&of_time)),
    );
    page.add("lost", "What is lost", losses(&lost));
    let bars: String = of_memory.iter().map(bars).collect();
    page.add("memory", "Memory", bars);
    let machine = escape(&results::machine("tls")?);
    page.add(
        "tls",
        "Over TLS",
        format!("<p>{machine}</p>\n{}{}", plot(&secure), loads(&secure)),
    );
    Ok(())
}

const ABOUT: &str = "Every number is a median of interleaved runs on one machine, each server on one \
    core. A load is message size / connections / messages under way at once. The best of our two adapters \
    stands beside the best of the others; differences up to 2 % count as even. How it is \
    measured, and what it does not tell, is in benches/README.md.";

fn is_memory(comparison: &Comparison) -> bool {
    comparison.name.starts_with("memory/")
}

fn is_lost(comparison: &Comparison) -> bool {
    comparison.ratio().is_some_and(|ratio| ratio > 1.0 + EVEN)
}

fn is_won(comparison: &Comparison) -> bool {
    comparison.ratio().is_some_and(|ratio| ratio < 1.0 - EVEN)
}

fn verdict(comparison: &Comparison) -> (Verdict, &'static str) {
    match (is_won(comparison), is_lost(comparison)) {
        (true, _) => (Verdict::Good, "won"),
        (_, true) => (Verdict::Bad, "lost"),
        _ => (Verdict::Neutral, "even"),
    }
}

/// Ours ÷ the best of the others, a line each, on a logarithmic scale.
fn plot(comparisons: &[Comparison]) -> String {
    const LEFT: f64 = 300.0;
    const WIDTH: f64 = 520.0;
    const LINE: f64 = 20.0;
    const TOP: f64 = 30.0;
    let rows: Vec<_> = comparisons
        .iter()
        .filter_map(|comparison| Some((comparison, comparison.ratio()?)))
        .collect();
    let low = rows.iter().map(|(_, ratio)| *ratio).fold(0.5, f64::min);
    let high = rows.iter().map(|(_, ratio)| *ratio).fold(1.25, f64::max);
    let at = |ratio: f64| LEFT + (ratio / low).ln() / (high / low).ln() * WIDTH;
    let height = TOP + LINE * rows.len() as f64 + 10.0;
    let mut out = format!(
        "<figure><svg viewBox=\"0 0 {:.0} {height:.0}\" role=\"img\" aria-label=\"Ours divided by the best of \
         the others, for each load; the numbers are in the tables below\">\n",
        LEFT + WIDTH + 80.0
    );
    let ticks: &[f64] = match low < 0.25 {
        true => &[0.001, 0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0],
        false => &[0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0],
    };
    for &tick in ticks.iter().filter(|tick| (low..=high).contains(tick)) {
        let (x, class) = (at(tick), if tick == 1.0 { " class=\"one\"" } else { "" });
        let _ = writeln!(
            out,
            "<line{class} x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{height:.0}\"/>\
             <text class=\"quiet\" x=\"{x:.1}\" y=\"16\" text-anchor=\"middle\">{tick}</text>",
            TOP - 8.0
        );
    }
    for (index, (comparison, ratio)) in rows.iter().enumerate() {
        let (x, y) = (at(*ratio), TOP + LINE * index as f64 + 10.0);
        let (class, shape) = match is_lost(comparison) {
            // Another shape, for those who do not see the colour.
            true => ("lost", format!("M{x:.1} {:.1}l6 10h-12z", y - 6.0)),
            false => (
                "ours",
                format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", x - 5.0),
            ),
        };
        let name = escape(&format!("{}, {}", comparison.name, comparison.figure));
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <path class=\"{class}\" d=\"{shape}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 14.0,
            y + 4.0,
            x + 10.0,
            y + 4.0,
            shown(*ratio)
        );
    }
    out.push_str(
        "</svg>\n<figcaption>Ours ÷ the best of the others. A dot left of the line at 1 is won; a triangle is \
         lost.</figcaption></figure>\n",
    );
    out
}

/// A ratio with as many digits as it takes to see it.
fn shown(ratio: f64) -> String {
    match ratio < 0.1 {
        true => format!("{ratio:.4}"),
        false => format!("{ratio:.2}"),
    }
}

/// Every load with all servers.
fn loads(comparisons: &[Comparison]) -> String {
    let mut out = String::from("<h3>Every load</h3>\n");
    for comparison in comparisons {
        let (verdict, word) = verdict(comparison);
        let told = match comparison.ratio() {
            Some(ratio) => format!("{}, ratio {}", mark(word, verdict), shown(ratio)),
            None => "nobody else does it".to_owned(),
        };
        let _ = write!(
            out,
            "<details><summary><b>{}</b>, {} <span class=\"quiet\">{}</span>: {told}</summary>\n{}</details>\n",
            escape(&comparison.name),
            escape(comparison.figure),
            escape(&comparison.title),
            bars(comparison)
        );
    }
    out
}

/// The servers of one load, the best first.
fn bars(comparison: &Comparison) -> String {
    let most = comparison
        .servers
        .iter()
        .map(|server| server.value)
        .fold(0.0, f64::max);
    let best = comparison.best(Whose::Others).map(|server| server.value);
    let mut out = format!(
        "<table class=\"bars\">\n<caption>{}: {}</caption>\n<thead><tr><th scope=\"col\">server</th>\
         <th scope=\"col\"><span hidden>bar</span></th><th scope=\"col\">{}</th>\
         <th scope=\"col\">÷ best of the others</th></tr></thead>\n<tbody>\n",
        escape(&comparison.name),
        escape(&comparison.title),
        escape(comparison.figure)
    );
    for server in &comparison.servers {
        let (class, name) = match server.whose {
            Whose::Ours => ("ours", server.name.to_owned()),
            Whose::Floor => ("floor", format!("{}: TCP alone", server.name)),
            Whose::Others => ("others", server.name.to_owned()),
        };
        let width = if most > 0.0 {
            server.value / most * 100.0
        } else {
            0.0
        };
        let ratio = best.filter(|best| *best > 0.0);
        let ratio = match ratio {
            Some(best) => format!("{:.2}", server.value / best),
            None => "–".to_owned(),
        };
        let _ = writeln!(
            out,
            "<tr class=\"{class}\"><th scope=\"row\">{}</th><td class=\"bar\" aria-hidden=\"true\">\
             <span class=\"{class}\" style=\"width:{width:.1}%\"></span></td><td>{}</td><td>{ratio}</td></tr>",
            escape(&name),
            server.shown
        );
    }
    out.push_str("</tbody></table>\n");
    out
}

fn losses(lost: &[&Comparison]) -> String {
    if lost.is_empty() {
        return "<p>No comparison is lost by more than 2 %.</p>\n".to_owned();
    }
    let rows: Vec<_> = lost
        .iter()
        .filter_map(|comparison| {
            let ours = comparison.best(Whose::Ours)?;
            let others = comparison.best(Whose::Others)?;
            Some(vec![
                format!(
                    "<b>{}</b>, {}",
                    escape(&comparison.name),
                    escape(&comparison.title)
                ),
                escape(comparison.figure),
                format!("{} ({})", ours.shown, ours.name),
                format!("{} ({})", others.shown, others.name),
                mark(&format!("{:.2}", comparison.ratio()?), Verdict::Bad),
            ])
        })
        .collect();
    let caption = "Where another server or client needs less than the best of ours.";
    let heads = [
        "load",
        "figure",
        "ours",
        "best of the others",
        "ours ÷ best",
    ];
    table(caption, &heads, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Measured;

    fn comparison(ours: f64, others: f64) -> Comparison {
        let measured = |name, whose, value| Measured {
            name,
            whose,
            value,
            shown: format!("{value}"),
        };
        Comparison {
            name: "16/1/1".to_owned(),
            title: "echo <of> 16 B".to_owned(),
            figure: "CPU µs",
            servers: vec![
                measured("ws-mio", Whose::Ours, ours),
                measured("uws", Whose::Others, others),
            ],
        }
    }

    #[test]
    fn a_loss_is_told_as_one_and_has_a_shape_of_its_own() {
        let (won, even, lost) = (
            comparison(1.0, 2.0),
            comparison(1.0, 1.01),
            comparison(2.0, 1.0),
        );
        assert_eq!(verdict(&won).1, "won");
        assert_eq!(verdict(&even).1, "even");
        assert_eq!(verdict(&lost).1, "lost");
        assert!(losses(&[&lost]).contains("2.00"));
        let plot = plot(&[won, even, lost]);
        assert_eq!(plot.matches("class=\"lost\"").count(), 1);
        assert_eq!(plot.matches("class=\"ours\"").count(), 2);
    }

    #[test]
    fn the_longest_bar_is_that_of_the_most() {
        let bars = bars(&comparison(1.0, 2.0));
        assert!(
            bars.contains("width:100.0%") && bars.contains("width:50.0%"),
            "{bars}"
        );
        assert!(bars.contains("echo &lt;of&gt; 16 B"));
    }
}
