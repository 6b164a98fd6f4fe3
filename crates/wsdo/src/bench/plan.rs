//! A plan, as the command line says.

use std::{
    fs,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use ws_load::{
    BroadcastPlan, Masks, Messages, Pace, Plan, Slow, Sources, Target, TargetError, VisitPlan,
    raise_descriptor_limit,
};
use ws_smol::{ClientTls, Error, PeerAddr, Uri, rustls::client::Resumption};

use crate::{
    client,
    exit::{Exit, Failure},
    networks,
    options::Given,
};

/// How long an address may take to answer, if there are several.
const PATIENCE: Duration = Duration::from_secs(10);
/// Descriptors for all that is no connection.
const SPARE: u64 = 32;

pub(crate) fn make(given: &Given, url: &str) -> Result<Plan, Failure> {
    let uri = Uri::parse(url).map_err(|error| Failure::usage(format!("{url:?}: {error}")))?;
    let address = address(&uri)?;
    let masks = masks(given, address, uri.is_secure())?;
    let mut plan = Plan::new(target(given, uri, address)?, messages(given, masks)?);
    plan.connections = given.parsed("connections")?.unwrap_or(64);
    plan.idle = given.parsed("idle")?.unwrap_or(0);
    plan.slow = slow(given)?;
    plan.connect_rate = given.parsed("connect-rate")?;
    plan.pace = pace(given)?;
    plan.broadcast = match given.text("broadcast")?.as_deref() {
        None => None,
        Some("all") => Some(BroadcastPlan::All),
        Some("others") => Some(BroadcastPlan::Others),
        Some(other) => return Err(Failure::usage(format!("--broadcast has no {other:?}"))),
    };
    if plan.broadcast.is_some() && given.has("deflate") {
        return Err(Failure::usage(
            "--broadcast and --deflate exclude each other: a compressed message does not show which one it is",
        ));
    }
    plan.visits = match (given.parsed("storm")?, given.parsed("churn")?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--storm and --churn exclude each other"));
        }
        (Some(count), None) => Some(VisitPlan::Storm(count)),
        (None, Some(rate)) => Some(VisitPlan::Churn(rate)),
        (None, None) => None,
    };
    if let Some(time) = given.seconds("duration")? {
        plan.window.measured = time;
    }
    if let Some(time) = given.seconds("warm-up")? {
        plan.window.warm_up = time;
    }
    plan.window.pid = given.parsed("pid")?;
    check_descriptors(&plan)?;
    Ok(plan)
}

/// Looks the server up, and takes the first of its addresses that answers.
fn address(uri: &Uri) -> Result<SocketAddr, Failure> {
    let unreachable = |error| {
        Failure::new(
            Exit::Unreachable,
            format!("cannot find {}: {error}", uri.host()),
        )
    };
    let addresses = (uri.host_for_connect(), uri.port()).to_socket_addrs();
    let addresses: Vec<_> = addresses.map_err(unreachable)?.collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    match &addresses[..] {
        [] => Err(Failure::new(
            Exit::Unreachable,
            format!("{} has no address", uri.host()),
        )),
        [only] => Ok(*only),
        [first, ..] => Ok(*addresses.iter().find(answers).unwrap_or(first)),
    }
}

fn target(given: &Given, uri: Uri, address: SocketAddr) -> Result<Target, Failure> {
    let secure = uri.is_secure().then(|| uri.host_for_connect().to_owned());
    let mut target = Target::with_request(address, client::request(given, uri)?);
    if let Some(host) = secure {
        let tls = match client::tls(given)? {
            Some(tls) => tls,
            None => ClientTls::platform_roots().map_err(Error::from)?,
        };
        let mut config = (**tls.config()).clone();
        if !given.has("resume") {
            config.resumption = Resumption::disabled();
        }
        let tls = ClientTls::from_rustls(Arc::new(config));
        target = target.over_tls(tls, &host).map_err(|error| match error {
            TargetError::Tls(error) => Failure::new(Exit::Tls, error.to_string()),
            error => Failure::usage(error.to_string()),
        })?;
    }
    if let Some(sources) = given.parsed::<Sources>("from")? {
        target.sources = sources;
    }
    Ok(target)
}

fn masks(given: &Given, address: SocketAddr, is_tls: bool) -> Result<Masks, Failure> {
    let networks = networks::of_option(given, "set-mask-to-zero")?;
    let is_zero = networks.is_some_and(|networks| networks.allows(PeerAddr::from(address), is_tls));
    Ok(if is_zero { Masks::Zero } else { Masks::Random })
}

fn messages(given: &Given, masks: Masks) -> Result<Messages, Failure> {
    let is_text = given.one_of(&[("text", true), ("binary", false)])?;
    let level = match given.parsed("level")? {
        Some(level @ 0..=9) => level,
        None => 6,
        Some(level) => {
            return Err(Failure::usage(format!(
                "--level {level}: levels are 0 to 9"
            )));
        }
    };
    let payloads = match (given.path("messages"), given.text("size")?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--messages and --size exclude each other"));
        }
        (Some(path), None) => {
            let file = fs::read(&path).map_err(|error| Failure::file(path, error))?;
            let lines = file.strip_suffix(b"\n").unwrap_or(&file);
            let messages = match lines.is_empty() {
                true => Vec::new(),
                false => lines
                    .split(|byte| *byte == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect(),
            };
            Messages::of_payloads(messages, is_text.unwrap_or(true), masks)
        }
        (None, sizes) => {
            let sizes = sizes.as_deref().unwrap_or("125").split(',').map(|size| {
                let size = size.parse::<usize>();
                size.map_err(|error| Failure::usage(format!("--size: {error}")))
            });
            let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
            match is_text {
                Some(true) => {
                    let text = sizes.iter().map(|size| vec![b'a'; *size]).collect();
                    Messages::of_payloads(text, true, masks)
                }
                _ => Ok(Messages::of_sizes(&sizes, masks)),
            }
        }
    };
    let messages = payloads.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let at_once = given.parsed("closed")?.unwrap_or(1);
    Ok(messages.level(level).pipelined(at_once))
}

fn pace(given: &Given) -> Result<Pace, Failure> {
    let (rate, ramp) = (given.parsed("rate")?, given.seconds("ramp")?);
    if !given.has("closed") {
        return Ok(Pace::Rate {
            per_second: rate.unwrap_or(1000.0),
            ramp: ramp.unwrap_or_default(),
        });
    }
    match rate.is_some() || ramp.is_some() {
        true => Err(Failure::usage("a closed loop has no --rate and no --ramp")),
        false => Ok(Pace::Closed),
    }
}

fn slow(given: &Given) -> Result<Option<Slow>, Failure> {
    let bytes_per_second = given.parsed("slow-rate")?;
    match given.parsed("slow")? {
        None if bytes_per_second.is_some() => Err(Failure::usage("--slow-rate goes with --slow")),
        connections => Ok(connections.map(|connections| Slow {
            connections,
            bytes_per_second: bytes_per_second.unwrap_or(0),
        })),
    }
}

fn check_descriptors(plan: &Plan) -> Result<(), Failure> {
    let slow = plan.slow.map_or(0, |slow| slow.connections);
    let visits = match plan.visits {
        Some(VisitPlan::Storm(count)) => count,
        _ => 0,
    };
    let wanted = (plan.connections + slow + plan.idle + visits) as u64 + SPARE;
    match raise_descriptor_limit() {
        Some(limit) if limit < wanted => Err(Failure::usage(format!(
            "so many connections take {wanted} descriptors, and this process may have {limit}; \
             ulimit -n {wanted} raises that"
        ))),
        _ => Ok(()),
    }
}
