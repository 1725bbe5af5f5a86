//! What is wrong stops the start, with words that name it; nothing is left running.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use tokio::process::Command;
use weir_local::{Cluster, Options, Port, Program, ReservedPort};
use weir_packer::{Settings, pack};
use weir_tests::program::{Sandbox, left_running, running, to_its_end};
use weir_tests::setup::{CONFIG, Reach, Setup, built, programs_with};
use weir_tests::world::{World, room, shared};

const MODULE: &str = "file://${WEIR_PLUGINS}/gpu-filter.wasm";

/// A module with a memory and one function that is no extension point: what a build leaves that forgot `export!`.
const EXPORTS_NOTHING: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
    \x07\x0e\x02\x06memory\x02\0\x01f\0\0\x0a\x04\x01\x02\0\x0b";

/// The message of a scheduler that has to refuse to start. It leaves nothing in the sandbox but the file that
/// it is configured with and what the test itself put there.
async fn refusal(setup: &Setup, sandbox: &Sandbox, own: &[&str]) -> Result<String> {
    let world = shared::placing()?;
    let reach = Reach { kubeconfig: world.cluster.kubeconfig(), port: 0 };
    refusal_of(&mut setup.command(reach, sandbox).await?, sandbox, own).await
}

async fn refusal_of(scheduler: &mut Command, sandbox: &Sandbox, own: &[&str]) -> Result<String> {
    let ended = to_its_end(scheduler).await?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(sandbox.left_behind(&[own, &[CONFIG]].concat())?, [""; 0]);
    Ok(ended.stderr)
}

#[tokio::test]
async fn a_wrong_setting_stops_the_start_with_its_name() -> Result<()> {
    let cases = [
        (r#"{"gpuResourcez": []}"#, "gpuResourcez"),
        (r#"{"gpuResources": ["nvidia.com/gpu", 5]}"#, "settings.gpuResources[1]"),
        (r#"{"gpuResources": ["gpu"]}"#, "gpuResources[0]: write vendor/name"),
        (r#"{"gpuResources": ["#, "settings"),
    ];
    for (settings, want) in cases {
        let sandbox = Sandbox::new()?;
        let with = format!("{MODULE}\n          guestConfig: '{settings}'");
        let message = refusal(&Setup::shipped()?.replacing(MODULE, &with)?, &sandbox, &[]).await?;
        assert!(message.contains("GPUFilter") && message.contains(want), "{settings}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_of_the_configuration_that_does_not_exist_stops_the_start() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let with = format!("{MODULE}\n          guestUrl: x");
    let message = refusal(&Setup::shipped()?.replacing(MODULE, &with)?, &sandbox, &[]).await?;
    assert!(message.contains("GPUFilter") && message.contains("guestUrl"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_missing_module_is_named() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let others = other_modules(&sandbox)?;
    let setup = Setup::shipped()?.with_modules_of(sandbox.path());
    let message = refusal(&setup, &sandbox, &others.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    assert!(message.contains("gpu-filter.wasm: no such file or directory"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_truncated_module_is_refused() -> Result<()> {
    let whole = std::fs::read(built("plugins/packed/gpu-filter.wasm")?)?;
    let message = refused_module(&whole[..whole.len() / 2]).await?;
    assert!(message.contains("gpu-filter.wasm is not a WebAssembly module, or only a part of one"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_module_without_an_extension_point_is_refused() -> Result<()> {
    let message = refused_module(&pack(EXPORTS_NOTHING, &Settings::default())?).await?;
    assert!(message.contains("gpu-filter.wasm") && message.contains("none of prefilter, filter, score"), "{message}");
    Ok(())
}

async fn refused_module(bytes: &[u8]) -> Result<String> {
    let sandbox = Sandbox::new()?;
    let others = other_modules(&sandbox)?;
    sandbox.file("gpu-filter.wasm", bytes)?;
    let own: Vec<_> = others.iter().map(String::as_str).chain(["gpu-filter.wasm"]).collect();
    refusal(&Setup::shipped()?.with_modules_of(sandbox.path()), &sandbox, &own).await
}

/// Copies every module but gpu-filter's: the scheduler loads them in no particular order.
fn other_modules(sandbox: &Sandbox) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for module in std::fs::read_dir(built("plugins/packed")?)? {
        let name = module?.file_name().to_string_lossy().into_owned();
        if name != "gpu-filter.wasm" {
            sandbox.file(&name, std::fs::read(built("plugins/packed")?.join(&name))?)?;
            names.push(name);
        }
    }
    Ok(names)
}

/// It gives the API server a quarter of a minute, then says which one it is that does not answer.
#[tokio::test]
async fn a_scheduler_that_cannot_reach_its_api_server_ends_and_says_which() -> Result<()> {
    let sandbox = Sandbox::new()?;
    // Bound and not listening: no other program gets it, and a connection to it is refused.
    let port = ReservedPort::reserve(Port::Free, "nobody")?;
    let kubeconfig = unreachable(&sandbox, port.number())?;
    let mut scheduler = Setup::shipped()?.command(Reach { kubeconfig: &kubeconfig, port: 0 }, &sandbox).await?;
    let message = refusal_of(&mut scheduler, &sandbox, &["kubeconfig"]).await?;
    let (server, port) = (format!("http://127.0.0.1:{}", port.number()), port.number());
    assert!(message.contains(&format!("the API server at {server} does not answer")), "{message}");
    assert!(message.contains(&format!("dial tcp 127.0.0.1:{port}: connect: connection refused")), "{message}");
    Ok(())
}

fn unreachable(sandbox: &Sandbox, port: u16) -> Result<PathBuf> {
    let server = json!({ "server": format!("http://127.0.0.1:{port}") });
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{ "name": "it", "cluster": server }],
        "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        "users": [{ "name": "it", "user": {} }]
    });
    sandbox.file("kubeconfig", kubeconfig.to_string())
}

#[tokio::test]
async fn a_scheduler_whose_port_is_in_use_says_so() -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    let (sandbox, world) = (Sandbox::new()?, shared::placing()?);
    let reach = Reach { kubeconfig: world.cluster.kubeconfig(), port };
    let mut scheduler = Setup::shipped()?.command(reach, &sandbox).await?;
    let message = refusal_of(&mut scheduler, &sandbox, &["certificates"]).await?;
    assert!(message.contains(&format!("127.0.0.1:{port}: bind: address already in use")), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_control_plane_whose_port_is_in_use_says_so() -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    let programs = programs_with(&Program::CONTROL_PLANE).await?;
    let _room = room().await?;
    let Err(error) = Cluster::start(&programs, Options { port: Port::Fixed(port) }).await else {
        anyhow::bail!("it started on a port that is in use");
    };
    assert!(
        format!("{error:#}").contains(&format!("kube-apiserver: port {port} of 127.0.0.1 cannot be had")),
        "{error:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_control_plane_leaves_nothing_behind() -> Result<()> {
    let world = World::start().await?;
    let folder = world.cluster.folder().to_owned();
    let names: BTreeSet<_> = running(&folder)?.into_iter().map(|(_, name)| name).collect();
    // The kernel keeps 15 letters of a name.
    let expected = ["etcd", "kube-apiserver", "kube-controller", "kwok"].map(str::to_owned);
    assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
    drop(world);
    assert_eq!(left_running(&folder)?, [""; 0]);
    assert!(!folder.exists());
    Ok(())
}
