//! What this binary was built from.

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision, `unknown` when built outside a checkout.
pub const REVISION: &str = env!("FLATLINE_REVISION");
/// The compiler's version.
pub const RUSTC: &str = env!("FLATLINE_RUSTC");
/// For `--version`.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("FLATLINE_REVISION"),
    ", rustc ",
    env!("FLATLINE_RUSTC"),
    ")"
);
