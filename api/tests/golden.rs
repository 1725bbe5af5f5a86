//! The definitions in `crds/` are those that the types make.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

#[test]
fn the_yaml_that_is_installed_is_what_the_types_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut files = std::fs::read_dir(&directory).unwrap().count();
    for crd in weir_api::crds() {
        let path = directory.join(format!("{}.yaml", crd.spec.names.plural));
        let text = std::fs::read_to_string(&path).unwrap();
        let installed: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(installed, crd, "{} is stale: run `make generate`", path.display());
        files -= 1;
    }
    assert_eq!(files, 0, "a file in {} belongs to no type", directory.display());
}
