//! Which pods are admitted, which wait and why. What a pod says, an event says too, and the sidecar counts it: a test that
//! waits for the sentence waits for all three.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;

use super::TestNamespace;
use crate::objects::{ADMITTED, REFUSED, condition, is_admitted, is_gated, pod};

impl TestNamespace {
    /// Waits until a pod was admitted, whatever it said before, and returns it.
    ///
    /// # Errors
    /// When it is not admitted in time.
    pub async fn until_admitted(&self, name: &str) -> Result<Pod> {
        self.until_pod(name, "it is admitted", is_admitted).await
    }

    /// Waits until a pod says that it waits for this reason, in a sentence with these words, with an event, and until
    /// metrics show it.
    ///
    /// # Errors
    /// When one of them does not come in time, or the pod has no gate.
    pub async fn until_waiting(&self, name: &str, reason: &str, words: &str) -> Result<()> {
        let waits =
            |pod: &Pod| condition(pod, ADMITTED).is_some_and(|told| told.is_false() && told.says(reason, words));
        let pod = self.until_pod(name, &format!("it waits with {reason}: …{words}…"), waits).await?;
        ensure!(is_gated(&pod), "{name} has no gate: {pod:?}");
        self.until_event("Pod", name, reason, words).await?;
        self.world.counts(&["weir_pending_pods{", &format!("reason=\"{reason}\"")], 1.0).await
    }

    /// Waits until a pod says that a request about it was refused, with an event, and until metrics show it.
    ///
    /// # Errors
    /// When one of them does not come in time.
    pub async fn until_refused(&self, name: &str, refusal: &str, words: &str) -> Result<()> {
        let refused = |pod: &Pod| {
            condition(pod, REFUSED).is_some_and(|told| {
                told.is_true() && told.says(refusal, words) && told.0.last_transition_time.is_some()
            })
        };
        self.until_pod(name, &format!("it says that {refusal} was refused: …{words}…"), refused).await?;
        self.until_event("Pod", name, "Refused", words).await?;
        self.world.counts(&["weir_refused_requests_total{", &format!("refusal=\"{refusal}\"")], 1.0).await
    }

    /// Waits until a condition of a gang gives this reason.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_gang_says(&self, gang: &str, type_: &str, reason: &str) -> Result<()> {
        self.until(&format!("gang {gang} says {type_} {reason}"), |seen| {
            let conditions = &seen.gang(gang)?.status.as_ref()?.conditions;
            conditions.iter().any(|one| one.type_ == type_ && one.reason == reason).then_some(())
        })
        .await
    }

    /// Waits until a sidecar leads, which is when its name stands in the record of rounds.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_leads(&self, sidecar: &str) -> Result<()> {
        self.until(&format!("sidecar {sidecar} leads"), |seen| {
            (seen.cluster.round.as_ref()?.spec.holder == sidecar).then_some(())
        })
        .await
    }

    /// Shows that the rest goes on: a pod without a mistake is admitted, to a pool of its own.
    ///
    /// # Errors
    /// When it is not admitted in time.
    pub async fn rest_goes_on(&self) -> Result<()> {
        let fine = format!("{}-fine", self.name);
        self.create_pool_of(&fine, "1").await?;
        self.create_pod(&pod("fine").pool(&fine)).await?;
        self.until_admitted("fine").await.map(drop)
    }
}
