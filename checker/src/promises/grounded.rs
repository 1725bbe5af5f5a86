//! B1a: no pod admits itself, and every admission says on what grounds.

use weir_api::condition::Admitted;
use weir_api::pod::Grounds;

use crate::admission::Admission;
use crate::invariant::Invariant;

/// B1a: a gate goes with a word that says on what grounds, and an admission by the sidecar with a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grounded;

impl Invariant for Grounded {
    fn name(&self) -> &'static str {
        "B1a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        match (admission.grounds, &admission.decision) {
            // A pod that was never seen to wait may have been there before Weir.
            (Grounds::Silent, _) if !admission.waited => Ok(()),
            (Grounds::Silent, _) => Err("its gate went and nothing says on what grounds".to_owned()),
            (Grounds::Unknown(_), _) => Err("its gate went on grounds that are none of the contract's".to_owned()),
            (Grounds::Known(Admitted::Released | Admitted::Adopted | Admitted::NotEnforced), _) => Ok(()),
            (Grounds::Known(grounds), None) => Err(format!("{grounds}, and nothing says on what figures")),
            (Grounds::Known(_), Some(_)) => Ok(()),
        }
    }
}
