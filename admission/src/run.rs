//! The program: reads its configuration, starts what every replica does, and leads while it holds the lease.
//!
//! The webhook has threads of its own. The API server waits for each of its answers, for as long as its short timeout
//! and no longer, while a decision or a list of a hundred thousand pods may keep a thread busy for long.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use clap::Parser;
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use weir_api::names;

use crate::clock::Now;
use crate::config::Config;
use crate::http::{self, Ready};
use crate::leader::{EventQueue, LeaderContext, lead};
use crate::metrics::Metrics;
use crate::watch::caches::Caches;
use crate::webhook::certificates;
use crate::webhook::install;
use crate::webhook::refusals::{self, Refusals};
use crate::webhook::{self, Calls, Webhook};

/// The admission sidecar: nobody runs before their turn.
#[derive(Parser)]
#[command(name = "weir-admission", version, about)]
struct Arguments {
    /// The configuration file; without one, everything has its default.
    #[arg(long, env = "WEIR_ADMISSION_CONFIG")]
    config: Option<PathBuf>,
    /// The name of this replica, unique among them.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
}

/// Runs until a signal or a failure: 0 after a signal, 1 after a failure, 2 for a bad configuration.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { config, identity } = Arguments::parse();
    let read = config.map_or_else(|| Ok(Config::default()), |path| Config::read(&path));
    let config = match read {
        Ok(config) => config,
        Err(error) => {
            eprintln!("weir-admission: {error}");
            return ExitCode::from(2);
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let identity = identity.unwrap_or_else(|| format!("weir-admission-{}", std::process::id()));
    match start(config, identity) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopping");
            eprintln!("weir-admission: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How many threads answer the webhook: two, so that one huge pod does not keep the others waiting.
const ANSWERING: usize = 2;

fn start(config: Config, identity: String) -> anyhow::Result<()> {
    let answering = Builder::new_multi_thread().worker_threads(ANSWERING).thread_name("webhook").enable_all().build();
    let answering = answering.context("starting the webhook's threads")?;
    let deciding = Runtime::new().context("starting the runtime")?;
    deciding.block_on(run(config, identity, answering.handle().clone()))
}

/// Runs one replica until a signal stops it; the webhook is answered on `answering`.
///
/// # Errors
/// The API server cannot be reached at the start, a port is taken, or a task that should run for ever ended.
pub async fn run(config: Config, identity: String, answering: Handle) -> anyhow::Result<()> {
    // Two providers in one process would make rustls panic; this one is named before anything uses TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Arc::new(config);
    let reach = kube::Config::infer().await.context("finding the API server")?;
    let mut once = reach.clone();
    once.default_retry = false;
    let evictor = Client::try_from(once).context("connecting to the API server")?;
    let client = Client::try_from(reach).context("connecting to the API server")?;
    let metrics = Metrics::default();
    let ready = Ready::default();
    let mut tasks = JoinSet::new();
    serve_http(&config, &metrics, &ready, &mut tasks)?;
    let caches = Caches::start(&client, &config, Now::read, &mut tasks);
    let certificates = certificates::ensure(&client, &config, SystemTime::now()).await?;
    let serving = install::serving(&certificates).await.context("serving the webhook's certificate")?;
    caches.ready().await;
    let calls = Calls::none();
    let (refusals, refused) = Refusals::new(metrics.clone());
    tasks.spawn(refusals::write(client.clone(), refused));
    let state = Webhook {
        config: Arc::clone(&config),
        caches: caches.clone(),
        metrics: metrics.clone(),
        calls: calls.clone(),
        refusals,
    };
    serve_webhook(&config, serving.clone(), state, &answering, &mut tasks)?;
    if config.webhook.install {
        install::guards(&client, &config, &certificates.authorities).await?;
    }
    install::default_pool(&client, &config).await?;
    tasks.spawn(install::keep(client.clone(), Arc::clone(&config), serving, certificates));
    ready.now();
    tracing::info!(identity, "ready");
    let event_queue = EventQueue::default();
    let context =
        LeaderContext { client, evictor, config, caches, metrics, identity, calls, event_queue, clock: Now::read };
    tokio::select! {
        led = hold_lease(&context) => led,
        ended = tasks.join_next() => anyhow::bail!("a task that runs for ever ended: {ended:?}"),
        signal = stop() => signal,
    }
}

/// Holds the lease for as long as possible and decides while it is held.
async fn hold_lease(context: &LeaderContext) -> anyhow::Result<()> {
    let lease = &context.config.lease;
    let manager = LeaseManagerBuilder::new(context.client.clone(), names::ADMISSION)
        .with_namespace(&context.config.namespace)
        .with_identity(&context.identity)
        .with_duration(Duration::from(lease.duration).as_secs())
        .with_grace(Duration::from(lease.renew_before).as_secs())
        .build()
        .await
        .context("preparing the lease")?;
    let (mut leads, task) = manager.watch().await;
    loop {
        let leading = *leads.borrow_and_update();
        context.metrics.leads(leading);
        if leading {
            lead(context, &mut leads).await;
            continue;
        }
        if leads.changed().await.is_err() {
            let ended = task.await.context("the lease's task")?;
            return ended.map(drop).context("holding the lease");
        }
    }
}

fn serve_http(config: &Config, metrics: &Metrics, ready: &Ready, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let listener = listen(config.http.listen, "http.listen")?;
    let service = http::router(metrics.clone(), ready.clone()).into_make_service();
    let server = axum_server::from_tcp(listener).context("serving health and metrics")?;
    tasks.spawn(async move { report(server.serve(service).await) });
    Ok(())
}

fn serve_webhook(
    config: &Config,
    tls: RustlsConfig,
    state: Webhook,
    answering: &Handle,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let listener = listen(config.webhook.listen, "webhook.listen")?;
    let service = webhook::router(state).into_make_service();
    // An answer is small and waited for: it goes at once.
    let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
    let _answering = answering.enter();
    let server = axum_server::from_tcp(listener).context("serving the webhook")?.acceptor(acceptor);
    tasks.spawn_on(async move { report(server.serve(service).await) }, answering);
    Ok(())
}

fn listen(address: std::net::SocketAddr, field: &str) -> anyhow::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address).with_context(|| format!("{field}: listening on {address}"))?;
    listener.set_nonblocking(true).with_context(|| format!("{field}: listening on {address}"))?;
    Ok(listener)
}

fn report(served: std::io::Result<()>) {
    if let Err(error) = served {
        tracing::error!(%error, "serving ended");
    }
}

/// Waits for a signal to stop.
async fn stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupt = tokio::signal::ctrl_c() => interrupt.context("listening for SIGINT")?,
    }
    tracing::info!("stopping");
    Ok(())
}
