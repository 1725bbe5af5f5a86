//! The configuration file: one, in YAML, every value documented here, checked when it is read.
//!
//! An empty file is a complete configuration; `admission-config/config.yaml` has every value with its default. An unknown
//! key is refused, because a switch with a typing error in it would silently be off.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::core::Duration as Span;
use serde::Deserialize;
use weir_api::names;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Whether pods wait. `false`: everything is admitted at once, each pod says what would have happened, and none is
    /// evicted.
    pub enforce: bool,
    /// The namespace that Weir runs in. Its pods are never managed.
    pub namespace: String,
    /// The user name of the sidecar at the API server: the only one that may remove gates.
    pub user: String,
    /// Which pods are managed, and what they get by default.
    pub pods: Pods,
    /// How pods are placed; has to agree with the scheduler's configuration.
    pub placement: Placement,
    /// What nodes count.
    pub nodes: Nodes,
    /// When and how much is decided and written.
    pub cycle: Cycle,
    /// The webhook and its certificates.
    pub webhook: Webhook,
    /// Health, readiness and metrics.
    pub http: Http,
    /// Which replica leads.
    pub lease: Lease,
}

/// Which pods are managed, and what they get by default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pods {
    /// Namespaces whose pods are never managed, beside Weir's own.
    pub exempt_namespaces: Vec<String>,
    /// Users whose pods are never managed, beside the controller of DaemonSets.
    pub exempt_users: Vec<String>,
    /// Whether the queue labels of other systems name a pool too.
    pub compat: bool,
    /// The pool of pods that ask for admission and name none; empty: such a pod waits with `PoolNotFound`.
    pub default_pool: String,
    /// Whether pods without a controller are evicted too when they are not placed in time; no controller would make
    /// them again.
    pub kill_bare: bool,
}

/// How pods are placed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Placement {
    /// The scheduler that places admitted pods.
    pub scheduler: String,
    /// Schedulers that a managed pod may name and keep. A pod that names any other waits as `Misconfigured`.
    pub other_schedulers: Vec<String>,
    /// The resource names that mean GPUs.
    pub gpu_resources: Vec<String>,
    /// The node label, and node selector key, of the GPU model.
    pub model_label: String,
    /// The ConfigMap with the list of special hardware, as `namespace/name`.
    pub special_hardware: String,
    /// Whether gpu-filter is on in the scheduler's profile. Off: CPU and GPU hosts are one class.
    pub gpu_filter: bool,
    /// Whether sku-exclusion-filter is on in the scheduler's profile. Off: special SKUs are general ones.
    pub sku_exclusion_filter: bool,
}

/// What nodes count.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Nodes {
    /// Taint keys that take a node out of the capacity.
    pub maintenance_taints: Vec<String>,
    /// How long a node may be not ready before it is taken out.
    pub not_ready_hold: Span,
}

/// When and how much is decided and written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cycle {
    /// How long events are gathered before a decision.
    pub gather: Span,
    /// The longest time between decisions when nothing happens.
    pub idle: Span,
    /// How many gates may be removed, and how many conditions written, at once. The API server's own fairness
    /// does the rest; more only help where its answers take long.
    pub writers: usize,
    /// How long after Weir first led in this cluster no pod is evicted, so that turning it on takes nothing from what ran
    /// before.
    pub adoption_grace: Span,
    /// How long a pool must be above its entitlement, without a break, before it is brought back.
    pub reclaim_after: Span,
    /// How long evictions that a budget refuses are tried again once others of the same plan are gone, and how
    /// long a pod that cannot be evicted is left alone.
    pub eviction_retry: Span,
    /// How long an admitted pod may stay without a node before it is killed to give its resources back; the
    /// time in which the scheduler makes no progress does not count.
    pub placement_timeout: Span,
    /// For how long after a sign of life the scheduler counts as working: a pod that is bound, a verdict that
    /// changes, a report that is renewed. Longer than the five minutes for which kube-scheduler may leave a pod
    /// alone that it could not place.
    pub scheduler_patience: Span,
    /// How many pods of draining pools, or killed for not being placed, may go at most within a minute.
    pub kills_per_minute: u32,
    /// How long the owner of a killed pod backs off the first time; twice as long each further time.
    pub back_off_first: Span,
    /// The longest time that it backs off.
    pub back_off_most: Span,
}

/// The webhook and its certificates.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Webhook {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether the sidecar installs its own webhook configuration and admission policy, and keeps them right.
    pub install: bool,
    /// The name of the Service in front of the replicas.
    pub service: String,
    /// The port of that Service.
    pub service_port: u16,
    /// A URL instead of the Service, for an API server outside the cluster's network.
    pub url: Option<String>,
    /// How long the API server waits for an answer before it goes on without, in whole seconds.
    pub timeout: Span,
    /// The Secret that holds the certificates of all replicas.
    pub secret: String,
    /// How long a certificate is valid; it is renewed after two thirds.
    pub validity: Span,
}

