//! `make_cgroup_tree DIR N`: writes a cgroup-v2 hierarchy of N cgroups into DIR, for measurements.

use flatline_sources::synthetic::write_tree;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count] = &arguments[..] else {
        eprintln!("usage: make_cgroup_tree DIR N");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("make_cgroup_tree: `{count}` is no number of cgroups");
        return ExitCode::from(2);
    };
    match write_tree(Path::new(directory), count) {
        Ok(made) => {
            println!("{} cgroups below {directory}", made.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make_cgroup_tree: {error}");
            ExitCode::FAILURE
        }
    }
}
