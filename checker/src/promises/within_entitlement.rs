//! B3: no pod goes beyond the entitlement that it was decided on.

use weir_api::pod::Figure;

use crate::admission::Admission;
use crate::invariant::Invariant;

/// B3: usage and request together stay within the entitlement of the pool and of every ancestor, where what other
/// pools of an ancestor use beyond their own entitlements does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct WithinEntitlement;

impl Invariant for WithinEntitlement {
    fn name(&self) -> &'static str {
        "B3"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let Some(decision) = admission.decision.as_ref().filter(|_| admission.counts_as_entitled()) else {
            return Ok(());
        };
        if decision.finishes.is_some() {
            return Ok(());
        }
        let pool = admission.pool();
        let requests = weir_api::requests::of(admission.pod.object());
        let asks = requests.is_ok_and(|asks| asks.iter().any(|(_, amount)| !amount.is_zero()));
        if asks && !decision.figures.iter().any(|figure| figure.pool == pool) {
            return Err(format!("the record has no figure of its pool {pool:?}"));
        }
        // In its own pool everything counts.
        let counts = |it: &Figure| if it.pool == pool { it.usage } else { it.usage.saturating_sub(it.beyond) };
        let broken = decision.figures.iter().find(|it| counts(it).saturating_add(it.asked) > it.entitlement);
        match broken {
            None => Ok(()),
            Some(Figure { pool, resource, entitlement, usage, asked, .. }) => {
                Err(format!("{pool:?} used {usage} {resource} and was entitled to {entitlement}; {asked} came on top"))
            }
        }
    }
}
