//! Maps on the wire: labels, annotations, node selectors, lists of resources.

use weir_model::{Amount, Quantity, QuantityError};

use super::wire::Message;
use crate::host;

/// Texts by name, such as labels, annotations or a node selector.
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").label("zone", "a").label("disk", "ssd").build();
/// assert_eq!(node.labels().get("disk"), Some("ssd"));
/// assert_eq!(node.labels().get("rack"), None);
/// assert_eq!(node.labels().iter().count(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    owner: Message<'a>,
    number: u32,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(owner: Message<'a>, number: u32) -> Self {
        Self { owner, number }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a str> {
        self.owner.value_in_map(self.number, key.as_bytes()).map(Message::as_text)
    }

    /// All keys and values, in the order in which the host wrote them.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.owner.messages(self.number).map(Message::entry).map(|(key, value)| (key.as_text(), value.as_text()))
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(self) -> bool {
        !self.owner.has(self.number)
    }
}

/// Quantities by the name of the resource, such as a node's capacity or a container's requests.
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").capacity("cpu", "8").capacity("nvidia.com/gpu", "2").build();
/// assert_eq!(node.capacity().text("nvidia.com/gpu"), Some("2"));
/// assert_eq!(node.capacity().quantity("cpu").transpose()?.map(|cpu| cpu.milli_value()), Some(8000));
/// # Ok::<(), weir_model::QuantityError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Quantities<'a> {
    owner: Message<'a>,
    number: u32,
}

impl<'a> Quantities<'a> {
    pub(crate) fn new(owner: Message<'a>, number: u32) -> Self {
        Self { owner, number }
    }

    /// The quantity of a resource as it is written.
    #[must_use]
    pub fn text(self, resource: &str) -> Option<&'a str> {
        self.owner.value_in_map(self.number, resource.as_bytes()).map(Message::only_text)
    }

    /// The quantity of a resource as a number.
    #[must_use]
    pub fn quantity(self, resource: &str) -> Option<Result<Quantity, QuantityError>> {
        self.text(resource).map(Quantity::parse)
    }

    /// How much there is of a resource, in its base unit: milli-CPU for `cpu`, whole units for all others.
    /// Nothing where it is not listed; a quantity that does not parse makes the verdict of the call an error.
    #[must_use]
    pub fn amount(self, resource: &str) -> Amount {
        match self.quantity(resource) {
            None => Amount::ZERO,
            Some(Ok(quantity)) => quantity.amount(resource),
            Some(Err(error)) => {
                host::fail(resource, &error);
                Amount::ZERO
            }
        }
    }

    /// All resources with their quantities as they are written.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.owner.messages(self.number).map(Message::entry).map(|(key, value)| (key.as_text(), value.only_text()))
    }

    /// Whether no resource is listed.
    #[must_use]
    pub fn is_empty(self) -> bool {
        !self.owner.has(self.number)
    }
}
