//! Holds our quantities against what `resource.ParseQuantity` of Kubernetes says about thousands of texts.
//!
//! The vectors are written by `go run ./internal/vectors` in `scheduler/`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::Value;
use weir_model::Quantity;

fn vectors() -> Vec<Vec<Value>> {
    serde_json::from_str(include_str!("vectors/quantities.json")).unwrap()
}

#[test]
fn a_text_is_a_quantity_exactly_when_kubernetes_takes_it() {
    let vectors = vectors();
    assert!(vectors.len() > 4000);
    for vector in vectors {
        let text = vector[0].as_str().unwrap();
        assert_eq!(Quantity::parse(text).is_ok(), vector.len() == 3, "{text:?}");
    }
}

#[test]
fn a_quantity_is_as_much_as_kubernetes_says_or_the_bound_where_kubernetes_overflows() {
    for vector in vectors() {
        let [text, value, milli] = vector.as_slice() else { continue };
        let text = text.as_str().unwrap();
        let quantity = Quantity::parse(text).unwrap();
        let bound = if text.starts_with('-') { -i64::MAX } else { i64::MAX };
        assert_eq!(quantity.value(), value.as_i64().unwrap_or(bound), "{text:?}");
        assert_eq!(quantity.milli_value(), milli.as_i64().unwrap_or(bound), "{text:?}");
    }
}
