//! `/proc/<pid>/mountinfo` (kernel documentation: `Documentation/filesystems/proc.rst`, section 3.5): one mount a
//! line, fields apart by one space, blanks and backslashes inside a field as three octal digits.

use std::collections::HashMap;

/// A superblock's number: mounts that have it in common are the same file system, and the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The major number, 0 for everything that is not on a block device.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The mount's number, unique while it is mounted.
    pub id: u64,
    /// The mount it is mounted on.
    pub parent: u64,
    /// Its superblock.
    pub device: Device,
    /// Where it is mounted: any bytes but 0.
    pub mountpoint: Vec<u8>,
    /// The type, with the subtype of FUSE (`fuse.sshfs`).
    pub fstype: Vec<u8>,
    /// What is mounted, as the one who mounted it has put it; may be empty.
    pub source: Vec<u8>,
}

/// All lines that are whole, and how many are not.
#[must_use]
pub fn parse(content: &[u8]) -> (Vec<Entry>, usize) {
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut broken = 0;
    let entries = lines.filter_map(|line| {
        let entry = entry(line);
        broken += usize::from(entry.is_none());
        entry
    });
    let entries = entries.collect();
    (entries, broken)
}

fn entry(line: &[u8]) -> Option<Entry> {
    // Never by runs of blanks: a source may be empty.
    let mut fields = line.split(|byte| *byte == b' ');
    let id = crate::value::number(fields.next()?)?;
    let parent = crate::value::number(fields.next()?)?;
    let device = device(fields.next()?)?;
    let _root = fields.next()?;
    let mountpoint = unescape(fields.next()?);
    let _options = fields.next()?;
    // Any number of optional fields, then a hyphen.
    fields.find(|field| *field == b"-")?;
    let fstype = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    (mountpoint.first() == Some(&b'/') && !fstype.is_empty()).then_some(Entry {
        id,
        parent,
        device,
        mountpoint,
        fstype,
        source,
    })
}

fn device(field: &[u8]) -> Option<Device> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    let number = |digits| crate::value::number(digits).and_then(|number| u32::try_from(number).ok());
    Some(Device { major: number(field.get(..colon)?)?, minor: number(field.get(colon + 1..)?)? })
}

/// Takes the kernel's octal escapes back; a backslash that begins none stands for itself.
#[must_use]
pub fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.first_chunk().and_then(|digits: &[u8; 3]| octal(*digits))).flatten();
        plain.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    plain
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    let value = digits.iter().try_fold(0_u16, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 8).then_some(value * 8 + u16::from(digit))
    })?;
    u8::try_from(value).ok()
}

/// Which mounts no path leads to any more, because something else is mounted over them or above them.
#[derive(Debug)]
pub struct Tree<'e> {
    by_id: HashMap<u64, &'e Entry>,
    by_parent: HashMap<u64, Vec<&'e Entry>>,
}

impl<'e> Tree<'e> {
    /// The tree of all mounts.
    #[must_use]
    pub fn new(entries: &'e [Entry]) -> Self {
        let mut by_parent: HashMap<u64, Vec<&Entry>> = HashMap::new();
        for entry in entries {
            by_parent.entry(entry.parent).or_default().push(entry);
        }
        Self { by_id: entries.iter().map(|entry| (entry.id, entry)).collect(), by_parent }
    }

    /// Whether the mount can't be reached by its path.
    #[must_use]
    pub fn is_hidden(&self, mount: &Entry) -> bool {
        /// Deeper than anybody mounts; a file that is no tree must not keep us.
        const DEEPEST: usize = 128;
        let (mut current, mut above) = (mount, None);
        for _ in 0..DEEPEST {
            if self.covered(current, above) {
                return true;
            }
            match self.by_id.get(&current.parent) {
                Some(parent) if parent.id != current.id => (current, above) = (parent, Some(current.id)),
                _ => return false,
            }
        }
        false
    }

    /// By a mount on its own root (other than the one that is on the way), or by one on a directory that the way to it
    /// leads through.
    fn covered(&self, mount: &Entry, above: Option<u64>) -> bool {
        let children = self.by_parent.get(&mount.id).into_iter().flatten();
        let siblings = self.by_parent.get(&mount.parent).into_iter().flatten();
        children
            .filter(|over| over.id != mount.id && Some(over.id) != above)
            .any(|over| over.mountpoint == mount.mountpoint)
            || siblings
                .filter(|beside| beside.id != mount.id)
                .any(|beside| below(&mount.mountpoint, &beside.mountpoint))
    }

    /// Whether it is mounted on an autofs trigger: somebody's visit brought it, and it goes when nobody visits it.
    #[must_use]
    pub fn is_automounted(&self, mount: &Entry) -> bool {
        self.by_id.get(&mount.parent).is_some_and(|parent| parent.fstype == b"autofs")
    }
}

