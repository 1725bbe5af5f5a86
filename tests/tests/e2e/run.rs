//! `weir-demo`: what `make run` runs, without a terminal.

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use weir_tests::program::{Ended, Sandbox, to_its_end};
use weir_tests::setup::built;
use weir_tests::world::room;

/// The command, with `sandbox` for its temporary files: its cluster lives there.
fn weir_demo(sandbox: &Sandbox, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(built("bin/weir-demo")?);
    command.args(arguments).env("TMPDIR", sandbox.path());
    Ok(command)
}

/// Runs it with bad input, which has to end with `code`; its message. Nothing is left but the test's own files.
async fn refusal(sandbox: &Sandbox, own: &[&str], arguments: &[&str], code: i32) -> Result<String> {
    let Ended { code: ended, stdout, stderr } = to_its_end(&mut weir_demo(sandbox, arguments)?).await?;
    assert_eq!(ended, Some(code), "{stdout}{stderr}");
    assert_eq!(sandbox.left_behind(own)?, [""; 0]);
    Ok(stderr)
}

#[tokio::test]
async fn a_small_run_ends_with_one_document_that_adds_up() -> Result<()> {
    let (sandbox, _room) = (Sandbox::new()?, room().await?);
    let ended = to_its_end(&mut weir_demo(&sandbox, &["--nodes", "40", "--pods", "60"])?).await?;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(sandbox.left_behind(&[])?, [""; 0]);

    let last = ended.stdout.lines().last().context("it printed nothing")?;
    let document: Value = serde_json::from_str(last).with_context(|| format!("read the last line: {last}"))?;
    let number = |at: &str| document.pointer(at).and_then(Value::as_u64).with_context(|| format!("{at} of {last}"));
    assert_eq!((number("/nodes")?, number("/pods")?, number("/violations")?), (40, 60, 0));
    assert_eq!(number("/bound/cpu")? + number("/bound/gpu")? + number("/refused")?, 60);
    assert!(number("/bound/cpu")? > 0 && number("/bound/gpu")? > 0, "the sample has pods of both kinds: {last}");
    for plugin in ["BinPackScore", "GPUFilter", "LoadAwareScore", "SKUExclusionFilter"] {
        assert!(number(&format!("/plugins/{plugin}/calls"))? > 0, "{last}");
        let digest = document["plugins"][plugin]["digest"].as_str().context("the digest")?;
        let hex = digest.strip_prefix("sha256:").with_context(|| format!("{digest} is no sha256"))?;
        assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_line_of_a_trace_is_named_with_its_field() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let nodes = sandbox.file("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\na,1000,1024,0,\nb,lots,1024,8,T4\n")?;
    let pods = sandbox.file("pods.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1000,1024,x,0\n")?;
    let (nodes, pods) = (nodes.to_string_lossy(), pods.to_string_lossy());
    let own = ["nodes.csv", "pods.csv"];
    let message = refusal(&sandbox, &own, &["--node-list", &nodes, "--nodes", "2"], 2).await?;
    assert!(message.contains(&format!("{nodes}: line 3, column \"cpu_milli\": \"lots\"")), "{message}");
    let message = refusal(&sandbox, &own, &["--pod-list", &pods, "--pods", "1"], 2).await?;
    assert!(message.contains(&format!("{pods}: line 2, column \"num_gpu\": \"x\"")), "{message}");
    let message = refusal(&sandbox, &own, &["--pod-list", &nodes, "--pods", "1"], 2).await?;
    assert!(message.contains(&format!("{nodes}: line 1: no column")), "{message}");
    let message = refusal(&sandbox, &own, &["--node-list", "/nowhere/nodes.csv"], 2).await?;
    assert!(message.contains("/nowhere/nodes.csv"), "{message}");
    Ok(())
}

#[tokio::test]
async fn more_than_the_trace_has_is_refused_with_the_flag() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let message = refusal(&sandbox, &[], &["--nodes", "1524"], 2).await?;
    assert!(message.contains("--nodes 1524"), "{message}");
    let message = refusal(&sandbox, &[], &["--pods", "0"], 2).await?;
    assert!(message.contains("--pods 0"), "{message}");
    let message = refusal(&sandbox, &[], &["--speed=-1"], 2).await?;
    assert!(message.contains("--speed"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_ends_the_run() -> Result<()> {
    let (sandbox, _room) = (Sandbox::new()?, room().await?);
    let taken = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port().to_string();
    let message = refusal(&sandbox, &[], &["--nodes", "1", "--pods", "1", "--port", &port], 1).await?;
    assert!(message.contains(&format!("kube-apiserver: port {port} of 127.0.0.1 cannot be had")), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_missing_module_ends_the_run_and_its_cluster() -> Result<()> {
    let (sandbox, _room) = (Sandbox::new()?, room().await?);
    let nowhere = sandbox.path().to_string_lossy().into_owned();
    let message = refusal(&sandbox, &[], &["--nodes", "1", "--pods", "1", "--plugins", &nowhere], 1).await?;
    assert!(message.contains(".wasm: no such file or directory"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_leaves_nothing_behind() -> Result<()> {
    let (sandbox, _room) = (Sandbox::new()?, room().await?);
    let mut command = weir_demo(&sandbox, &["--nodes", "5", "--pods", "2000"])?;
    let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let replaying = line.contains("replaying");
        said.push(line);
        if replaying {
            break;
        }
    }
    let id = child.id().with_context(|| format!("it ended before it was told to:\n{}", said.join("\n")))?;
    to_its_end(Command::new("kill").args(["-TERM", &id.to_string()])).await?;
    while lines.next_line().await?.is_some() {}
    assert_eq!(child.wait().await?.code(), Some(130));
    assert_eq!(sandbox.left_behind(&[])?, [""; 0]);
    Ok(())
}
