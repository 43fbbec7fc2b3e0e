//! Arguments of the kernel's command line, `/proc/cmdline` (kernel documentation:
//! `Documentation/admin-guide/kernel-parameters.rst`).

/// Whether the kernel was started with an argument: `name`, with any value or none, or `name=value`. As for the kernel,
/// `-` and `_` are the same in a name, a value in double quotes may hold spaces, and what follows `--` is for init.
#[must_use]
pub fn is_present(command_line: &[u8], wanted: &str) -> bool {
    let (name, value) = split(wanted.as_bytes());
    arguments(command_line).take_while(|argument| *argument != b"--").any(|argument| {
        let (given, given_value) = split(argument);
        same_name(given, name)
            && value.is_none_or(|value| given_value.is_some_and(|given| unquoted(given) == unquoted(value)))
    })
}

/// The arguments, split at spaces outside of double quotes.
fn arguments(command_line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = command_line.split(move |byte| {
        quoted ^= *byte == b'"';
        byte.is_ascii_whitespace() && !quoted
    });
    parts.filter(|argument| !argument.is_empty())
}

fn split(argument: &[u8]) -> (&[u8], Option<&[u8]>) {
    // `"name=a value"` is quoted as a whole.
    let argument = unquoted(argument);
    match argument.iter().position(|byte| *byte == b'=') {
        Some(end) => (&argument[..end], Some(&argument[end + 1..])),
        None => (argument, None),
    }
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").map_or(text, |text| text.strip_suffix(b"\"").unwrap_or(text))
}

fn same_name(a: &[u8], b: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    !a.is_empty() && a.iter().map(plain).eq(b.iter().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] = b"console=ttyS0 quiet panic=5 log_buf_len=4M amdgpu.mcbp=0 dyndbg=\"file a +p\" \"note=x y\" -- panic=9 nokaslr\n";

    #[test]
    fn finds_what_was_given_and_nothing_else() {
        for present in ["quiet", "panic", "panic=5", "log-buf-len=4M", "amdgpu.mcbp=0", "dyndbg=file a +p", "note=x y"]
        {
            assert!(is_present(LINE, present), "{present}");
        }
        for absent in ["pan", "panic=", "panic=50", "panic=9", "nokaslr", "quiet=1", "ttyS0", "+p", "y", ""] {
            assert!(!is_present(LINE, absent), "{absent}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(line in proptest::collection::vec(any::<u8>(), 0..100), wanted in any::<String>()) {
            let _ = is_present(&line, &wanted);
        }

        #[test]
        fn finds_every_argument(arguments in proptest::collection::vec("[a-z_.]{1,8}(=[a-zA-Z0-9,:]{0,6})?", 1..6)) {
            let line = arguments.join(" ");
            for argument in &arguments {
                prop_assert!(is_present(line.as_bytes(), argument));
                let name = argument.split('=').next().unwrap_or_default();
                prop_assert!(is_present(line.as_bytes(), name));
            }
        }
    }
}