/// Health, readiness and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Http {
    /// Where they are served, without TLS: `/healthz`, `/readyz`, `/metrics`.
    pub listen: SocketAddr,
}

/// Which replica leads.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lease {
    /// How long a leader that fell silent is waited for.
    pub duration: Span,
    /// How long before its end the leader renews it.
    pub renew_before: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enforce: true,
            namespace: names::NAMESPACE.to_owned(),
            user: format!("system:serviceaccount:{}:{}", names::NAMESPACE, names::ADMISSION),
            pods: Pods::default(),
            placement: Placement::default(),
            nodes: Nodes::default(),
            cycle: Cycle::default(),
            webhook: Webhook::default(),
            http: Http::default(),
            lease: Lease::default(),
        }
    }
}

impl Default for Pods {
    fn default() -> Self {
        Self {
            exempt_namespaces: vec!["kube-system".to_owned()],
            exempt_users: Vec::new(),
            compat: false,
            default_pool: names::DEFAULT_POOL.to_owned(),
            kill_bare: false,
        }
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            scheduler: names::SCHEDULER.to_owned(),
            other_schedulers: Vec::new(),
            gpu_resources: vec![weir_model::dimension::GPU.to_owned()],
            model_label: names::GPU_MODEL.to_owned(),
            special_hardware: format!("{}/special-hardware", names::NAMESPACE),
            gpu_filter: true,
            sku_exclusion_filter: true,
        }
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self { maintenance_taints: Vec::new(), not_ready_hold: seconds(300) }
    }
}

impl Default for Cycle {
    fn default() -> Self {
        Self {
            gather: Span::from(Duration::from_millis(50)),
            idle: seconds(1),
            writers: 32,
            adoption_grace: seconds(1800),
            reclaim_after: seconds(60),
            eviction_retry: seconds(60),
            placement_timeout: seconds(25 * 60),
            scheduler_patience: seconds(6 * 60),
            kills_per_minute: 60,
            back_off_first: seconds(60),
            back_off_most: seconds(3600),
        }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 9443)),
            install: true,
            service: names::ADMISSION.to_owned(),
            service_port: 443,
            url: None,
            timeout: seconds(5),
            secret: format!("{}-tls", names::ADMISSION),
            validity: seconds(365 * 86_400),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self { duration: seconds(15), renew_before: seconds(5) }
    }
}

