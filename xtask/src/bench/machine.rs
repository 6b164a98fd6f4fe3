//! Where it was measured, and what.

use std::{env, fs, process::Command};

use crate::tool;

/// The machine in a sentence: processor, cores, kernel, compiler.
pub(crate) fn description() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        cpuinfo
            .lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map_or_else(
                || "unknown".to_owned(),
                |(_, value)| value.trim().to_owned(),
            )
    };
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let is_virtual = cpuinfo
        .lines()
        .any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: String = kernel
        .trim()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    format!(
        "{} (family {}, model {}), {cores} cores{}; Linux {kernel}; {}",
        field("model name"),
        field("cpu family"),
        field("model\t"),
        if is_virtual {
            " of a virtual machine"
        } else {
            ""
        },
        compiler(),
    )
}

/// The compiler, with its version.
pub(super) fn compiler() -> String {
    output("rustc", "--version")
}

/// What instructions depend on: libraries choose by it when they run.
pub(super) fn kind() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has_avx2 = cpuinfo.split_whitespace().any(|flag| flag == "avx2");
    let with = if has_avx2 { " with AVX2" } else { "" };
    format!("{} {}{with}", env::consts::OS, env::consts::ARCH)
}

/// The version of a package in one of the lock files.
pub(super) fn version(package: &str) -> Option<String> {
    if package == "node" {
        return Some(output("node", "--version"));
    }
    if package == "ws" {
        let lock = tool::root().join("benches/peers/node/package-lock.json");
        let lock: serde_json::Value = serde_json::from_str(&fs::read_to_string(lock).ok()?).ok()?;
        let version = lock["packages"]["node_modules/ws"]["version"].as_str()?;
        return Some(format!(
            "{version} on Node.js {}",
            output("node", "--version")
        ));
    }
    [
        "Cargo.lock",
        "benches/peers/Cargo.lock",
        "benches/peers/uws/Cargo.lock",
    ]
    .into_iter()
    .find_map(|lock| {
        let lock = fs::read_to_string(tool::root().join(lock)).ok()?;
        let lock: toml::Table = lock.parse().ok()?;
        let packages = lock.get("package")?.as_array()?;
        packages
            .iter()
            .find(|entry| entry.get("name").and_then(toml::Value::as_str) == Some(package))
            .and_then(|entry| Some(entry.get("version")?.as_str()?.to_owned()))
    })
}

fn output(program: &str, argument: &str) -> String {
    Command::new(program)
        .arg(argument)
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
