//! Decodes answers of API servers without what nobody reads of them. `managedFields` are often half of an object, and several times that once they are parsed.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::fmt;

/// `managedFields` of an object.
const MANAGED_FIELDS: Without = Without(&["metadata", "managedFields"]);
/// Of each entry the fields that it manages: who wrote the object, and when, is kept.
const FIELDS_OF_ENTRIES: Without = Without(&["metadata", "managedFields", "fieldsV1"]);

/// Decodes an object without its `managedFields`.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn object(text: &str) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let object = MANAGED_FIELDS.deserialize(&mut json)?;
    json.end().map(|()| object)
}

/// An object, of whose `managedFields` only says who wrote it and when.
pub(crate) struct WithWriters(pub(crate) Value);

impl<'de> Deserialize<'de> for WithWriters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FIELDS_OF_ENTRIES.deserialize(deserializer).map(Self)
    }
}

/// The continue token of a page; none of the last one. Its items are not looked at, and what follows its metadata is not read: an API server writes that first, and who lists
/// waits for this before he asks for the next page.
///
/// # Errors
/// If it is no list.
pub(crate) fn next_page(page: &str) -> serde_json::Result<Option<String>> {
    let mut metadata = None;
    let head = Head(&mut metadata).deserialize(&mut serde_json::Deserializer::from_str(page));
    match metadata {
        Some(ListMetadata { next }) => Ok(next.filter(|token| !token.is_empty())),
        None => head.map(|()| None),
    }
}

/// Reads a list up to its metadata, which it notes, and breaks off there.
struct Head<'a>(&'a mut Option<ListMetadata>);

#[derive(Deserialize)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

impl<'de> DeserializeSeed<'de> for Head<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Head<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == "metadata" {
                *self.0 = Some(members.next_value()?);
                return Err(A::Error::custom("the rest is not read"));
            }
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Hands over every item of a page without its `managedFields`. One at a time is decoded, however many there are.
///
/// # Errors
/// If it is no list. What `take` returns is the inner result: its first error ends it.
pub(crate) fn each_item<E>(page: &str, take: impl FnMut(Value) -> Result<(), E>) -> serde_json::Result<Result<(), E>> {
    let (mut json, mut refused) = (serde_json::Deserializer::from_str(page), None);
    match (Page { take, refused: &mut refused }).deserialize(&mut json) {
        Ok(()) => json.end().map(Ok),
        Err(error) => refused.map_or(Err(error), |refused| Ok(Err(refused))),
    }
}

