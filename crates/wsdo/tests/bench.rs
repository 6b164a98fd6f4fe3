//! `wsdo bench` against `wsdo serve`.

mod certificates;
mod common;

use certificates::Certificates;
use common::{Folder, Ran, Server, accept, close_with, played, wsdo};

/// Runs a short load.
fn bench(options: &[&str], url: &str) -> Ran {
    let short = ["bench", "--warm-up", "0.02", "-d", "0.1"];
    wsdo(&[&short, options, &[url]].concat(), b"")
}

/// Makes sure that it went well, or that this machine was too slow, which the exit code tells.
#[track_caller]
fn went_well(ran: &Ran) {
    assert!(matches!(ran.code, Some(0 | 12)), "{ran:?}");
}

/// Finds the number behind the first field of that name.
fn number(json: &str, name: &str) -> f64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap();
    let end = rest.find([',', '}']).unwrap();
    rest[..end].parse().unwrap()
}

#[test]
fn report_is_a_table_json_and_a_picture() {
    let server = Server::echo();
    let table = bench(&["-c", "4"], &server.url());
    went_well(&table);
    for line in [
        "messages     ",
        "latency      p50 ",
        "connections  4 open",
        "generator    worked",
    ] {
        assert!(table.text().contains(line), "{line:?} in {table:?}");
    }
    let folder = Folder::new();
    let svg = folder.path("run.svg");
    let ran = bench(&["-c", "4", "--json", "--svg", &svg], &server.url());
    went_well(&ran);
    let json = ran.text();
    assert!(
        json.starts_with('{') && json.ends_with("}\n") && json.lines().count() == 1,
        "{json}"
    );
    assert_eq!(number(json, "connections"), 4.0);
    assert_eq!(number(json, "unanswered"), 0.0);
    assert!(
        number(json, "received") > 50.0 && number(json, "p99_ns") > 0.0,
        "{json}"
    );
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg "));
}

#[test]
fn condition_that_is_not_met_has_its_exit_code() {
    let server = Server::echo();
    let kept = ["-e", "lost<=0", "--expect", "p50<10s", "-e", "failed<1"];
    went_well(&bench(&kept, &server.url()));
    let missed = bench(&["-e", "rate>=1000000"], &server.url());
    assert!(matches!(missed.code, Some(11 | 12)), "{missed:?}");
    assert!(
        missed.errors.contains("rate>=1000000 is not met: "),
        "{missed:?}"
    );
    let unknown = bench(&["-e", "p99"], &server.url());
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

#[test]
fn generator_that_is_the_limit_says_so_with_its_exit_code() {
    let server = Server::echo();
    // More than a thread can send.
    let ran = bench(&["-r", "100000000", "-c", "4"], &server.url());
    assert_eq!(ran.code, Some(12), "{ran:?}");
    assert!(
        ran.errors.contains("the generator was the limit"),
        "{ran:?}"
    );
}

#[test]
fn messages_are_those_of_the_file_with_the_zero_key_that_was_asked_for() {
    let folder = Folder::new();
    let file = folder.write("messages", "one\nthree\n");
    let (url, played) = played(|listener| {
        use std::io::Read as _;
        let (mut stream, _) = accept(listener);
        let mut frames = [0; 9 + 11 + 9];
        stream.read_exact(&mut frames).unwrap();
        close_with(stream, 1000);
        frames
    });
    let ran = bench(
        &["-c", "1", "--set-mask-to-zero", "--messages", &file],
        &url,
    );
    assert_eq!(ran.code, Some(8), "{ran:?}");
    let frames = played.join().unwrap();
    assert_eq!(
        &frames[..],
        b"\x81\x83\0\0\0\0one\x81\x85\0\0\0\0three\x81\x83\0\0\0\0one"
    );
    let none = folder.write("none", "");
    assert_eq!(bench(&["--messages", &none], &url).code, Some(1));
}

#[test]
fn broadcast_storm_churn_and_slow_readers_are_told() {
    let server = Server::start(&["--broadcast"], &[]);
    let ran = bench(
        &["-c", "8", "--broadcast", "all", "-r", "100"],
        &server.url(),
    );
    went_well(&ran);
    assert!(ran.text().contains("(100.00 %)"), "{ran:?}");
    let server = Server::echo();
    let ran = bench(
        &[
            "--idle",
            "3",
            "--slow",
            "2",
            "--slow-rate",
            "1000",
            "--storm",
            "5",
        ],
        &server.url(),
    );
    went_well(&ran);
    assert!(ran.text().contains("handshakes   5 begun"), "{ran:?}");
    assert!(
        ran.text().contains("69 open") && ran.text().contains("3 idle, 2 slow"),
        "{ran:?}"
    );
    let ran = bench(
        &["--churn", "200", "--closed=4", "--deflate"],
        &server.url(),
    );
    went_well(&ran);
    assert!(
        ran.text().contains("a closed loop") && ran.text().contains("until closed"),
        "{ran:?}"
    );
    assert_eq!(
        bench(&["--storm", "1", "--churn", "1"], &server.url()).code,
        Some(2)
    );
}

#[test]
fn tls_is_verified_and_sessions_are_resumed_on_request() {
    let certificates = Certificates::new();
    let (_server, url) = certificates.serve(&[]);
    let ca = certificates.path("ca.pem");
    for (options, is_resumed) in [(&[][..], false), (&["--resume"][..], true)] {
        // The server shows each frame, and nobody reads that.
        let tls = ["-c", "1", "-r", "20", "--ca", &ca, "--churn", "100", "-j"];
        let ran = bench(&[&tls, options].concat(), &url);
        went_well(&ran);
        let (_, visits) = ran.text().split_once("\"visits\":").unwrap();
        assert_eq!(number(visits, "resumed") > 0.0, is_resumed, "{ran:?}");
    }
    assert_eq!(bench(&["-c", "2"], &url).code, Some(4));
}

#[test]
fn failure_has_the_exit_code_of_its_kind() {
    let (refusing, _) = played(|listener| {
        use std::io::Write as _;
        for stream in listener.incoming() {
            let answer = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.unwrap().write_all(answer);
        }
    });
    for (options, url, code) in [
        (&[][..], "ws://127.0.0.1:1/", 3),
        (&["-c", "2"][..], &*refusing, 5),
        (&[][..], "http//", 2),
        (&["-c", "0"][..], "ws://127.0.0.1:1/", 2),
        (&["--closed", "-r", "1"][..], "ws://127.0.0.1:1/", 2),
        (
            &["--size", "1", "--messages", "x"][..],
            "ws://127.0.0.1:1/",
            2,
        ),
        (&["--from", "x"][..], "ws://127.0.0.1:1/", 2),
        (
            &["--broadcast", "all", "--deflate"][..],
            "ws://127.0.0.1:1/",
            2,
        ),
        (&["-c", "100000000"][..], "ws://127.0.0.1:1/", 2),
    ] {
        let ran = bench(options, url);
        assert_eq!(ran.code, Some(code), "{options:?} {url}: {ran:?}");
    }
}
