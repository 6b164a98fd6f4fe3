//! What `ws-load` does for `cargo xtask bench`, and how that is told.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bench_rig::{json, upgrade_request};
use ws_handshake::{ClientRequest, DeflateOffer, DeflateParams, Uri};
use ws_load::{
    BroadcastPlan, Fleet, Histogram, Measured, Messages, Pace, Plan, Report, Steady, Target,
    VisitPlan, Window,
};
use ws_tls::ClientTls;

use crate::Options;

/// How many different texts there are that are compressed.
const ROTATION: u64 = 64;

/// Every connection sends its frames, waits for all the replies, and sends again.
pub(crate) fn closed_loop(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut plan = plan(options)?;
    plan.pace = Pace::Closed;
    let report = run(options, &plan)?;
    print(options, "closed", &report, &report.latencies);
    Ok(())
}

/// Sends at a given rate; a latency counts from the time at which the message was due.
pub(crate) fn at_rate(options: &Options, per_second: f64) -> Result<(), Box<dyn Error>> {
    let mut plan = plan(options)?;
    plan.pace = Pace::Rate {
        per_second,
        ramp: Duration::ZERO,
    };
    let report = run(options, &plan)?;
    print(options, "rate", &report, &report.latencies);
    Ok(())
}

/// The first connection sends one message after the other, and all count deliveries.
pub(crate) fn broadcast(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut plan = plan(options)?;
    plan.pace = Pace::Closed;
    plan.broadcast = Some(BroadcastPlan::All);
    let report = run(options, &plan)?;
    let reach = report.reach.as_ref().ok_or("nothing was broadcast")?;
    print(options, "broadcast", &report, &reach.complete);
    Ok(())
}

/// Connect, upgrade, close, and again: as many at once as `--connections` says.
pub(crate) fn churn(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut plan = plan(options)?;
    plan.visits = Some(VisitPlan::ChurnAtOnce(options.connections));
    plan.connections = 0;
    if options.raw {
        plan.target.greeting = upgrade_request(options.port);
    }
    let report = run(options, &plan)?;
    let visited = report.visited.as_ref().ok_or("nobody came")?;
    if let Some((kind, count)) = visited.failures.kinds().next() {
        return Err(format!("{count} connections failed: {kind}").into());
    }
    let server = report.server.map_or(String::new(), |server| {
        let cpu = server.cpu.as_nanos();
        format!(r#""cpu_ns":{cpu},"busy":{:.4},"#, server.busy)
    });
    println!(
        r#"{{"mode":"churn","messages":{},"seconds":{:.6},{server}"generator_busy":{:.4},{}}}"#,
        visited.closed,
        report.seconds,
        report.generator.busy.unwrap_or_default(),
        quantiles(&visited.whole),
    );
    Ok(())
}

/// Has connections take turns in sending so many messages a second, beside something else.
pub(crate) fn steady(options: &Options, per_second: f64) -> Result<Steady, Box<dyn Error>> {
    let batches = messages(options)?.batches(params(options));
    Ok(Steady::new(fleet(options, &batches)?, per_second))
}

/// Opens connections that send these batches.
pub(crate) fn fleet(options: &Options, batches: &[Vec<u8>]) -> Result<Fleet, Box<dyn Error>> {
    let target = target(options)?;
    Ok(Fleet::open(
        &target,
        options.connections,
        options.masks,
        batches,
    )?)
}

/// What is measured.
pub(crate) fn window(options: &Options) -> Window {
    let mut window = Window::new();
    window.warm_up = options.warm_up;
    window.measured = options.measured;
    window.pid = options.pid;
    window
}

/// What is sent. Plain messages are all alike, as nothing depends on what they hold. Texts that are
/// compressed are all different.
pub(crate) fn messages(options: &Options) -> Result<Messages, Box<dyn Error>> {
    let messages = match options.deflate {
        None => {
            let payload = (0..options.size).map(|at| (at * 7) as u8).collect();
            Messages::of_payloads(vec![payload], false, options.masks)?
        }
        Some(deflate) => {
            let count = ROTATION * options.pipelined;
            let texts = (0..count).map(|seed| json(options.size, seed)).collect();
            Messages::of_payloads(texts, true, options.masks)?.level(deflate.level)
        }
    };
    Ok(messages.pipelined(options.pipelined as usize))
}

/// What a server has to agree to.
pub(crate) fn params(options: &Options) -> Option<DeflateParams> {
    let deflate = options.deflate?;
    Some(DeflateParams {
        server_no_context_takeover: !deflate.takes_over,
        client_no_context_takeover: !deflate.takes_over,
        ..DeflateParams::default()
    })
}

fn plan(options: &Options) -> Result<Plan, Box<dyn Error>> {
    let mut plan = Plan::new(target(options)?, messages(options)?);
    plan.connections = options.connections;
    plan.window = window(options);
    // What is still missing counts as it is.
    plan.drain = Duration::ZERO;
    Ok(plan)
}

fn target(options: &Options) -> Result<Target, Box<dyn Error>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let target = match options.raw {
        true => Target::raw(address),
        false => {
            let uri = Uri::parse(&format!("ws://127.0.0.1:{}/", options.port))?;
            let offer = params(options).map(|params| {
                DeflateOffer::new()
                    .server_no_context_takeover(params.server_no_context_takeover)
                    .client_no_context_takeover(params.client_no_context_takeover)
            });
            Target::with_request(address, ClientRequest::new(uri).offers(offer))
        }
    };
    match &options.tls {
        None => Ok(target),
        Some(config) => {
            let tls = ClientTls::from_rustls(config.clone());
            Ok(target.over_tls(tls, "localhost")?)
        }
    }
}

