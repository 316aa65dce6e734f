//! Requirements in all their forms: by URL, from indexes that they name, of a uv project, in files that nothing reads.

use std::fs;
use std::path::Path;

use super::{FOLDER, Shop};
use crate::require;
use crate::support::TestRun;
use crate::support::packages::{PackageIndex, TOKEN, WHEEL};
use crate::support::process;

/// A shop whose default index has no package, so that what is found comes from what its requirements name.
fn shop(test_run: &'static TestRun, index: &PackageIndex) -> Shop {
    let mut shop = Shop::new(test_run);
    let cache = shop.home.join("uv-cache").display().to_string();
    shop.variables = vec![
        ("UV_CACHE_DIR".into(), cache),
        ("UV_DEFAULT_INDEX".into(), index.url("/empty/")),
        ("UV_HTTP_RETRIES".into(), "0".into()),
    ];
    fs::remove_file(shop.folder.join(FOLDER).join("requirements.lock")).expect("the lock");
    shop
}

fn lock_of(shop: &Shop) -> String {
    fs::read_to_string(shop.folder.join(FOLDER).join("requirements.lock")).expect("the lock")
}

/// Builds the function and checks that the package is in its zip.
fn has_package(shop: &Shop) {
    let files = shop.build_and_unpack();
    assert!(files.path().join("shop_common/__init__.py").is_file());
    assert!(files.path().join("invoice/app.py").is_file());
}

#[test]
fn requirements_by_url_and_path_are_pinned_and_installed() {
    let test_run = require!(TestRun::shared());
    let index = PackageIndex::start();
    let shop = shop(test_run, &index);
    shop.write_source(
        "requirements.in",
        &format!("shop-common @ {}\n", index.url(&format!("/files/{WHEEL}"))),
    );
    shop.run(&["lock", "invoice"]).exits(0).says("+ shop-common 1.2.0").says("pins 1 package. Commit it.");
    has_package(&shop);
    let by_url = shop.build();

    let wheels = shop.folder.join(FOLDER).join("wheels");
    fs::create_dir(&wheels).expect("a folder");
    fs::write(wheels.join(WHEEL), &index.wheel).expect("the wheel");
    shop.write_source("requirements.in", &format!("./wheels/{WHEEL}\n"));
    shop.run(&["lock", "invoice"]).exits(0).says("pins 1 package");
    has_package(&shop);
    assert_eq!(shop.build()["content_digest"], by_url["content_digest"]);

    // What cannot be pinned is refused when it is locked, and the lock stays.
    let before = lock_of(&shop);
    shop.write_source("lib/pyproject.toml", "[project]\nname = \"lib\"\nversion = \"1\"\n");
    for line in ["./lib", "-e ./lib"] {
        shop.write_source("requirements.in", &format!("{line}\n"));
        let refused = shop.run(&["lock", "invoice"]).exits(2).says(&format!("`{line}`")).says("sources = [");
        assert_eq!(lock_of(&shop), before, "{refused}");
    }
    // The same in a lock that another tool made: it is not passed over.
    fs::remove_file(shop.folder.join(FOLDER).join("requirements.in")).expect("the requirements");
    shop.write_source("requirements.lock", "-e ./lib\n");
    shop.run(&["build"]).exits(2).says("lambda-src/invoice/requirements.lock: `-e ./lib` pins no package");
}

#[test]
fn indexes_that_requirements_name_are_used_by_the_build() {
    let test_run = require!(TestRun::shared());
    let index = PackageIndex::start();
    let mut shop = shop(test_run, &index);
    // Nothing that an earlier part fetched may help a later one.
    let use_new_cache = |shop: &mut Shop, name: &str| {
        let cache = shop.home.join(name).display().to_string();
        shop.variables.retain(|(name, _)| name != "UV_CACHE_DIR");
        shop.variables.push(("UV_CACHE_DIR".into(), cache));
    };
    shop.write_source("requirements.in", "shop-common\n");
    // The default index is empty.
    shop.run(&["lock", "invoice"]).exits(1).says("UV_DEFAULT_INDEX").says("[[tool.uv.index]]");

    let private = index.url("/private/simple/").replace("http://", "http://ada:${SHOP_TOKEN}@");
    shop.write_source("requirements.in", &format!("--extra-index-url {private}\nshop-common\n"));
    shop.variables.push(("SHOP_TOKEN".into(), TOKEN.into()));
    shop.run(&["lock", "invoice"]).exits(0).says(" 1 package");
    assert!(!lock_of(&shop).contains(TOKEN));
    use_new_cache(&mut shop, "second");
    has_package(&shop);
    use_new_cache(&mut shop, "third");
    shop.variables.retain(|(name, _)| name != "SHOP_TOKEN");
    assert_ne!(shop.run(&["build", "--force"]).code, Some(0), "the index is behind a password");

    shop.write_source(&format!("wheels/{WHEEL}"), "");
    fs::write(shop.folder.join(FOLDER).join("wheels").join(WHEEL), &index.wheel).expect("the wheel");
    shop.write_source("requirements.in", "--find-links wheels\nshop-common\n");
    shop.run(&["lock", "invoice"]).exits(0).says(" 1 package");
    use_new_cache(&mut shop, "fourth");
    has_package(&shop);

    fs::remove_file(shop.folder.join(FOLDER).join("requirements.in")).expect("the requirements");
    let project = |url: &str| {
        format!(
            "[project]\nname = \"invoice\"\nversion = \"1\"\ndependencies = [\"shop-common\"]\n\
             [[tool.uv.index]]\nname = \"ours\"\nurl = \"{url}\"\nexplicit = true\n\
             [tool.uv.sources]\nshop-common = {{ index = \"ours\" }}\n"
        )
    };
    shop.write_source("pyproject.toml", &project(&index.url("/private/simple/")));
    shop.variables.push(("UV_INDEX_OURS_USERNAME".into(), "ada".into()));
    shop.variables.push(("UV_INDEX_OURS_PASSWORD".into(), TOKEN.into()));
    shop.run(&["lock", "invoice"]).exits(0).says(" 1 package");
    use_new_cache(&mut shop, "fifth");
    has_package(&shop);
    let with_token = index.url("/private/simple/").replace("http://", &format!("http://ada:{TOKEN}@"));
    shop.write_source("pyproject.toml", &project(&with_token));
    let refused =
        shop.run(&["lock", "invoice"]).exits(2).says("has credentials in it").says("UV_INDEX_OURS_PASSWORD");
    assert!(!refused.stderr.contains(TOKEN), "{refused}");
}

