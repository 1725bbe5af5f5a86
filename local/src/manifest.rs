//! Manifests: files of Kubernetes objects, applied as `kubectl apply --server-side` would, without kubectl.

use std::path::Path;

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};

/// The objects of a file, in its order.
///
/// ```
/// let manifest = weir_local::Manifest::parse("# one\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# none\n")?;
/// assert_eq!(manifest.objects()[0].metadata.name.as_deref(), Some("a"));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    objects: Vec<DynamicObject>,
}

impl Manifest {
    /// Reads a file in YAML.
    ///
    /// # Errors
    /// When it cannot be read or understood; the error names it.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("understand {}", file.display()))
    }

    /// Reads documents in YAML, divided by lines of `---`; one with nothing but comments is none.
    ///
    /// # Errors
    /// When one of them is no object.
    pub fn parse(text: &str) -> Result<Self> {
        let says_something =
            |part: &&str| part.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let parts = text.split("\n---\n").map(|part| part.trim_start_matches("---\n")).filter(says_something);
        let objects: Result<_, _> = parts.map(serde_saphyr::from_str).collect();
        Ok(Self { objects: objects? })
    }

    /// Its objects.
    #[must_use]
    pub fn objects(&self) -> &[DynamicObject] {
        &self.objects
    }

    /// Applies every object, in order, as this field manager.
    ///
    /// # Errors
    /// When the API server refuses one, or does not know its kind; the error names it.
    pub async fn apply(&self, client: &Client, manager: &str) -> Result<()> {
        for object in &self.objects {
            apply(client, object, manager).await.with_context(|| format!("apply {}", object.name_any()))?;
        }
        Ok(())
    }
}

/// Creates an object of any kind, or makes it what it should be, as this field manager.
///
/// # Errors
/// When the API server refuses it, or does not know its kind.
pub async fn apply(client: &Client, object: &DynamicObject, manager: &str) -> Result<()> {
    let types = object.types.as_ref().context("the object has no apiVersion and kind")?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, _) = kube::discovery::pinned_kind(client, &kind).await.context("find the kind")?;
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.patch(&object.name_any(), &PatchParams::apply(manager).force(), &Patch::Apply(object)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_before_and_between_documents_are_none() {
        let text = "# rights\napiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n# more\napiVersion: v1\nkind: B\nmetadata: {name: b}\n---\n# nothing\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.objects().iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_file_that_begins_with_the_dividing_line_is_read() {
        let text = "---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n";
        assert_eq!(Manifest::parse(text).unwrap().objects().len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broken.yaml");
        std::fs::write(&file, "apiVersion: [").unwrap();
        let said = format!("{:#}", Manifest::read(&file).unwrap_err());
        assert!(said.starts_with("understand ") && said.contains("broken.yaml"), "{said}");
    }
}