/// Carries out a plan with a server that agrees to just what was asked for: else servers would be
/// compared that do different things.
fn run(options: &Options, plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let report = ws_load::run(plan, &mut |_| {})?;
    if let Some((kind, count)) = report.handshakes.failures.kinds().next() {
        return Err(format!("{count} connections did not open: {kind}").into());
    }
    if report.lost > 0 {
        let why = report.last_loss.as_deref().unwrap_or_default();
        return Err(format!("{} connections were lost: {why}", report.lost).into());
    }
    let (asked, agreed) = (params(options), report.deflate);
    if plan.connections > 0 && agreed != asked {
        return Err(format!("{asked:?} was answered with {agreed:?}").into());
    }
    Ok(report)
}

fn print(options: &Options, mode: &str, report: &Report, latencies: &Histogram) {
    let server = report.server.map_or(String::new(), |server| {
        format!(
            r#""cpu_ns":{},"busy":{:.4},"rss":{},"#,
            server.cpu.as_nanos(),
            server.busy,
            server.resident
        )
    });
    let messages = report.received.messages;
    println!(
        r#"{{"mode":"{mode}","messages":{messages},"messages_in_all":{},"plain_bytes":{},"reply_bytes":{},"seconds":{:.6},{server}"generator_busy":{:.4},{}}}"#,
        report.received_before + messages,
        messages * options.size as u64,
        report.received.bytes,
        report.seconds,
        report.generator.busy.unwrap_or_default(),
        quantiles(latencies),
    );
}

/// Prints what was measured otherwise, and what else there is to say: fields of JSON, with a comma
/// behind each.
pub(crate) fn print_measured(options: &Options, measured: &Measured, mode: &str, more: &str) {
    let server = measured.server().map_or(String::new(), |server| {
        let cpu = server.cpu.as_nanos();
        format!(
            r#""cpu_ns":{cpu},"busy":{:.4},"rss":{},"#,
            server.busy, server.resident
        )
    });
    let messages = measured.received.messages;
    let generator = measured.generator().unwrap_or_default();
    println!(
        r#"{{"mode":"{mode}","messages":{messages},"messages_in_all":{},"plain_bytes":{},"reply_bytes":{},"seconds":{:.6},{server}{more}"generator_busy":{:.4},{}}}"#,
        measured.before + messages,
        messages * options.size as u64,
        measured.received.bytes,
        measured.seconds().unwrap_or_default(),
        generator.busy.unwrap_or_default(),
        quantiles(&measured.latencies),
    );
}

/// Fields of JSON.
fn quantiles(times: &Histogram) -> String {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| times.quantile(share));
    format!(r#""p50_ns":{p50},"p99_ns":{p99},"p999_ns":{p999}"#)
}
