//! `wchan`: the function of the kernel a task sleeps in (`proc_pid_wchan(5)`).

/// The kernel's own bound for a symbol is 512; nobody needs the rest to recognise it.
const LONGEST: usize = 64;

/// Parses `wchan`: the function's name without what the compiler appended (`.isra.0`, `.constprop.0`, `.part.0`), so
/// that it stays the same from one kernel build to the next. `Some(None)` is `0`: the kernel does not tell, because
/// the reader has no right to know, because it has no symbols, or because the task has begun to run.
#[must_use]
pub fn parse(content: &[u8]) -> Option<Option<&str>> {
    let content = content.trim_ascii();
    if matches!(content, b"0" | b"") {
        return Some(None);
    }
    // A name in C holds no dot.
    let end = content.iter().position(|byte| *byte == b'.').unwrap_or(content.len());
    let name = &content[..end];
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    if name.is_empty() || name[0].is_ascii_digit() || !name.iter().all(legal) {
        return None;
    }
    str::from_utf8(&name[..name.len().min(LONGEST)]).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_the_same_on_every_build() {
        assert_eq!(parse(b"mem_cgroup_handle_over_high"), Some(Some("mem_cgroup_handle_over_high")));
        for suffix in [".isra.0", ".constprop.0", ".part.0", ".isra.0.cold", ".llvm.1234"] {
            assert_eq!(parse(format!("rpc_wait_bit_killable{suffix}").as_bytes()), Some(Some("rpc_wait_bit_killable")));
        }
    }

    #[test]
    fn zero_is_no_name() {
        assert_eq!(parse(b"0"), Some(None));
        assert_eq!(parse(b"0\n"), Some(None));
        assert_eq!(parse(b""), Some(None));
    }

    #[test]
    fn what_is_no_symbol_is_refused() {
        for bad in [&b"ffffffff81"[..], b"a b", b".isra.0", b"1x", b"a\"b", b"\xffa"] {
            let refused = bad != b"ffffffff81";
            assert_eq!(parse(bad).is_none(), refused, "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_out_is_a_plain_name(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(Some(name)) = parse(&bytes) {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST);
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')));
            }
        }

        #[test]
        fn a_suffix_changes_nothing(name in "[a-z_][a-z0-9_]{0,40}", suffix in "(\\.[a-z]{1,9}\\.[0-9]){1,2}") {
            let content = format!("{name}{suffix}");
            prop_assert_eq!(parse(content.as_bytes()), Some(Some(name.as_str())));
        }
    }
}
