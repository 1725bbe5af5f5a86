//! `kubectl weir plugins`: what each replica of the scheduler runs, and giving it something else.
//!
//! Everything goes through the API: modules are written into the ConfigMap that a plugin's `guestURL` names, and the
//! outcome is read from the ConfigMaps in which the replicas report. `reports` lists and watches those, `holder` says
//! what is written, `judge` when it is done; `wait` does both. The scheduler decides whether a module may be used.

mod holder;
mod judge;
mod report;
mod reports;
#[cfg(test)]
mod tests;
mod view;
mod wait;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use weir_packer::Settings;

use crate::cluster::{Cluster, ClusterArgs, Format, print_json, say};
use crate::draw::Paint;
use holder::{Change, Module, Place};
use report::Report;

const EXAMPLES: &str = "Examples:
  kubectl weir plugins                                               what each replica runs
  kubectl weir plugins push gpu-filter.wasm --plugin GPUFilter       in force in all replicas, or why not
  kubectl weir plugins shadow gpu-filter.wasm --plugin GPUFilter     beside the one in force, deciding nothing
  kubectl weir plugins promote GPUFilter                             the one in the shadow in force
  kubectl weir plugins rollback GPUFilter                            the one before in force again
  kubectl weir plugins log GPUFilter                                 what happened, replica by replica
  kubectl weir plugins -o json | jq '.replicas[].plugins[] | {plugin, digest}'

