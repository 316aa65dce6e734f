//! The world of the road: four emulated accounts, GitHub's server, the bare `origin`, and an empty clone.
//!
//! In: this repository's workflows, modules and stand-ins. Out: variables with which commands and jobs run, and what is so in the
//! accounts, read past Slipway.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use super::super::support::TestRun;
use super::super::support::account::Account;
use super::super::support::http;
use super::super::support::machine::{act, repository, variable};
use super::super::support::process::{self, Running};
use super::super::support::programs::find_program;
use super::super::support::python::package_index_variables;
use super::super::support::sandbox::{AutoStop, Sandbox, copy, init_repository};
use super::super::support::skip::Missing;

/// The accounts, by the names of their environments, with the numbers that the page has for them.
pub const ACCOUNTS: [(&str, &str); 4] = [
    ("store", "111111111111"),
    ("dev", "222222222222"),
    ("staging", "333333333333"),
    ("prod", "444444444444"),
];

/// Everything that the road leads through.
pub struct World {
    /// Runs the gateway, and is no part of the project.
    machine: AutoStop,
    /// By the names of `ACCOUNTS`.
    pub accounts: Vec<(&'static str, Account)>,
    /// What the stand-ins keep, `$ROAD`.
    pub folder: PathBuf,
    /// The bare repository behind the remote `origin`.
    pub origin: PathBuf,
    /// The address of GitHub's server.
    pub github: String,
    pub act: PathBuf,
    gateway: String,
    /// What judges jobs' calls by the exact policies, where it is asked for; else the emulator judges alone.
    is_judged: bool,
    judge: RefCell<Option<(Server, String)>>,
    /// Credentials of a role that may assume every other one, as the stand-ins read them.
    administrator: String,
    pub(super) number: RefCell<u64>,
    issuer: Option<Server>,
}

/// A server of the tests; it ends when its input is closed.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

impl World {
    /// Makes a world in which the emulator judges jobs' calls.
    pub fn new() -> Result<Self, Missing> {
        Self::make(false)
    }

    /// Makes a world in which jobs' calls of S3, KMS and STS are judged by the exact policies, too.
    pub fn judged() -> Result<Self, Missing> {
        find_program("node")?;
        let engine = repository().join("tests/policies/node_modules/@cloud-copilot/iam-simulate");
        if !engine.exists() {
            return Err(Missing::new(
                "the judge of policies is not installed (npm ci --prefix tests/policies)",
            ));
        }
        Self::make(true)
    }

    fn make(is_judged: bool) -> Result<Self, Missing> {
        find_program("git")?;
        find_program("bash")?;
        let test_run = TestRun::separate()?;
        let act = act(test_run.machine)?;
        let machine = AutoStop(Sandbox::new(test_run));
        machine.write("pipelines/project.toml", "schema = 1\nname = \"shop\"\n");
        machine.write("terraform/environments/local/environment.toml", "emulated = true\n");
        machine.run(&["local", "up"]).exits(0);
        let running = machine.run(&["local", "status", "--output", "json"]).exits(0).json();
        let gateway = running["data"]["gateway"]["url"].as_str().expect("the gateway's address").to_owned();
        // The gateway runs functions from the bucket of its own account and project: that of the store.
        let store = &machine.account;
        let own = |name: &str| if name == "store" { store.clone() } else { Account::new(test_run) };
        let accounts: Vec<(&str, Account)> = ACCOUNTS.iter().map(|(name, _)| (*name, own(name))).collect();
        let folder = machine.home.join("road");
        std::fs::create_dir_all(&folder).expect("the stand-ins' folder");
        // The road's own account: a role there may assume the roles of all others.
        let own = Account::new(test_run);
        for account in accounts.iter().map(|(_, account)| account).chain([&own]) {
            create_administrator(account);
        }
        let administrator = credentials(&gateway, &own.id).to_string();
        let profiles: String = accounts
            .iter()
            .map(|(name, account)| {
                let keys = credentials(&gateway, &account.id);
                let text = |key: &str| keys[key].as_str().expect("a credential").to_owned();
                format!(
                    "[shop-{name}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
                    text("AccessKeyId"),
                    text("SecretAccessKey"),
                    text("SessionToken")
                )
            })
            .collect();
        machine_file(&machine.home.join(".aws/credentials"), &profiles);
        let origin = folder.join("origin.git");
        let mut world = Self {
            accounts,
            origin,
            github: String::new(),
            act,
            gateway,
            administrator,
            number: RefCell::new(0),
            is_judged,
            judge: RefCell::new(None),
            issuer: None,
            folder,
            machine,
        };
        let mut command = world.python(&tests_folder().join("issuer.py"));
        command.args(["--emulator", &world.gateway]);
        let (issuer, address) = world.start_server(command, &world.administrator);
        (world.issuer, world.github) = (Some(issuer), address);
        world.write_authorities();
        world.write_git_settings();
        world.create_origin();
        Ok(world)
    }

