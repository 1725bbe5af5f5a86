//! Where a plugin's args have a public key, a module needs a signature of it. A wrong one is refused with the reason.

use anyhow::Result;
use k8s_openapi::ByteString;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::json;

use crate::swap::{MODULE, Swapping, packed, setup_with};

#[tokio::test]
async fn a_module_that_is_wrongly_signed_is_refused_while_scheduling_goes_on() -> Result<()> {
    let (ours, theirs) = (KeyPair::generate_for(&PKCS_ED25519)?, KeyPair::generate_for(&PKCS_ED25519)?);
    let (first, next) = (packed("", "0")?, packed("", "1")?);
    let signature = ours.sign(&first)?;
    let held = json!({ MODULE: ByteString(first), format!("{MODULE}.sig"): ByteString(signature.clone()) });
    let key = serde_json::to_string(&ours.public_key_pem())?;
    let swapping = Swapping::with(&setup_with(&format!("publicKey: {key}"))?, held).await?;
    let before = swapping.report().await?["digest"].clone();

    let refusals = [
        ("unsigned", None, "no signature beside it"),
        ("by-somebody", Some(theirs.sign(&next)?), "not one of args.publicKey over these bytes"),
        ("of-other-bytes", Some(signature), "not one of args.publicKey over these bytes"),
        ("cut-off", Some(ours.sign(&next)?[..63].to_vec()), "neither the 64 bytes of an ed25519 signature nor base64"),
    ];
    for (name, signature, why) in refusals {
        let file = signature.map(|bytes| swapping.sandbox.file("wrong.sig", bytes)).transpose()?;
        let file = file.map(|file| file.display().to_string());
        let options: Vec<_> = file.iter().flat_map(|file| ["--signature", file]).collect();
        let (ended, placed) = swapping.under_load(name, swapping.push(&next, &options)).await?;
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.stdout);
        assert!(ended.stderr.contains(why), "{name}: {}", ended.stderr);
        assert!(placed > 0, "{name}: pods were placed meanwhile");
        assert_eq!(swapping.report().await?["digest"], before, "{name}");
    }

    let file = swapping.sandbox.file("right.sig", ours.sign(&next)?)?.display().to_string();
    let ended = swapping.push(&next, &["--signature", &file]).await?;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_ne!(swapping.report().await?["digest"], before);
    Ok(())
}
