//! The connection to a cluster: its address, the user's credentials, and what to do when it does not answer.
//!
//! Everything that can be refused is said in a sentence that ends with what to do. Nothing is shown here.

use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_api::GROUP;

/// Which cluster, and how to answer.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// The kubeconfig file; default: $KUBECONFIG, ~/.kube/config or the pod's own service account
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; default: its current one
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
}

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// A cluster that can be asked.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// What people call it: the name of the context.
    pub(crate) name: String,
    /// The namespace of the context.
    pub(crate) namespace: String,
    server: String,
}

/// How many objects are asked for at a time.
const PAGE: u32 = 500;

impl Cluster {
    /// Finds out where the cluster is. Nothing is asked of it yet.
    pub(crate) async fn of(args: &ClusterArgs) -> Result<Self> {
        // Other code in this process may have installed a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = match &args.kubeconfig {
            Some(file) => {
                Some(Kubeconfig::read_from(file).with_context(|| format!("--kubeconfig {}", file.display()))?)
            }
            None => Kubeconfig::read().ok(),
        };
        let (config, name) = match read {
            Some(file) => from_file(file, args.context.clone()).await?,
            None if args.context.is_none() => {
                let config = Config::incluster()
                    .map_err(|_| anyhow!("no kubeconfig was found; name one with --kubeconfig, or set KUBECONFIG"))?;
                (config, "in-cluster".to_owned())
            }
            None => return Err(anyhow!("--context: no kubeconfig was found; name one with --kubeconfig")),
        };
        let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let client = Client::try_from(config).context("the kubeconfig")?;
        Ok(Self { client, name, namespace, server })
    }

    /// All objects that match, page by page: a cluster may have a hundred thousand pods.
    pub(crate) async fn list<K>(&self, api: Api<K>, what: &str, params: ListParams) -> Result<Vec<K>>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let mut params = params.limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = api.list(&params).await.map_err(|error| self.explain("list", what, &error))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// One object, if it exists.
    pub(crate) async fn find<K>(&self, api: &Api<K>, what: &str, name: &str) -> Result<Option<K>>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        api.get_opt(name).await.map_err(|error| self.explain("get", what, &error))
    }

    /// What an answer means, and what to do about it.
    pub(crate) fn explain(&self, verb: &str, what: &str, error: &kube::Error) -> anyhow::Error {
        let Self { name, server, .. } = self;
        match error {
            kube::Error::Api(status) if status.code == 404 && what.ends_with(GROUP) => anyhow!(
                "cluster {name} does not know {what}: Weir is not installed there; install its custom resources \
                 (kubectl apply --server-side -f api/crds), or name another cluster with --context"
            ),
            kube::Error::Api(status) if status.code == 403 => {
                anyhow!("you may not {verb} {what} in cluster {name}; ask for the verb {verb} ({})", status.message)
            }
            kube::Error::Api(status) if status.code == 401 => {
                anyhow!("cluster {name} does not accept your credentials; log in again, or name another --context")
            }
            kube::Error::Api(status) => anyhow!("{verb} {what} in cluster {name}: {}", status.message),
            kube::Error::HyperError(_) | kube::Error::Service(_) => anyhow!(
                "the API server of cluster {name} at {server} cannot be reached ({}); is it up, and is this the right \
                 --context?",
                root_cause(error)
            ),
            other => anyhow!("{verb} {what} in cluster {name}: {other}"),
        }
    }
}

async fn from_file(file: Kubeconfig, context: Option<String>) -> Result<(Config, String)> {
    let known: Vec<_> = file.contexts.iter().map(|context| context.name.clone()).collect();
    let name = context.clone().or_else(|| file.current_context.clone()).unwrap_or_default();
    if let Some(wanted) = context.as_ref().filter(|wanted| !known.contains(wanted)) {
        return Err(anyhow!("--context {wanted}: the kubeconfig has {}", known.join(", ")));
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await.context("the kubeconfig")?;
    Ok((config, name))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Prints one JSON document.
pub(crate) fn print_json(answer: &impl Serialize) -> Result<()> {
    say(&(serde_json::to_string_pretty(answer)? + "\n"))
}

/// Prints a text. A reader that closes the pipe early is no error.
pub(crate) fn say(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("write the answer"),
        _ => Ok(()),
    }
}
