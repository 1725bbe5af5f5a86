//! People with rights of their own.

use anyhow::{Context as _, Result};
use kube::Client;
use serde_json::{Value, json};

use super::TestNamespace;

impl TestNamespace {
    /// A user who may do everything with pods of this namespace, as its owner may.
    ///
    /// # Errors
    /// When the rights cannot be given.
    pub async fn owner(&self, user: &str) -> Result<Client> {
        let rules = json!([{ "apiGroups": [""], "resources": ["pods", "pods/status", "pods/resize"], "verbs": ["*"] }]);
        let metadata = json!({ "name": user, "namespace": self.name });
        self.apply(&role("Role", metadata, rules)).await.context("let the owner of a namespace change pods")?;
        let metadata = json!({ "name": format!("{user}-{user}"), "namespace": self.name });
        self.apply(&binding("RoleBinding", metadata, ("Role", user), user)).await?;
        self.world.user(user).await
    }

    /// Lets a user read these resources everywhere.
    ///
    /// # Errors
    /// When the rights cannot be given.
    pub async fn viewer(&self, user: &str, groups: &[&str], resources: &[&str]) -> Result<()> {
        let role_name = format!("{user}-views");
        let rules = json!([{ "apiGroups": groups, "resources": resources, "verbs": ["get", "list"] }]);
        self.apply(&role("ClusterRole", json!({ "name": role_name }), rules)).await?;
        self.grant(&role_name, user).await
    }

    /// Gives a user a cluster role.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn grant(&self, role: &str, user: &str) -> Result<()> {
        let metadata = json!({ "name": format!("{role}-{user}") });
        self.apply(&binding("ClusterRoleBinding", metadata, ("ClusterRole", role), user)).await
    }
}

const RIGHTS: &str = "rbac.authorization.k8s.io";

fn role(kind: &str, metadata: Value, rules: Value) -> Value {
    json!({ "apiVersion": format!("{RIGHTS}/v1"), "kind": kind, "metadata": metadata, "rules": rules })
}

fn binding(kind: &str, metadata: Value, (role_kind, role): (&str, &str), user: &str) -> Value {
    json!({ "apiVersion": format!("{RIGHTS}/v1"), "kind": kind, "metadata": metadata,
        "roleRef": { "apiGroup": RIGHTS, "kind": role_kind, "name": role },
        "subjects": [{ "apiGroup": RIGHTS, "kind": "User", "name": user }] })
}