A plugin can be changed from here when its args say guestURL: configmap://NAMESPACE/NAME/KEY. A module that `weir plugin
pack` has not packed is packed on the way. The commands return when every replica reports the change; when one refuses
it, the ConfigMap is put back, so that a restart finds what is in force. The Role weir-plugin-author (weir-system) has
the rights that this needs.

Columns: the digest of the module in force, the version that it says it is, how often it was asked, how many of the
answers were remembered, the time of those that were not (p50, p99), how often it trapped, and since when it is in
force. In the shadow: how many answers were compared, and how many failed.";

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PluginsArgs {
    #[command(subcommand)]
    command: Option<PluginsCommand>,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Subcommand)]
enum PluginsCommand {
    /// Put a module in force; without a command, all plugins are listed
    Push(GiveArgs),
    /// Let a module run beside the one in force and count where it would have answered otherwise
    Shadow(GiveArgs),
    /// Take the module in the shadow away
    EndShadow(NameArgs),
    /// Put the module in the shadow in force
    Promote(NameArgs),
    /// Put the module before in force again
    Rollback(NameArgs),
    /// Show what happened to the plugins
    Log(LogArgs),
}

/// A module for a plugin.
#[derive(Args)]
struct GiveArgs {
    /// The module
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The plugin's name in the scheduler's configuration, such as GPUFilter
    #[arg(long, value_name = "NAME")]
    plugin: String,
    /// The module's signature, where the plugin's args have a publicKey
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Give it as it is, packed or not; the plugin's args must say allowUnmetered if it is not
    #[arg(long)]
    as_is: bool,
    #[command(flatten)]
    patience: Patience,
}

/// A plugin.
#[derive(Args)]
struct NameArgs {
    /// Its name in the scheduler's configuration, such as GPUFilter
    #[arg(value_name = "PLUGIN")]
    plugin: String,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args)]
struct LogArgs {
    /// This plugin only
    #[arg(value_name = "PLUGIN")]
    plugin: Option<String>,
}

#[derive(Args, Clone, Copy)]
struct Patience {
    /// How many seconds to wait until every replica reports the change; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(crate) async fn run(args: &PluginsArgs) -> Result<()> {
    let cluster = Cluster::of(&args.cluster).await?;
    match &args.command {
        None => list(&cluster, args.output).await,
        Some(PluginsCommand::Log(LogArgs { plugin })) => log(&cluster, plugin.as_deref(), args.output).await,
        Some(PluginsCommand::Push(give)) => {
            let module = module(give)?;
            change(&cluster, &give.plugin, "push", Change::Push(module), give.patience, args.output).await
        }
        Some(PluginsCommand::Shadow(give)) => {
            let module = module(give)?;
            change(&cluster, &give.plugin, "shadow", Change::Shadow(module), give.patience, args.output).await
        }
        Some(PluginsCommand::EndShadow(NameArgs { plugin, patience })) => {
            change(&cluster, plugin, "end-shadow", Change::EndShadow, *patience, args.output).await
        }
        Some(PluginsCommand::Promote(NameArgs { plugin, patience })) => {
            change(&cluster, plugin, "promote", Change::Promote, *patience, args.output).await
        }
        Some(PluginsCommand::Rollback(NameArgs { plugin, patience })) => {
            change(&cluster, plugin, "rollback", Change::RollBack, *patience, args.output).await
        }
    }
}

async fn list(cluster: &Cluster, output: Format) -> Result<()> {
    let reports = reports::list(cluster).await?;
    match output {
        Format::Json => print_json(&json!({ "replicas": reports })),
        Format::Text => say(&view::table(&reports, Timestamp::now(), Paint::of_stdout())),
    }
}

async fn log(cluster: &Cluster, plugin: Option<&str>, output: Format) -> Result<()> {
    let reports = reports::list(cluster).await?;
    if let Some(plugin) = plugin {
        known(&reports, plugin)?;
    }
    let rows = reports.iter().flat_map(|report| report.plugins.iter().map(move |row| (report.replica.as_str(), row)));
    let rows = rows.filter(|(_, row)| plugin.is_none_or(|plugin| row.plugin == plugin));
    let mut entries: Vec<_> =
        rows.flat_map(|(replica, row)| row.log.iter().map(move |entry| (replica, row, entry))).collect();
    entries.sort_by_key(|(_, _, entry)| entry.at.0);
    match output {
        Format::Text => say(&view::log(&entries, Paint::of_stdout())),
        Format::Json => {
            let entry = |(replica, row, entry): &(&str, &report::Plugin, &report::Entry)| {
                json!({ "replica": replica, "plugin": row.plugin, "profile": row.profile, "at": entry.at,
                    "event": entry.event, "digest": entry.digest, "reason": entry.reason })
            };
            print_json(&json!({ "log": entries.iter().map(entry).collect::<Vec<_>>() }))
        }
    }
}

/// Changes what the ConfigMap holds, and waits for the replicas.
async fn change(
    cluster: &Cluster,
    plugin: &str,
    action: &str,
    change: Change,
    patience: Patience,
    output: Format,
) -> Result<()> {
    let reports = reports::list(cluster).await?;
    let (source, place) = place_of(&reports, plugin)?;
    let wait = wait::Wait { cluster, place, judge: judge::Judge::new(plugin, &source, &reports) };
    let done = wait.change(change, Duration::from_secs(patience.timeout)).await?;
    match output {
        Format::Json => print_json(&json!({ "plugin": plugin, "action": action, "digest": done.digest(),
            "source": source, "replicas": done.replicas, "seconds": done.took.as_secs_f64() })),
        Format::Text => say(&done.told(plugin)),
    }
}

fn known(reports: &[Report], plugin: &str) -> Result<()> {
    let mut all: Vec<&str> = reports.iter().flat_map(|report| &report.plugins).map(|row| row.plugin.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() {
        bail!("{}", view::NO_REPORT.trim_end());
    }
    if !all.contains(&plugin) {
        bail!("no replica has a plugin {plugin:?}; there are {}", all.join(", "));
    }
    Ok(())
}

/// Where the plugin's module stands, in all profiles and replicas that take it from a ConfigMap.
fn place_of(reports: &[Report], plugin: &str) -> Result<(String, Place)> {
    known(reports, plugin)?;
    let mut sources: Vec<&str> =
        report::living(reports).flat_map(|report| report.about(plugin)).map(|row| row.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut places = sources.iter().filter_map(|source| Place::read(source).map(|place| ((*source).to_owned(), place)));
    match (places.next(), places.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => bail!(
            "{plugin} is loaded from {}, which cannot be written from here; let its args say guestURL: \
             configmap://NAMESPACE/NAME/KEY, or replace it there",
            sources.join(" and ")
        ),
        (Some(_), Some(_)) => bail!(
            "{plugin} is loaded from several ConfigMaps ({}); let all profiles and replicas name one",
            sources.join(", ")
        ),
    }
}

/// The module to give, packed if it was not.
fn module(args: &GiveArgs) -> Result<Module> {
    let GiveArgs { file, plugin: _, signature, as_is, patience: _ } = args;
    let read = |file: &Path| std::fs::read(file).with_context(|| file.display().to_string());
    let bytes = read(file)?;
    let signature = signature.as_deref().map(read).transpose()?;
    let failed = || file.display().to_string();
    let bytes = match as_is {
        true => bytes,
        false if weir_packer::fuel_per_call(&bytes).with_context(failed)?.is_some() => bytes,
        false if signature.is_some() => bail!(
            "{}: the module is not packed, and packing it would make the signature wrong; pack it, then sign it, or say \
             --as-is",
            file.display()
        ),
        false => {
            eprintln!("{} is not packed; packing it", file.display());
            weir_packer::pack(&bytes, &Settings::default()).with_context(failed)?
        }
    };
    Ok(Module { bytes, signature })
}
