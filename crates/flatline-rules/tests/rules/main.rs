//! What is generated, judged by promtool: the files of the repository, recorded incidents, and every clause mutated.

#![expect(clippy::unwrap_used, reason = "a test that can't set itself up has failed")]

mod alertmanager;
mod cli;
mod dashboards;
mod deploy;
mod elsewhere;
mod generated;
mod incidents;
mod links;
mod mutants;
mod recorded;
mod support;