    /// Starts a server that says where it listens; returns its address.
    fn start_server(&self, mut command: Command, first_line: &str) -> (Server, String) {
        let log = self.folder.join("server.log");
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("a log");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).spawn().expect("a server");
        let mut input = child.stdin.take().expect("its input");
        writeln!(input, "{first_line}").expect("its first line");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        let Some(address) = line.trim().strip_prefix("listening on ") else {
            panic!("{line}{}", std::fs::read_to_string(log).unwrap_or_default());
        };
        (Server { child, input: Some(input) }, address.to_owned())
    }

    /// Returns a command of the emulator's Python.
    fn python(&self, script: &Path) -> Command {
        let machine = self.machine.test_run.machine;
        let mut command = process::command(&machine.moto.with_file_name("python"));
        command
            .arg("-B")
            .arg(script)
            .env("PATH", &machine.path)
            .env("HOME", &self.machine.home)
            .env("ROAD", &self.folder)
            .env("ROAD_TESTS", tests_folder());
        command
    }

    /// The authorities that clients trust: this machine's, and that of GitHub's server.
    fn write_authorities(&self) {
        let known = variable("SSL_CERT_FILE").unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
        let known = std::fs::read_to_string(known).unwrap_or_default();
        let own = std::fs::read_to_string(self.folder.join("authority.pem")).expect("the server's authority");
        std::fs::write(self.authorities(), format!("{own}{known}")).expect("the authorities");
    }

    fn authorities(&self) -> PathBuf {
        self.folder.join("authorities.pem")
    }

    /// The remote has GitHub's address, and git goes to the bare repository instead.
    fn write_git_settings(&self) {
        let settings = format!(
            "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n[url \"{}\"]\n\tinsteadOf = {}/acme/shop.git\n",
            self.origin.display(),
            self.github
        );
        machine_file(&self.machine.home.join(".gitconfig"), &settings);
    }

