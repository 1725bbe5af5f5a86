//! A host for one plugin in an interpreter: as much of the ABI (sdk/ABI.md) as a pure module imports.
//!
//! It is no model of kube-scheduler-wasm-extension, which `tests/extension/guesttest` runs for real; it is
//! quick, so that a thousand random pods and nodes can be put to a module and to the same code compiled
//! natively.

use anyhow::{Context, Result, bail};
use wasmi::{Caller, Engine, Instance, Linker, Memory, Module, Store};

/// What the host tells the module, and what the module told the host.
#[derive(Default)]
struct Told {
    config: String,
    pod: Vec<u8>,
    /// What `currentNodeName` answers.
    node_name: Vec<u8>,
    node: Vec<u8>,
    reason: String,
    stderr: String,
}

/// A module that is loaded with its settings.
pub struct Guest {
    store: Store<Told>,
    instance: Instance,
}

/// A code and a reason, as the module gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// kube-scheduler's number for it.
    pub code: i32,
    /// What the user reads.
    pub reason: String,
}

impl Guest {
    /// Loads a module, as the extension does: `_start` reads the settings.
    ///
    /// # Errors
    /// When the bytes are no such module, or with what the module says on standard error when it refuses.
    pub fn load(wasm: &[u8], config: &str) -> Result<Self> {
        let engine = Engine::default();
        let module = Module::new(&engine, wasm)?;
        let mut store = Store::new(&engine, Told { config: config.to_owned(), ..Told::default() });
        let instance = linker(&engine)?.instantiate_and_start(&mut store, &module)?;
        let start = instance.get_typed_func::<(), ()>(&store, "_start")?;
        if let Err(trap) = start.call(&mut store, ()) {
            bail!("{}: {trap}", store.data().stderr);
        }
        Ok(Self { store, instance })
    }

    /// Which pod and node the next calls are about.
    pub fn set(&mut self, pod: &[u8], node_name: &str, node: &[u8]) {
        let told = self.store.data_mut();
        told.pod = pod.to_vec();
        told.node_name = node_name.as_bytes().to_vec();
        told.node = node.to_vec();
    }

    /// The same as weir-scheduler tells it: the node in place of its name, and whether the pod is that of the
    /// calls before. No node can be asked for.
    pub fn set_inline(&mut self, pod: &[u8], node: &[u8]) {
        let told = self.store.data_mut();
        let marks: &[u8] = if told.pod == pod { &[2] } else { &[1, 2] };
        told.pod = pod.to_vec();
        told.node_name = [marks, node].concat();
        told.node = Vec::new();
    }

    /// Calls a point that answers with a code, such as `filter`.
    ///
    /// # Errors
    /// When the module does not export it or traps.
    pub fn verdict(&mut self, point: &str) -> Result<Verdict> {
        self.store.data_mut().reason.clear();
        let function = self.instance.get_typed_func::<(), i32>(&self.store, point)?;
        let code = function.call(&mut self.store, ()).with_context(|| point.to_owned())?;
        Ok(Verdict { code, reason: self.store.data().reason.clone() })
    }

    /// Calls `score`: the score, and the verdict beside it.
    ///
    /// # Errors
    /// When the module does not export it or traps.
    pub fn score(&mut self) -> Result<(i32, Verdict)> {
        self.store.data_mut().reason.clear();
        let function = self.instance.get_typed_func::<(), i64>(&self.store, "score")?;
        let both = function.call(&mut self.store, ()).context("score")?;
        let verdict = Verdict { code: both as i32, reason: self.store.data().reason.clone() };
        Ok(((both >> 32) as i32, verdict))
    }
}

type Call<'a> = Caller<'a, Told>;

fn linker(engine: &Engine) -> Result<Linker<Told>> {
    let mut linker = Linker::new(engine);
    let scheduler = "k8s.io/scheduler";
    linker.func_wrap(scheduler, "currentPod", |call: Call<'_>, buf: u32, limit: u32| {
        let pod = call.data().pod.clone();
        answer(call, &pod, buf, limit)
    })?;
    linker.func_wrap(scheduler, "currentNodeName", |call: Call<'_>, buf: u32, limit: u32| {
        let name = call.data().node_name.clone();
        answer(call, &name, buf, limit)
    })?;
    linker.func_wrap(scheduler, "get_config", |call: Call<'_>, buf: u32, limit: u32| {
        let config = call.data().config.clone();
        answer(call, config.as_bytes(), buf, limit)
    })?;
    linker.func_wrap("k8s.io/api", "node", |call: Call<'_>, name: u32, len: u32, buf: u32, limit: u32| {
        let known = bytes(&call, name, len) == call.data().node_name;
        let node = if known { call.data().node.clone() } else { Vec::new() };
        answer(call, &node, buf, limit)
    })?;
    linker.func_wrap(scheduler, "result.status_reason", |mut call: Call<'_>, buf: u32, len: u32| {
        call.data_mut().reason = read(&call, buf, len);
    })?;
    linker.func_wrap(scheduler, "result.cluster_events", |_: Call<'_>, _: u32, _: u32| {})?;
    linker.func_wrap("k8s.io/klog", "severity", |_: Call<'_>| 0i32)?;
    linker.func_wrap("k8s.io/klog", "logs", |_: Call<'_>, _: i32, _: u32, _: u32, _: u32, _: u32| {})?;
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "fd_write",
        |mut call: Call<'_>, _: u32, slice: u32, _: u32, _: u32| {
            let part = |at: u32| u32::from_le_bytes(bytes(&call, at, 4).try_into().unwrap_or_default());
            let text = read(&call, part(slice), part(slice + 4));
            call.data_mut().stderr.push_str(&text);
            0i32
        },
    )?;
    Ok(linker)
}

/// Writes an answer if it fits, and says how long it is.
fn answer(mut call: Call<'_>, bytes: &[u8], buf: u32, limit: u32) -> u32 {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if let (true, Some(memory)) = (len <= limit, memory(&call)) {
        let written = memory.write(&mut call, buf as usize, bytes);
        debug_assert!(written.is_ok(), "the module named a buffer outside its memory");
    }
    len
}

fn read(call: &Call<'_>, at: u32, len: u32) -> String {
    String::from_utf8_lossy(&bytes(call, at, len)).into_owned()
}

fn bytes(call: &Call<'_>, at: u32, len: u32) -> Vec<u8> {
    let part = memory(call).and_then(|memory| memory.data(call).get(at as usize..)?.get(..len as usize).map(Vec::from));
    part.unwrap_or_default()
}

fn memory(call: &Call<'_>) -> Option<Memory> {
    call.get_export("memory").and_then(wasmi::Extern::into_memory)
}
