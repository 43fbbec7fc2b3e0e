//! Puts the git revision and the compiler's version into the binary (`--version`, `flatline_build_info`).

#![expect(clippy::disallowed_methods, reason = "this runs on the build machine, not on a half-dead host")]

use std::process::Command;

fn main() {
    println!("cargo::rustc-env=FLATLINE_REVISION={}", first_line("git", &["rev-parse", "--short=12", "HEAD"]));
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = first_line(&rustc, &["--version"]);
    println!("cargo::rustc-env=FLATLINE_RUSTC={}", version.split(' ').nth(1).unwrap_or("unknown"));
    // It grows with every commit and checkout; a source archive has none.
    let moved = first_line("git", &["rev-parse", "--git-path", "logs/HEAD"]);
    let moved = if moved == "unknown" { "build.rs" } else { moved.as_str() };
    println!("cargo::rerun-if-changed={moved}");
    println!("cargo::rerun-if-env-changed=RUSTC");
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}