    /// A repository of a team that adopted Slipway, and has deployed nothing yet.
    fn create_origin(&self) {
        let project = self.folder.join("project");
        for folder in
            [".github", ".cargo", "terraform/bootstrap", "terraform/modules", "terraform/stacks/hello"]
        {
            copy(&repository().join(folder), &project.join(folder));
        }
        for entry in project.join("terraform/bootstrap").read_dir().expect("files").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "tfvars") {
                std::fs::remove_file(entry.path()).expect("this repository's accounts");
            }
        }
        let fixture = repository().join("xtask/tests/it/road/project");
        copy(&fixture.join("hello"), &project.join("lambda-src/hello"));
        // The team's GitHub is an Enterprise Server, whose issuer a project names.
        let settings = std::fs::read_to_string(fixture.join("project.toml")).expect("the project");
        let builder =
            format!("\n[builders.github]\nkind = \"github\"\nissuer = \"{}/_services/token\"\n", self.github);
        machine_file(&project.join("pipelines/project.toml"), &format!("{settings}{builder}"));
        machine_file(&project.join(".gitignore"), "/target/\n**/.terraform/\n__pycache__/\n");
        std::fs::copy(repository().join("rust-toolchain.toml"), project.join("rust-toolchain.toml"))
            .expect("the toolchain");
        init_repository(&project);
        self.git(&self.folder, &["clone", "--quiet", "--bare", &project.to_string_lossy(), "origin.git"]);
    }

    /// Runs git.
    pub fn git(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut command = self.command(Path::new("git"), folder);
        command.args(arguments);
        self.start(command, &format!("git {}", arguments.join(" "))).0.wait().exits(0).stdout
    }

    /// Returns a command with all variables that commands of people and jobs have.
    pub fn command(&self, program: &Path, folder: &Path) -> Command {
        let machine = self.machine.test_run.machine;
        let mut command = process::command(program);
        command
            .current_dir(folder)
            .envs(package_index_variables())
            .env("PATH", format!("{}:{}", tests_folder().join("bin").display(), machine.path))
            .env("HOME", &self.machine.home)
            .env("USER", "ada")
            .env("LANG", "C.UTF-8")
            .env("CARGO_HOME", &machine.cargo_home)
            .env("RUSTUP_HOME", &machine.rustup_home)
            .env("SLIPWAY_TOOLS", &machine.tools)
            .env("CHECKPOINT_DISABLE", "1")
            .envs(machine.terraform_settings.as_ref().map(|file| ("TF_CLI_CONFIG_FILE", file)))
            .env("SSL_CERT_FILE", self.authorities())
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_REGION", "eu-central-1")
            .env("GITHUB_API_URL", format!("{}/api/v3", self.github))
            .env("ROAD", &self.folder)
            .env("ROAD_TESTS", tests_folder())
            .env("ROAD_ISSUER", &self.github)
            .env("ROAD_PROGRAM", env!("CARGO_BIN_EXE_xtask"))
            .env("ROAD_PYTHON", machine.moto.with_file_name("python"))
            .env("ROAD_CARGO", find_program("cargo").expect("cargo"));
        command
    }

    fn endpoint(&self) -> String {
        self.judge.borrow().as_ref().map_or_else(|| self.gateway.clone(), |(_, url)| url.clone())
    }

    /// Starts a command; returns it with the file of its standard output.
    pub fn start(&self, command: Command, command_line: &str) -> (Running, PathBuf) {
        *self.number.borrow_mut() += 1;
        let log = self.folder.join(format!("log-{:03}", self.number.borrow()));
        let running =
            Running::start(command, command_line.to_owned(), &log, self.folder.join("runs-of-none"));
        (running.with_long_timeout(), log.with_extension("out"))
    }

    /// Replaces what a text of the page calls the accounts and GitHub by what they are here; says that the accounts are an emulator's.
    pub fn with_own_names(&self, text: &str) -> String {
        let named = ACCOUNTS.iter().zip(&self.accounts);
        let text = named.fold(text.to_owned(), |text, ((_, page), (_, own))| text.replace(page, &own.id));
        // The emulator ignores the conditions of bucket policies, and denies everything by them.
        let settings = "github_repository = \"acme/shop\"\n";
        text.replace("https://github.com", &self.github)
            .replace(settings, &format!("{settings}emulated = true\n"))
    }

    /// The bucket of an environment's states and ledger.
    pub fn state_bucket(&self, environment: &str) -> String {
        format!("shop-{}-{environment}-state", self.account(environment).id)
    }

    pub fn store_bucket(&self) -> String {
        format!("shop-{}-artifacts", self.account("store").id)
    }

    /// The ARN of the key that signs releases.
    pub fn release_key(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("policies.json")).expect("what bootstrap made");
        let made: Value = serde_json::from_str(&text).expect("a document");
        made[&self.account("store").id]["release_key"].as_str().expect("a key").to_owned()
    }

    fn account(&self, name: &str) -> &Account {
        let found = self.accounts.iter().find(|(own, _)| *own == name);
        found.map(|(_, account)| account).expect("an account")
    }

    /// The ARN of a role of CI: the publisher of `store`, or `dev-ci-apply`.
    pub fn role(&self, environment: &str, role: &str) -> String {
        let id = &self.account(environment).id;
        format!("arn:aws:iam::{id}:role/slipway/ci/shop-{id}-{role}")
    }

    /// Turns the emulator's IAM checks on, after each policy became one that it can judge.
    pub fn enforce_policies(&self) {
        self.observe_with(&["--loosen"]);
        let port = self.machine.test_run.port;
        let off = http::send(port, "POST", "/moto-api/reset-auth", &[("Content-Type", "text/plain")], b"0");
        assert_eq!(off.expect("the emulator").status, 200);
        if self.is_judged {
            let mut command = self.command(Path::new("node"), &repository().join("tests/policies"));
            command.arg("judge.mjs").arg(&self.gateway);
            *self.judge.borrow_mut() = Some(self.start_server(command, ""));
        }
    }

    /// Reads what is so in all accounts.
    pub fn observe(&self) -> Observed {
        self.observe_with(&[])
    }

    fn observe_with(&self, options: &[&str]) -> Observed {
        let mut command = self.python(&tests_folder().join("observe.py"));
        command.args(["--emulator", &self.gateway]).args(options);
        for (name, account) in &self.accounts {
            command.args(["--account", &format!("{name}={}", account.id)]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python");
        writeln!(child.stdin.take().expect("its input"), "{}", self.administrator).expect("credentials");
        let ended = child.wait_with_output().expect("its end");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{errors}\n{}", self.machine.test_run.emulator_errors());
        Observed(serde_json::from_slice(&ended.stdout).expect("a document"))
    }

    /// The tokens and roles that were given and refused, in order.
    pub fn decisions(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("decisions.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a decision")).collect()
    }

    /// The program's compilations by jobs, which are counted and not done.
    pub fn tool_builds(&self) -> usize {
        std::fs::read_to_string(self.folder.join("tool-builds")).unwrap_or_default().lines().count()
    }
}

