//! Writes the definitions of Weir's objects as YAML: `cargo run -p weir-api --example crds -- DIRECTORY`.

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let directory = PathBuf::from(std::env::args().nth(1).context("usage: crds DIRECTORY")?);
    for crd in weir_api::crds() {
        let path = directory.join(format!("{}.yaml", crd.spec.names.plural));
        let yaml = serde_saphyr::to_string(&crd).context("writing YAML")?;
        std::fs::write(&path, yaml).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
