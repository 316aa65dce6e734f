//! Compares the JSON schema of every document with the one in docs/reference/schemas.

use std::path::Path;

use super::schema_of;

#[test]
fn reference_has_the_schema_of_every_document() {
    let schemas = [
        ("release", schema_of::<super::release::Report>()),
        ("call", schema_of::<super::call::Report>()),
        ("verify", schema_of::<super::verify::Report>()),
        ("attach-bundle", schema_of::<super::attach_bundle::Report>()),
        ("clean", schema_of::<super::clean::Report>()),
        ("destroy", schema_of::<super::destroy::Report>()),
        ("bootstrap", schema_of::<super::bootstrap::Report>()),
        ("deploy", schema_of::<super::deploy::Report>()),
        ("promote", schema_of::<super::promote::Report>()),
        ("notes", schema_of::<super::notes::Report>()),
        ("rollback", schema_of::<super::rollback::Report>()),
        ("plan", schema_of::<super::plan::Report>()),
        ("drift", schema_of::<super::drift::Report>()),
        ("prune", schema_of::<super::prune::Report>()),
        ("status", schema_of::<super::status::Report>()),
        ("history", schema_of::<super::history::Report>()),
        ("releases", schema_of::<super::releases::Report>()),
        ("output", schema_of::<super::output::Report>()),
        ("build", schema_of::<super::build::Report>()),
        ("inputs", schema_of::<super::inputs::Inputs>()),
        ("explain", schema_of::<crate::publication::ReleaseComparison>()),
        ("rebuild", schema_of::<crate::publication::RebuiltRelease>()),
        ("lock", schema_of::<crate::artifact::LockUpdate>()),
        ("check", schema_of::<super::check::Report>()),
        ("tags", schema_of::<super::tags::Report>()),
        ("local", schema_of::<super::local::Report>()),
        ("ci", schema_of::<super::ci::Report>()),
        ("tools", schema_of::<super::tools::Report>()),
        ("key", schema_of::<super::key::Report>()),
        ("verify-release", schema_of::<crate::release::ReleaseExamination>()),
        ("audit", schema_of::<super::audit::Report>()),
        ("doctor", schema_of::<super::doctor::Report>()),
        ("recover", schema_of::<super::recover::Report>()),
        ("claim", schema_of::<super::claim::Report>()),
        ("test", schema_of::<super::test::Report>()),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/schemas");
    for (name, schema) in schemas {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = folder.join(format!("slipway.{name}.1.json"));
        let update = cfg!(feature = "update-docs");
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let documented = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            documented,
            text,
            "{} differs from the code; run cargo test -p xtask --features update-docs --lib schemas",
            path.display()
        );
    }
}
