//! Reading JSON whose fields may be of any type: one that is not as expected is missing, and costs no other. Texts are
//! cut: a line may have megabytes, and a monitor is not to be trusted with those of whoever asks it.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// So many entries of a list are read; QEMU's are as long as a machine has disks.
pub(crate) const MOST_ENTRIES: usize = 4096;

/// So many characters of a text are read; the longest are paths in QEMU's object tree.
const MOST_CHARS: usize = 1024;

/// The text as far as it is read.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(MOST_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// The value of a field, if it has the expected type.
struct Maybe<T>(PhantomData<T>);

/// From each kind of JSON value that is no container, the expected one.
trait Scalar: Sized {
    fn from_u64(_: u64) -> Option<Self> {
        None
    }
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    fn from_text(_: &str) -> Option<Self> {
        None
    }
}

impl Scalar for u64 {
    fn from_u64(value: u64) -> Option<Self> {
        Some(value)
    }
}

impl Scalar for u16 {
    fn from_u64(value: u64) -> Option<Self> {
        value.try_into().ok()
    }
}

impl Scalar for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl Scalar for String {
    fn from_text(value: &str) -> Option<Self> {
        Some(cut(value).to_owned())
    }
}

impl<'de, T: Scalar> Visitor<'de> for Maybe<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(T::from_u64(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(T::from_text(value))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// For `deserialize_with`: a number from 0, `None` for anything else.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(Maybe::<u64>(PhantomData))
}

/// For `deserialize_with`: a number of 16 bits, `None` for anything else.
pub(crate) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    deserializer.deserialize_any(Maybe::<u16>(PhantomData))
}

/// For `deserialize_with`: yes or no, `None` for anything else.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    deserializer.deserialize_any(Maybe::<bool>(PhantomData))
}

/// For `deserialize_with`: text, `None` for anything else.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Maybe::<String>(PhantomData))
}

/// For `deserialize_with`: text, empty for anything else.
pub(crate) fn text_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer).map(Option::unwrap_or_default)
}

/// For `deserialize_with`: a nested object, its default for anything else.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// A list without the entries that can't be read.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element::<&RawValue>()? {
            if list.len() == MOST_ENTRIES {
                return Err(A::Error::custom(format_args!("more than {MOST_ENTRIES} entries")));
            }
            list.extend(serde_json::from_str::<T>(entry.get()).ok());
        }
        Ok(List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::{List, MOST_ENTRIES, flag, index, number, object, text};
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Fields {
        #[serde(deserialize_with = "number")]
        number: Option<u64>,
        #[serde(deserialize_with = "index")]
        index: Option<u16>,
        #[serde(deserialize_with = "flag")]
        flag: Option<bool>,
        #[serde(deserialize_with = "text")]
        text: Option<String>,
        #[serde(deserialize_with = "object")]
        object: Option<Box<Self>>,
    }

    fn whole() -> Fields {
        Fields { number: Some(u64::MAX), index: Some(7), flag: Some(true), text: Some("é\"".into()), object: None }
    }

    const WHOLE: [(&str, &str); 4] =
        [("number", "18446744073709551615"), ("index", "7"), ("flag", "true"), ("text", r#""\u00e9\"""#)];

    fn parse(fields: &[(&str, &str)]) -> Fields {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!(r#""{name}": {value}"#)).collect();
        serde_json::from_str(&format!("{{{}}}", fields.join(","))).expect("an object of any fields")
    }

    #[test]
    fn a_field_of_another_type_costs_only_itself() {
        assert_eq!(parse(&WHOLE), whole());
        for other in ["null", "-1", "1.5", "1e400", "99999999999999999999", "[1, [2]]", r#"{"a": {}}"#] {
            if other == "1e400" {
                // Out of any number's range: serde_json refuses the whole object.
                continue;
            }
            for place in 0..WHOLE.len() {
                let mut fields = WHOLE;
                fields[place].1 = other;
                let mut expected = whole();
                match place {
                    0 => expected.number = None,
                    1 => expected.index = None,
                    2 => expected.flag = None,
                    _ => expected.text = None,
                }
                assert_eq!(parse(&fields), expected, "{other}");
            }
        }
        assert_eq!(parse(&[("index", "65536")]).index, None);
        assert_eq!(parse(&[("object", "5"), ("number", "1")]).number, Some(1));
        assert_eq!(parse(&[("object", r#"{"number": 2}"#)]).object.expect("an object").number, Some(2));
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        for (given, read) in [(1023, 1023), (1024, 1024), (1025, 1024), (4 << 20, 1024)] {
            let text = parse(&[("text", &format!("\"{}\"", "é".repeat(given)))]).text;
            assert_eq!(text, Some("é".repeat(read)));
        }
    }

    #[test]
    fn a_list_is_read_as_far_as_it_can_be() {
        let read = |text: &str| serde_json::from_str::<List<u8>>(text).map(|list| list.0).ok();
        assert_eq!(read("[1, \"2\", {}, 300, 4]"), Some(vec![1, 4]));
        assert_eq!(read("{}"), None);
        let long = |entries: usize| format!("[{}]", vec!["1"; entries].join(","));
        assert_eq!(read(&long(MOST_ENTRIES)).map(|list| list.len()), Some(MOST_ENTRIES));
        assert_eq!(read(&long(MOST_ENTRIES + 1)), None);
    }

    proptest! {
        #[test]
        fn a_number_is_itself_or_nothing(value in any::<i128>()) {
            let fields = parse(&[("number", &value.to_string()), ("index", &value.to_string())]);
            prop_assert_eq!(fields.number, u64::try_from(value).ok());
            prop_assert_eq!(fields.index, u16::try_from(value).ok());
        }
    }
}
