//! `flatline-package DIR`: writes man pages, completions, licence notices and the bill of materials below a directory.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use flatline_package::{File, manual, materials};

/// Writes what the Debian package holds beside the binary.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The workspace's Cargo.toml.
    #[arg(long, value_name = "FILE", default_value = "Cargo.toml")]
    manifest: PathBuf,
    /// The target the binary is built for; others have other dependencies.
    #[arg(long, value_name = "TRIPLE")]
    target: String,
    /// The directory to write below; `usr/...` in it.
    directory: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let packages = materials::linked(&cli.manifest, &cli.target)?;
    let documents = "usr/share/doc/flatline-exporter";
    let mut files = manual::pages()?;
    files.extend(manual::completions());
    files.push(File { path: format!("{documents}/NOTICES"), content: materials::notices(&packages)?.into_bytes() });
    files.push(File {
        path: format!("{documents}/flatline-exporter.cdx.json"),
        content: format!("{:#}\n", materials::bill(&packages)).into_bytes(),
    });
    for file in files {
        write(&cli.directory, &file)?;
    }
    Ok(())
}

fn write(directory: &Path, file: &File) -> Result<(), String> {
    let path = directory.join(&file.path);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &file.content));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