/// Any JSON but for what stands at this path of names. Lists on the way are gone through.
#[derive(Clone, Copy)]
struct Without(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Without {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match self.0 {
                [last] if *last == name => {
                    members.next_value::<IgnoredAny>()?;
                }
                [first, rest @ ..] if *first == name => drop(kept.insert(name, members.next_value_seed(Self(rest))?)),
                _ => drop(kept.insert(name, members.next_value()?)),
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            kept.push(item);
        }
        Ok(Value::Array(kept))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

/// A page whose items are taken as they are read.
struct Page<'a, F, E> {
    take: F,
    /// Why no more are taken.
    refused: &'a mut Option<E>,
}

impl<'de, F: FnMut(Value) -> Result<(), E>, E> DeserializeSeed<'de> for Page<'_, F, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Value) -> Result<(), E>, E> Visitor<'de> for Page<'_, F, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == "items" {
                members.next_value_seed(Items(&mut self))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Items<'a, 'b, F, E>(&'a mut Page<'b, F, E>);

impl<'de, F: FnMut(Value) -> Result<(), E>, E> DeserializeSeed<'de> for Items<'_, '_, F, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value) -> Result<(), E>, E> Visitor<'de> for Items<'_, '_, F, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the items of a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element_seed(MANAGED_FIELDS)? {
            if let Err(error) = (self.0.take)(item) {
                *self.0.refused = Some(error);
                return Err(A::Error::custom("no more are taken"));
            }
        }
        Ok(())
    }

    /// Some servers write an empty list so.
    fn visit_unit<E2>(self) -> Result<(), E2> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any JSON, as far as texts of an API server go.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
            ".{0,8}".prop_map(Value::from),
        ];
        let name = prop_oneof!["metadata", "managedFields", "fieldsV1", "a"];
        leaf.prop_recursive(5, 64, 5, move |inner| {
            let members = proptest::collection::vec((name.clone(), inner.clone()), 0..5);
            prop_oneof![proptest::collection::vec(inner, 0..4).prop_map(Value::from), members.prop_map(|members| Value::Object(members.into_iter().collect()))]
        })
    }

    /// What a path without lists on its way leaves.
    fn removed(mut object: Value) -> Value {
        match &mut object {
            Value::Object(members) => {
                if let Some(metadata) = members.get_mut("metadata") {
                    remove_fields(metadata);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| *item = removed(std::mem::take(item))),
            _ => {}
        }
        object
    }

    fn remove_fields(metadata: &mut Value) {
        match metadata {
            Value::Object(members) => drop(members.remove("managedFields")),
            Value::Array(items) => items.iter_mut().for_each(remove_fields),
            _ => {}
        }
    }

    #[test]
    fn fault_g3_of_a_page_no_more_is_read_for_the_next_ones_token_than_comes_before_it() {
        for (page, next) in [
            (r#"{"kind":"List","metadata":{"continue":"t","resourceVersion":"7"},"items":[{"broken"#, Some("t")),
            (r#"{"metadata":{"continue":""},"items":["#, None),
            (r#"{"metadata":{},"items":["#, None),
            (r#"{"items":[{"metadata":{"continue":"of an item"}}],"metadata":{"continue":"t"}}"#, Some("t")),
            ("{}", None),
        ] {
            assert_eq!(next_page(page).unwrap().as_deref(), next, "{page}");
        }
        for page in ["[]", "", r#"{"items":["#, r#"{"metadata":{"continue":7}}"#] {
            assert!(next_page(page).is_err(), "{page}");
        }
    }

    proptest! {
        #[test]
        fn fault_g4_an_object_is_decoded_as_it_is_but_for_its_managed_fields(any in any_json()) {
            prop_assert_eq!(object(&any.to_string()).unwrap(), removed(any));
        }

        #[test]
        fn fault_g3_the_items_of_a_page_are_those_of_the_list(items in proptest::collection::vec(any_json(), 0..5), token in "[a-z]{0,3}") {
            let page = json!({"kind": "List", "items": items, "metadata": {"continue": token, "resourceVersion": "7"}}).to_string();
            let mut taken = Vec::new();
            each_item(&page, |item| { taken.push(item); Ok::<_, ()>(()) }).unwrap().unwrap();
            prop_assert_eq!(taken, items.into_iter().map(removed).collect::<Vec<_>>());
            prop_assert_eq!(next_page(&page).unwrap(), Some(token).filter(|token| !token.is_empty()));
        }
    }

    #[test]
    fn who_wrote_an_object_and_when_can_be_kept_without_what() {
        let entries = json!([{"manager": "kubectl", "time": "2026-11-15T01:00:00Z", "fieldsV1": {"f:spec": {}}}, {"manager": "hpa", "subresource": "scale"}]);
        let text = json!({"metadata": {"name": "a", "managedFields": entries}, "spec": {"fieldsV1": 1}}).to_string();
        let WithWriters(found) = serde_json::from_str(&text).unwrap();
        let kept = json!([{"manager": "kubectl", "time": "2026-11-15T01:00:00Z"}, {"manager": "hpa", "subresource": "scale"}]);
        assert_eq!(found, json!({"metadata": {"name": "a", "managedFields": kept}, "spec": {"fieldsV1": 1}}));
    }

    #[test]
    fn a_page_is_left_with_the_first_refusal_and_what_is_no_list_is_an_error() {
        let page = json!({"items": [{"a": 1}, {"a": 2}, {"a": 3}]}).to_string();
        let mut seen = 0;
        let refused = each_item(&page, |_| {
            seen += 1;
            if seen == 2 { Err("full") } else { Ok(()) }
        });
        assert_eq!((refused.unwrap(), seen), (Err("full"), 2));
        assert!(each_item(r#"{"items": null}"#, |_| Err(())).unwrap().is_ok(), "some servers write an empty list so");
        for text in ["[]", "{\"items\": 7}", "{\"items\": [", "{\"items\": []} x", "<html>"] {
            assert!(each_item(text, |_| Ok::<_, ()>(())).is_err(), "{text}");
        }
    }

    #[test]
    fn fault_g3_of_a_big_page_one_object_at_a_time_is_decoded() {
        let item = |number: usize| json!({"metadata": {"name": number.to_string(), "managedFields": [{"fieldsV1": "x".repeat(1_000)}]}, "data": {"a": "y".repeat(1_000)}});
        let page = json!({"metadata": {}, "items": (0..500).map(item).collect::<Vec<_>>()}).to_string();
        let cut = &page[..page.len() / 2];
        let mut seen = 0;
        assert!(
            each_item(cut, |_| {
                seen += 1;
                Ok::<_, ()>(())
            })
            .is_err(),
            "half of a page is no page"
        );
        assert!((240..=250).contains(&seen), "{seen}: each was handed over before the next one was read");
    }
}