/// What is so in all accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed(pub Value);

impl Observed {
    /// The newest ended deployment in an environment's ledger.
    pub fn newest(&self, environment: &str) -> &Value {
        // Numbers in keys count down: the first key is the newest.
        let ended = self.0[environment]["ledger"].as_array().into_iter().flatten();
        let mut ended =
            ended.filter(|entry| entry["key"].as_str().is_some_and(|key| key.ends_with(".ended.json")));
        ended.next().map_or(&Value::Null, |entry| &entry["entry"])
    }

    /// What the alias of the function points to: version and code.
    pub fn alias(&self, environment: &str) -> &Value {
        let aliases = self.0[environment]["aliases"].as_object().expect("aliases");
        let mut own = aliases.iter().filter(|(name, _)| name.ends_with("-hello:live"));
        own.next().map_or(&Value::Null, |(_, alias)| alias)
    }

    /// The keys in all buckets of an account that contain a text.
    pub fn keys(&self, account: &str, part: &str) -> Vec<String> {
        let buckets = self.0[account]["buckets"].as_object().expect("buckets").values();
        let keys = buckets.flat_map(|keys| keys.as_object().expect("keys").keys());
        keys.filter(|key| key.contains(part)).cloned().collect()
    }
}

/// Where the stand-ins are.
pub fn tests_folder() -> PathBuf {
    repository().join("tests/ci")
}

fn machine_file(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

/// Creates the role `road`, which may everything.
fn create_administrator(account: &Account) {
    let policy = |principal: &str, action: &str| {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{principal}"Action":"{action}"{}}}]}}"#,
            if principal.is_empty() { r#","Resource":"*""# } else { "" }
        );
        url::form_urlencoded::byte_serialize(document.as_bytes()).collect::<String>()
    };
    for body in [
        format!(
            "Action=CreateRole&Version=2010-05-08&RoleName=road&AssumeRolePolicyDocument={}",
            policy(r#""Principal":{"AWS":"*"},"#, "sts:AssumeRole")
        ),
        format!(
            "Action=PutRolePolicy&Version=2010-05-08&RoleName=road&PolicyName=all&PolicyDocument={}",
            policy("", "*")
        ),
    ] {
        let made = account.call("iam", "POST", "/", "application/x-www-form-urlencoded", body.as_bytes());
        assert_eq!(made.status, 200, "{}", made.text());
    }
}

/// Returns credentials of an account's role `road`, which the gateway issued.
fn credentials(gateway: &str, account: &str) -> Value {
    let port = gateway.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
    let body = format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::{account}:role/road&RoleSessionName=ada"
    );
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261122/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [("Authorization", authorization), ("Content-Type", "application/x-www-form-urlencoded")];
    let answer = http::send(port.expect("a port"), "POST", "/", &headers, body.as_bytes());
    let xml = answer.expect("the gateway").text();
    let part = |tag: &str| {
        let (_, after) = xml.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no {tag} in {xml}"));
        after.split_once("</").expect("an end").0.to_owned()
    };
    let part = |tag: &str| (tag.to_owned(), json!(part(tag)));
    Value::Object(["AccessKeyId", "SecretAccessKey", "SessionToken"].map(part).into_iter().collect())
}