fn seconds(seconds: u64) -> Span {
    Span::from(Duration::from_secs(seconds))
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading configuration {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no YAML, has an unknown key or a value of the wrong type.
    #[error("configuration: {0}")]
    Parse(String),
    /// A value that cannot work.
    #[error("configuration, {field}: {problem}")]
    Value {
        /// The path of the value.
        field: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl Config {
    /// The configuration in a file.
    ///
    /// # Errors
    /// The file cannot be read, or [`Config::parse`] refuses it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// The configuration in a text; what is left out has its default.
    ///
    /// ```
    /// use weir_admission::config::Config;
    /// assert_eq!(Config::parse("").unwrap(), Config::default());
    /// let error = Config::parse("enforced: false").unwrap_err().to_string();
    /// assert!(error.contains("enforced"), "{error}");
    /// ```
    ///
    /// # Errors
    /// The text is no YAML, has an unknown key, or holds a value that cannot work; the error names it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let nothing = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let config = match nothing {
            true => Self::default(),
            false => serde_saphyr::from_str(text).map_err(|error| ConfigError::Parse(error.to_string()))?,
        };
        config.check()
    }

    fn check(self) -> Result<Self, ConfigError> {
        let wrong = |field, problem: &str| Err(ConfigError::Value { field, problem: problem.to_owned() });
        if self.namespace.is_empty() {
            return wrong("namespace", "is empty; name the namespace that Weir runs in");
        }
        if self.user.is_empty() {
            return wrong("user", "is empty; name the sidecar's user, or nobody can admit a pod");
        }
        if self.placement.scheduler.is_empty() || self.placement.scheduler == names::DEFAULT_SCHEDULER {
            return wrong(
                "placement.scheduler",
                "must name a profile of its own; every pod without one would be managed",
            );
        }
        if !self.placement.special_hardware.contains('/') {
            return wrong("placement.specialHardware", "must be namespace/name of a ConfigMap");
        }
        if self.placement.model_label.is_empty() {
            return wrong("placement.modelLabel", "is empty; name the node label of the GPU model");
        }
        if self.placement.gpu_resources.is_empty() {
            return wrong("placement.gpuResources", "is empty; name at least one resource, such as nvidia.com/gpu");
        }
        if self.cycle.writers == 0 {
            return wrong("cycle.writers", "is 0, so nothing could be written; 32 is the default");
        }
        let timeout = Duration::from(self.webhook.timeout);
        if !(1..=30).contains(&timeout.as_secs()) || timeout.subsec_nanos() != 0 {
            return wrong("webhook.timeout", "must be whole seconds between 1s and 30s, which the API server takes");
        }
        if Duration::from(self.webhook.validity) < Duration::from_secs(60) {
            return wrong("webhook.validity", "is below one minute; a certificate must outlive a restart");
        }
        let https = |url: &String| url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
        if self.webhook.url.as_ref().is_some_and(|url| !https(url)) {
            return wrong("webhook.url", "must begin with https://, which alone the API server calls");
        }
        if self.webhook.url.is_none() && self.webhook.service.is_empty() {
            return wrong(
                "webhook.service",
                "is empty; name the Service in front of the replicas, or give webhook.url",
            );
        }
        if self.webhook.secret.is_empty() {
            return wrong("webhook.secret", "is empty; name the Secret for the certificates");
        }
        if Duration::from(self.lease.duration) < Duration::from_secs(1) {
            return wrong("lease.duration", "is below one second; 15s is the default");
        }
        if Duration::from(self.lease.renew_before) * 2 > Duration::from(self.lease.duration) {
            return wrong("lease.renewBefore", "must be at most half of lease.duration");
        }
        let spans = [
            ("cycle.gather", self.cycle.gather),
            ("cycle.idle", self.cycle.idle),
            ("cycle.adoptionGrace", self.cycle.adoption_grace),
            ("cycle.reclaimAfter", self.cycle.reclaim_after),
            ("cycle.evictionRetry", self.cycle.eviction_retry),
            ("cycle.placementTimeout", self.cycle.placement_timeout),
            ("cycle.schedulerPatience", self.cycle.scheduler_patience),
            ("cycle.backOffFirst", self.cycle.back_off_first),
            ("cycle.backOffMost", self.cycle.back_off_most),
            ("nodes.notReadyHold", self.nodes.not_ready_hold),
            ("webhook.timeout", self.webhook.timeout),
            ("webhook.validity", self.webhook.validity),
            ("lease.duration", self.lease.duration),
            ("lease.renewBefore", self.lease.renew_before),
        ];
        if let Some((field, _)) = spans.into_iter().find(|(_, span)| span.is_negative()) {
            return wrong(field, "is negative");
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_a_complete_configuration() {
        assert_eq!(Config::parse("# nothing\n").unwrap(), Config::default());
    }

    /// The paths of all keys.
    fn keys(of: &serde_json::Value, path: &str) -> Vec<String> {
        let serde_json::Value::Object(fields) = of else { return vec![path.to_owned()] };
        fields.iter().flat_map(|(key, value)| keys(value, &format!("{path}.{key}"))).collect()
    }

    #[test]
    fn the_file_that_is_shipped_explains_every_value_and_has_its_default() {
        let shipped = include_str!("../../admission-config/config.yaml");
        assert_eq!(Config::parse(shipped).unwrap(), Config::default());
        let written: serde_json::Value = serde_saphyr::from_str(shipped).unwrap();
        let all = serde_json::to_value(Config::default()).unwrap();
        assert_eq!(keys(&written, ""), keys(&all, ""));
    }

    #[test]
    fn what_is_left_out_keeps_its_default() {
        let config = Config::parse("enforce: false\nwebhook:\n  timeout: 2s\n").unwrap();
        assert!(!config.enforce);
        assert_eq!(config.webhook.timeout, seconds(2));
        assert_eq!(config.webhook.secret, "weir-admission-tls");
    }

    #[test]
    fn a_mistake_names_its_field() {
        assert!(refusal("webhook: {timeot: 2s}").contains("timeot"));
        assert!(
            refusal("webhook: {timeout: 90s}").starts_with("configuration, webhook.timeout: must be whole seconds")
        );
        assert!(refusal("cycle: {writers: 0}").starts_with("configuration, cycle.writers: is 0"));
        assert!(refusal("placement: {scheduler: default-scheduler}").contains("placement.scheduler"));
        assert!(refusal("cycle: {idle: soon}").contains("idle"));
        assert!(refusal("lease: {duration: 0s, renewBefore: 0s}").contains("lease.duration"));
        assert!(refusal("lease: {renewBefore: -5s}").contains("lease.renewBefore"));
        assert!(refusal("webhook: {url: 'http://10.0.0.7'}").contains("webhook.url"));
        assert!(refusal("webhook: {service: ''}").contains("webhook.service"));
        assert!(refusal("placement: {modelLabel: ''}").contains("placement.modelLabel"));
    }
}
