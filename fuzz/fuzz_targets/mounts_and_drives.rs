//! Whatever stands in mountinfo, mountstats or the SMB client's statistics, and whatever smartctl writes: no panic,
//! nothing that grows beyond its source.

#![no_main]

use flatline_sources::drives::Report;
use flatline_sources::mounts::{Cifs, FSTYPES, Options, Tree, parse_client, parse_mountinfo, parse_mountstats, select};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let (entries, broken) = parse_mountinfo(content);
    assert!(entries.len() + broken <= content.len());
    let tree = Tree::new(&entries);
    let hidden = entries.iter().filter(|entry| tree.is_hidden(entry)).count();
    assert!(hidden <= entries.len());
    if let Ok(options) = Options::new::<&str>(FSTYPES, &[], 10, true) {
        assert!(select(&entries, &options).mounts.len() <= 10);
    }
    assert!(parse_mountstats(content).len() <= content.len());
    let _ = (parse_client(content), Cifs::parse(content));
    if let Some(report) = Report::parse(content) {
        assert!(report.critical_warnings().count() <= 6);
    }
});