fn below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REAL: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
41 27 0:38 / /mnt/nas\\040one rw,relatime shared:33 master:2 - cifs //10.10.0.35/My\\040Share rw,vers=3.1.1
42 27 0:39 / /mnt/backup rw,relatime shared:34 - nfs4 10.10.0.36:/tank/backup rw,vers=4.2
43 27 0:40 / /mnt/empty rw - fuse  rw,user_id=0
44 27 0:41 / /mnt/line\\012break rw - fuse.sshfs me@host: rw
";

    #[test]
    fn lines_of_a_real_host_and_the_odd_ones() {
        let (entries, broken) = parse(REAL.as_bytes());
        assert_eq!((entries.len(), broken), (6, 0));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told: Vec<_> =
            entries.iter().skip(2).map(|e| (text(&e.mountpoint), text(&e.fstype), text(&e.source))).collect();
        let expected = [
            ("/mnt/nas one", "cifs", "//10.10.0.35/My Share"),
            ("/mnt/backup", "nfs4", "10.10.0.36:/tank/backup"),
            ("/mnt/empty", "fuse", ""),
            ("/mnt/line\nbreak", "fuse.sshfs", "me@host:"),
        ];
        assert!(told.iter().map(|(a, b, c)| (&**a, &**b, &**c)).eq(expected), "{told:?}");
        assert_eq!(entries[1].device, Device { major: 254, minor: 0 });
    }

    #[test]
    fn what_is_no_line_is_counted_and_the_rest_read() {
        let content = format!("nonsense\n{REAL}36 35 98:0 / relative rw - ext3 /dev/root rw\n1 2 3 / /x rw - a b c\n");
        let (entries, broken) = parse(content.as_bytes());
        assert_eq!((entries.len(), broken), (6, 3));
    }

    #[test]
    fn escapes() {
        for (escaped, plain) in [
            (r"a\040b", "a b"),
            (r"\134040", r"\040"),
            (r"tail\04", r"tail\04"),
            (r"\", r"\"),
            (r"\777", r"\777"),
            (r"\\040", r"\ "),
        ] {
            assert_eq!(unescape(escaped.as_bytes()), plain.as_bytes(), "{escaped}");
        }
    }

    fn hidden(content: &str) -> Vec<u64> {
        let (entries, broken) = parse(content.as_bytes());
        assert_eq!(broken, 0);
        let tree = Tree::new(&entries);
        entries.iter().filter(|entry| tree.is_hidden(entry)).map(|entry| entry.id).collect()
    }

    #[test]
    fn a_mount_under_another_is_hidden() {
        let nothing_over =
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /a/b rw - nfs s rw\n3 1 0:8 / /a/bc rw - tmpfs t rw\n";
        assert_eq!(hidden(nothing_over), [0_u64; 0]);
        let over_its_root = format!("{nothing_over}4 2 0:10 / /a/b rw - tmpfs t rw\n");
        assert_eq!(hidden(&over_its_root), [2]);
        let above_it = format!("{nothing_over}4 1 0:10 / /a rw - tmpfs t rw\n");
        assert_eq!(hidden(&above_it), [2, 3]);
        // What is mounted on what is hidden is hidden with it; what was mounted later, on the upper one, is not.
        let with_child = format!("{above_it}5 2 0:11 / /a/b/c rw - nfs s rw\n6 4 0:12 / /a/b rw - nfs s rw\n");
        assert_eq!(hidden(&with_child), [2, 3, 5]);
    }

    #[test]
    fn what_autofs_has_mounted_is_known() {
        let content =
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /n rw - autofs systemd-1 rw\n3 2 0:10 / /n rw - nfs s rw\n";
        let (entries, _) = parse(content.as_bytes());
        let tree = Tree::new(&entries);
        assert_eq!(entries.iter().map(|entry| tree.is_automounted(entry)).collect::<Vec<_>>(), [false, false, true]);
        assert!(tree.is_hidden(&entries[1]) && !tree.is_hidden(&entries[2]));
    }

    /// As the kernel writes it (`mangle`, `seq_path`).
    fn escape(plain: &[u8]) -> Vec<u8> {
        let escaped = |byte: &u8| match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
            other => vec![*other],
        };
        plain.iter().flat_map(escaped).collect()
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(1_u8.., 0..24)
    }

    proptest! {
        #[test]
        fn any_name_survives(id: u64, parent: u64, major: u32, minor: u32, path in name(), source in name()) {
            let mountpoint = [b"/".as_slice(), &path].concat();
            let head = format!("{id} {parent} {major}:{minor} / ");
            let line = [head.as_bytes(), &escape(&mountpoint), b" rw shared:1 - fuse.x ", &escape(&source), b" rw\n"].concat();
            let entry = Entry { id, parent, device: Device { major, minor }, mountpoint, fstype: b"fuse.x".to_vec(), source };
            prop_assert_eq!(parse(&line), (vec![entry], 0));
        }

        #[test]
        fn no_content_panics_or_loops(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (entries, broken) = parse(&content);
            prop_assert!(entries.len() + broken <= content.len());
        }

        #[test]
        fn no_tree_panics_or_loops(links in proptest::collection::vec((0_u64..6, 0_u64..6, "(/[ab]){1,3}"), 0..12)) {
            let lines = links.iter().map(|(id, parent, path)| format!("{id} {parent} 0:{id} / {path} rw - nfs s rw\n"));
            let (entries, broken) = parse(lines.collect::<String>().as_bytes());
            prop_assert_eq!(broken, 0);
            let tree = Tree::new(&entries);
            let hidden = entries.iter().filter(|entry| tree.is_hidden(entry)).count();
            prop_assert!(hidden <= entries.len());
        }
    }
}