#[test]
fn lock_of_a_uv_project_is_exported_from_its_uv_lock() {
    let test_run = require!(TestRun::shared());
    let index = PackageIndex::start();
    let shop = shop(test_run, &index);
    shop.run(&["tools", "install"]);
    let uv = fs::read_dir(&test_run.machine.tools)
        .expect("the tool folder")
        .flatten()
        .map(|entry| entry.path().join("site/bin/uv"))
        .find(|path| path.is_file())
        .expect("uv");
    let folder = shop.folder.join(FOLDER);
    let lock_by_uv = || {
        let status = process::command(Path::new(&uv))
            .args(["lock", "--quiet", "--no-python-downloads"])
            .current_dir(&folder)
            .env("PATH", &test_run.machine.path)
            .env("HOME", &shop.home)
            .envs(shop.variables.iter().map(|(name, value)| (name, value)))
            .status();
        assert!(status.expect("uv").success());
    };
    fs::remove_file(folder.join("requirements.in")).expect("the requirements");
    let project = format!(
        "[project]\nname = \"invoice\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"shop-common\"]\n\
         [dependency-groups]\ndev = [\"no-such-package\"]\n[[tool.uv.index]]\nurl = \"{}\"\n",
        index.url("/simple/")
    );
    shop.write_source("pyproject.toml", &project.replace("dev = [\"no-such-package\"]", "dev = []"));
    lock_by_uv();
    shop.run(&["lock", "invoice"]).exits(0).says("+ shop-common 1.2.0").says("pins 1 package");
    has_package(&shop);
    shop.run(&["lock", "invoice", "--upgrade"])
        .exits(2)
        .says("uv lock --upgrade --directory lambda-src/invoice");

    // uv.lock decides: what differs from it is refused.
    shop.edit("pyproject.toml", "\"shop-common\"", "\"shop-common<2\"");
    shop.run(&["build"]).exits(2).says("requirements.lock is out of date");
    shop.run(&["lock", "invoice"]).exits(2).says("uv.lock is out of date").says("uv lock --directory");
    lock_by_uv();
    shop.run(&["build"]).exits(2).says("requirements.lock is out of date");
    shop.run(&["lock", "invoice"]).exits(0);
    has_package(&shop);
}

#[test]
fn file_that_asks_for_packages_and_is_not_read_is_refused() {
    let test_run = require!(TestRun::shared());
    let index = PackageIndex::start();
    let shop = shop(test_run, &index);
    for file in ["requirements.in", "requirements.lock"] {
        let _ = fs::remove_file(shop.folder.join(FOLDER).join(file));
    }
    shop.edit("function.toml", "lock = \"requirements.lock\"\n", "");
    shop.build();
    shop.write_source("requirements.txt", "shop-common\n");
    for command in [&["build"][..], &["lock", "invoice"]] {
        shop.run(command)
            .exits(2)
            .says("requirements.txt beside")
            .says("nothing reads ")
            .says("git mv requirements.txt requirements.in");
    }
    fs::remove_file(shop.folder.join(FOLDER).join("requirements.txt")).expect("the list");
    shop.write_source(
        "pyproject.toml",
        "[tool.poetry.dependencies]\npython = \"^3.11\"\nshop-common = \"*\"\n",
    );
    shop.run(&["build"]).exits(2).says("[tool.poetry.dependencies]").says("[project] dependencies");
}
