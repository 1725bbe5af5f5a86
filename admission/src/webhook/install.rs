//! Keeps the sidecar's own objects at the API server right: the webhook's registration, the policy, the
//! fresh install's pool `default` and the certificates that all of them depend on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustls::ServerConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_api::names;
use weir_api::pool::{PoolDefaults, ResourcePool, ResourcePoolSpec};

use crate::config::Config;
use crate::webhook::certificates::{self, Certificates};
use crate::webhook::policy;

/// How often what is installed is looked at, and how soon a failure is tried again.
const EVERY: Duration = Duration::from_secs(30);

/// Makes the pool of pods that name none, once: what an administrator changes or deletes later stays so.
///
/// # Errors
/// The API server cannot be reached or refuses.
pub async fn default_pool(client: &Client, config: &Config) -> anyhow::Result<()> {
    if config.pods.default_pool.is_empty() {
        return Ok(());
    }
    let pools: Api<ResourcePool> = Api::all(client.clone());
    if !pools.list(&kube::api::ListParams::default().limit(1)).await.context("listing pools")?.items.is_empty() {
        return Ok(());
    }
    let defaults = PoolDefaults { preemptible: Some(true), ..PoolDefaults::default() };
    let spec = ResourcePoolSpec { defaults: Some(defaults), ..ResourcePoolSpec::default() };
    match pools.create(&PostParams::default(), &ResourcePool::new(&config.pods.default_pool, spec)).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).context("creating the default pool"),
    }
}

/// Applies the webhook's registration and the policy.
///
/// # Errors
/// The API server cannot be reached or refuses one of them.
pub async fn guards(client: &Client, config: &Config, authorities: &[u8]) -> anyhow::Result<()> {
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    apply(&policies, &policy::policy(config)).await.context("applying the admission policy")?;
    apply(&bindings, &policy::binding()).await.context("applying the binding of the admission policy")?;
    apply(&webhooks, &policy::webhook(config, authorities)).await.context("applying the webhook's registration")
}

/// What the webhook serves with: these certificates, and HTTP/1.1.
///
/// The API server speaks HTTP/1.1 with the webhooks of a Service, so that connections, and with them requests,
/// spread over the replicas. HTTP/2 it would take only from one at a loopback address, and send all over one
/// connection; what is run there should be what is run elsewhere.
///
/// # Errors
/// The certificates cannot be read.
pub async fn serving(certificates: &Certificates) -> std::io::Result<RustlsConfig> {
    let config = RustlsConfig::from_pem(certificates.leaf.clone(), certificates.key.clone()).await?;
    let mut inner = ServerConfig::clone(&config.get_inner());
    inner.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.reload_from_config(Arc::new(inner));
    Ok(config)
}

/// Renews certificates in time, serves with what the Secret holds and keeps the registration right, for ever.
pub async fn keep(client: Client, config: Arc<Config>, served: RustlsConfig, mut known: Certificates) {
    loop {
        tokio::time::sleep(EVERY).await;
        match certificates::ensure(&client, &config, SystemTime::now()).await {
            Ok(fresh) if fresh != known => {
                match serving(&fresh).await {
                    Ok(renewed) => served.reload_from_config(renewed.get_inner()),
                    Err(error) => {
                        tracing::error!(%error, "the renewed certificate cannot be served; the old one stays");
                        continue;
                    }
                }
                known = fresh;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "certificates cannot be looked at; retrying"),
        }
        if config.webhook.install
            && let Err(error) = guards(&client, &config, &known.authorities).await
        {
            tracing::warn!(error = format!("{error:#}"), "installing failed; retrying");
        }
    }
}

async fn apply<K>(api: &Api<K>, object: &K) -> kube::Result<()>
where
    K: kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let params = PatchParams::apply(names::ADMISSION).force();
    api.patch(policy::NAME, &params, &Patch::Apply(object)).await.map(drop)
}
