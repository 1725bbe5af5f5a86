//! One parent and its children: how the parent's entitlement is divided between them, in four steps.
//!
//! 0. What non-preemptible pods use is given first; it cannot be taken.
//! 1. Then up to the requirement, within the reservation; a static child gets its whole reservation. When that
//!    is more than there is, all are cut by one factor λ, but none below step 0.
//! 2. What is left goes to unmet requirement by weighted max-min, up to the cap. The share weighs what comes on
//!    top of step 1: a large reservation neither helps nor harms in the division of what no pool reserved.
//! 3. What no pool asks for is spread by share up to the caps, so that an idle pool can start at once. What
//!    only pools with share 0 could take stays with the parent.

use std::ops::Range;

use weir_model::Amount;

use crate::column::Column;
use crate::fill::Divider;
use crate::fraction::Fraction;
use crate::shape::Terms;

/// The children of one parent in one dimension; all slices run over them in name order.
pub(crate) struct Family<'a> {
    /// What the parent is entitled to.
    available: Amount,
    terms: &'a [Terms],
    non_preemptible: &'a [Amount],
    requirement: &'a [Amount],
    cap: &'a [Amount],
    guaranteed: &'a mut [Amount],
    borrowed: &'a mut [Amount],
    entitlement: &'a mut [Amount],
}

impl<'a> Family<'a> {
    pub(crate) fn new(terms: &'a [Terms], column: &'a mut Column, parent: usize, children: &Range<usize>) -> Self {
        Self {
            available: column.entitlement[parent],
            terms: &terms[children.clone()],
            non_preemptible: &column.non_preemptible[children.clone()],
            requirement: &column.requirement[children.clone()],
            cap: &column.cap[children.clone()],
            guaranteed: &mut column.guaranteed[children.clone()],
            borrowed: &mut column.borrowed[children.clone()],
            entitlement: &mut column.entitlement[children.clone()],
        }
    }

    /// Writes the children's entitlements; gives λ where reservations had to be cut.
    pub(crate) fn divide(mut self, divider: &mut Divider) -> Option<Fraction> {
        match self.guarantee() {
            Ok(left) => {
                let unasked = self.meet_requirements(left, divider);
                self.spread(unasked, divider);
                None
            }
            Err(TooMuch) => Some(self.cut(divider)),
        }
    }

    /// Steps 0 and 1; gives what is left.
    fn guarantee(&mut self) -> Result<Amount, TooMuch> {
        let mut left = Some(self.available);
        for (child, guaranteed) in self.guaranteed.iter_mut().enumerate() {
            let claim = self.terms[child].claim(self.requirement[child]);
            *guaranteed = claim.max(self.non_preemptible[child]);
            left = left.filter(|&left| *guaranteed <= left).map(|left| left.minus(*guaranteed));
        }
        left.ok_or(TooMuch)
    }

    /// Step 1 where there is not enough: nothing is left for the other steps.
    fn cut(self, divider: &mut Divider) -> Fraction {
        let Self { available, terms, non_preemptible, requirement, cap: _, guaranteed, borrowed, entitlement } = self;
        let claims = terms.iter().zip(requirement).map(|(terms, &requirement)| terms.claim(requirement));
        let lambda = divider.cut(available, non_preemptible.iter().copied().zip(claims), guaranteed);
        borrowed.fill(Amount::ZERO);
        entitlement.copy_from_slice(guaranteed);
        lambda
    }

    /// Step 2: meets requirements, and gives what no pool asks for.
    fn meet_requirements(&mut self, left: Amount, divider: &mut Divider) -> Amount {
        let Self { terms, requirement, cap, guaranteed, borrowed, .. } = self;
        let unmet = (0..terms.len())
            .map(|child| (requirement[child].min(cap[child]).minus(guaranteed[child]), terms[child].share));
        divider.fill(left, unmet, borrowed)
    }

    /// Step 3: spreads what no pool asks for.
    fn spread(self, unasked: Amount, divider: &mut Divider) {
        let Self { terms, cap, guaranteed, borrowed, entitlement, .. } = self;
        let room =
            (0..terms.len()).map(|child| (cap[child].minus(guaranteed[child] + borrowed[child]), terms[child].share));
        divider.fill(unasked, room, entitlement);
        for (child, entitlement) in entitlement.iter_mut().enumerate() {
            *entitlement += guaranteed[child] + borrowed[child];
        }
    }
}

/// The reservations asked for are more than the parent is entitled to.
struct TooMuch;
