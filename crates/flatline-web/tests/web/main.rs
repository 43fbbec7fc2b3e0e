//! The web configuration as its users meet it: files in, handshakes, verdicts and errors out.

mod auth;
mod errors;
mod handshake;
mod keys;
mod reload;
mod site;
