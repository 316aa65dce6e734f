#!/usr/bin/env python3
"""Measures appending a layer to a base that the registry has, and pushing: ours against buildah, in alternating rounds.

In: docker-registry, buildah and the example `append_layer`, which is built; root, as buildah would work in a user
namespace otherwise; the files of base and layer, which are taken from folders of this machine. Out: a Markdown table
with CPU seconds, wall time and peak memory, medians and range, and the ratio of each round.

    benches/append.py                              # base of 200 MB of files, layer of 30 MB, 5 rounds, vfs
    benches/append.py --storage-driver overlay     # where it can be mounted: cheaper for buildah
    TMPDIR=/dev/shm benches/append.py              # in memory: what a slow disk costs buildah is left out
    benches/append.py --base 50 --layer 5 --rounds 2

Warm: buildah has the base in its storage, we have its manifest and config in our cache (its layers nowhere). Cold:
buildah's storage and our cache are empty. "Cold, layers kept" is cold with the base's layers fetched into our cache
too, as `cargo xtask` does. buildah: `from`, `copy`, `commit`, `push`, each with `--quiet` where it is known; removing
the container is not counted. The layer holds one file that is new each time, so that it is never in the registry. The
base is one layer, so that vfs, which copies all below each layer, is not charged for copies. After each push, base
layers and number of layers of what the registry has are compared.

Exit: 0 measured (whatever the verdicts), 1 a command failed; the end of its output is printed.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASES = {"warm": 0.6, "cold": 0.15, "cold, layers kept": 0.15}
CONTAINERS = pathlib.Path("/var/lib/containers")  # buildah keeps what it knows of blobs there, whatever its --root
VERBS = ("from", "copy", "commit", "push")
INSIDE = "SLIPWAY_BENCH_INSIDE"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Failed(Exception):
    """A command failed."""


class Cost:
    """CPU seconds, wall seconds and the highest peak memory in MB of commands that were run one after the other."""

    def __init__(self):
        self.cpu = self.wall = self.memory = 0
        self.parts = []

    def run(self, *command):
        """Runs a command, which must succeed; returns its stdout."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            clock = time.perf_counter()
            process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=said, stdin=subprocess.DEVNULL)
            # The usage of the process and of the children that it waited for.
            _, status, usage = os.wait4(process.pid, 0)
            self.wall += time.perf_counter() - clock
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if process.returncode:
                words = said.read().decode(errors="replace")[-3000:]
                raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{words}")
            self.parts.append(usage.ru_utime + usage.ru_stime)
            self.cpu += self.parts[-1]
            self.memory = max(self.memory, usage.ru_maxrss / 1024)
            out.seek(0)
            return out.read().decode().strip()


def build():
    """Builds the example in the profile of the tool; returns its path."""
    command = ["cargo", "build", "--locked", "-q", "-p", "slipway-cloud", "--example", "append_layer",
               "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        raise Failed("the example can't be built")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "append_layer":
            return message["executable"]
    raise Failed("cargo reported no executable")


class Registry:
    """A docker-registry on a free port, with its files in a folder."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = folder / "config.yml"
        config.write_text(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {folder}/registry\n"
                          f"http:\n  addr: 127.0.0.1:{port}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.host = f"127.0.0.1:{port}"
        until = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if time.monotonic() > until:
                self.stop()
                raise Failed("docker-registry did not start")
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Repository:
    """The repository `app` of a registry, over HTTP."""

    def __init__(self, host):
        self.host = host

    def call(self, method, path, body=None, kind="application/octet-stream"):
        url = path if path.startswith("http") else f"http://{self.host}/v2/app/{path}"
        headers = {"Content-Type": kind, "Accept": MANIFEST}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            raise Failed(f"{method} {url}: {error}") from error

    def put_blob(self, path):
        """Uploads a file as a stream; returns its digest and size."""
        with path.open("rb") as file:
            digest, size = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", path.stat().st_size
            file.seek(0)
            _, headers = self.call("POST", "blobs/uploads/", b"")
            url = headers["Location"]
            request = urllib.request.Request(f"{url}{'&' if '?' in url else '?'}digest={digest}", file, {
                "Content-Type": "application/octet-stream", "Content-Length": str(size)}, method="PUT")
            urllib.request.urlopen(request).close()
        return digest, size

    def layers(self, tag):
        manifest, _ = self.call("GET", f"manifests/{tag}")
        return json.loads(manifest)["layers"]


def prepare(folder, host, sources, base, layer):
    """Creates the base and the folder `content`; returns the base's digest, number of files and bytes."""
    below, own = gather(sources, base, layer)
    for path in own:
        to = folder / "content" / path.relative_to("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    return make_base(folder, Repository(host), below), len(below), sum(path.stat().st_size for path in below)


def gather(sources, base, layer):
    """Chooses files of about these sizes altogether for base and layer: a mixture that is the same in each run."""
    found = []
    for source in sources:
        for at, _, names in os.walk(source):
            for path in (pathlib.Path(at, name) for name in names):
                # A file that alone would make up much of the layer is left out.
                if not path.is_symlink() and path.is_file() and path.stat().st_size <= layer / 4:
                    found.append(path)
    found.sort(key=lambda path: hashlib.sha256(os.fsencode(path)).digest())
    chosen = []
    for size in (base, layer):
        part, seen = [], 0
        while seen < size:
            if not found:
                raise Failed(f"{', '.join(map(str, sources))} do not hold {(base + layer) / 1e6:.0f} MB of small files")
            part.append(found.pop())
            seen += part[-1].stat().st_size
        chosen.append(part)
    return chosen


def make_base(folder, repository, files):
    """Packs files as the one layer of an image, and pushes it to the repository as `base`; returns its digest."""
    layer, plain = folder / "base.tar.gz", hashlib.sha256()
    with layer.open("wb") as out:
        gzip = subprocess.Popen(["gzip", "-6", "-n"], stdin=subprocess.PIPE, stdout=out)

        class Both:
            def write(self, data):
                plain.update(data)
                return gzip.stdin.write(data)

        with tarfile.open(fileobj=Both(), mode="w|") as tar:
            for path in files:
                tar.add(path, f"opt{path}", recursive=False)
        gzip.stdin.close()
        if gzip.wait():
            raise Failed("gzip failed")
    digest, size = repository.put_blob(layer)
    layer.unlink()
    config = folder / "base.json"
    config.write_text(json.dumps({
        "created": "1970-01-01T00:00:00Z", "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain.hexdigest()}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "benches/append.py"}]}))
    config_digest, config_size = repository.put_blob(config)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}]}).encode()
    repository.call("PUT", "manifests/base", manifest, MANIFEST)
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


class Bench:
    """Both sides, over one registry, base and folder."""

    def __init__(self, tool, folder, host, base, content, driver):
        self.tool, self.folder, self.host, self.base, self.content = tool, folder, host, base, content
        self.repository = Repository(host)
        self.driver, self.stamp, self.base_layers = driver, 0, self.repository.layers("base")
        self.policy = folder / "policy.json"
        self.policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n")

    def renew(self):
        """Changes the layer so that the registry cannot have it; returns a tag for it."""
        self.stamp += 1
        (self.content / "stamp").write_bytes(os.urandom(1024))
        return f"r{self.stamp}"

    def ours(self, case):
        tag, cache = self.renew(), self.folder / ("cache" if case == "warm" else "cache-cold")
        if case != "warm":
            shutil.rmtree(cache, ignore_errors=True)
        cost = Cost()
        cost.run(self.tool, self.host, "app", tag, self.content, self.base, cache,
                 *(["layers"] if case == "cold, layers kept" else []))
        kept = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        # A layer of the base that lay in the cache would make "warm" and "cold" mean something else.
        if (kept > 1_000_000) != (case == "cold, layers kept"):
            raise Failed(f"{case}: the cache holds {kept} bytes")
        return self.check(cost, tag)

    def theirs(self, case):
        tag, name = self.renew(), "warm" if case == "warm" else "cold"
        if name == "cold":
            for part in ("cold", "cold-run", "cold-known"):
                shutil.rmtree(self.folder / part, ignore_errors=True)
        self.know(name)
        image, cost = f"localhost/{tag}", Cost()
        container = cost.run(*self.buildah(name, "from", "--quiet", "--tls-verify=false", "--isolation", "chroot"),
                             *self.trust(), "--pull=never" if name == "warm" else "--pull",
                             f"docker://{self.host}/app:base" if name == "cold" else f"{self.host}/app:base")
        cost.run(*self.buildah(name, "copy", "--quiet"), container, self.content, "/var/task")
        cost.run(*self.buildah(name, "commit", "--quiet"), *self.trust(), container, image)
        cost.run(*self.buildah(name, "push", "--quiet", "--tls-verify=false"), *self.trust(), image,
                 f"docker://{self.host}/app:{tag}")
        # Not counted: tidying up.
        Cost().run(*self.buildah(name, "rm"), container)
        Cost().run(*self.buildah(name, "rmi"), image)
        if name == "cold":
            Cost().run(*self.buildah(name, "rmi", "--all", "--force"))
        return self.check(cost, tag)

    def pull(self):
        """Pulls the base into buildah's warm storage."""
        self.know("warm")
        Cost().run(*self.buildah("warm", "pull", "--quiet", "--tls-verify=false"), *self.trust(),
                   f"docker://{self.host}/app:base")

    def know(self, name):
        """Restores buildah's blob cache for one storage, without that of the other storage."""
        known = self.folder / f"{name}-known"
        known.mkdir(exist_ok=True)
        (CONTAINERS / "cache").unlink(missing_ok=True)
        (CONTAINERS / "cache").symlink_to(known)

    def buildah(self, name, verb, *options):
        return ("buildah", "--root", self.folder / name, "--runroot", self.folder / f"{name}-run", "--storage-driver",
                self.driver, "--registries-conf", self.folder / "registries.conf", verb, *options)

    def trust(self):
        return ("--signature-policy", self.policy)

    def check(self, cost, tag):
        layers = self.repository.layers(tag)
        if [layer["digest"] for layer in layers[:-1]] != [layer["digest"] for layer in self.base_layers]:
            raise Failed(f"{tag} is not the base and one layer")
        cost.size = layers[-1]["size"] / 1e6
        return cost


def table(case, ours, theirs):
    def cell(values, unit):
        return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"

    rows = []
    for name, member, unit in (("CPU", "cpu", "s"), ("wall", "wall", "s"), ("peak memory", "memory", "MB")):
        one, other = ([getattr(run, member) for run in runs] for runs in (ours, theirs))
        ratios = [a / b for a, b in zip(one, other)]
        median, aim = statistics.median(ratios), CASES[case]
        verdict = f"≤ {aim}: {'met' if median <= aim else 'missed'}" if name == "CPU" else ""
        rows.append(f"| {case}: {name} | {cell(one, unit)} | {cell(other, unit)} "
                    f"| {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {verdict} |")
    return "\n".join(rows)


def steps(case, theirs):
    """Returns how buildah's CPU seconds are spent."""
    medians = [statistics.median(parts) for parts in zip(*(run.parts for run in theirs))]
    return f"buildah, {case}: " + ", ".join(f"`{verb}` {cpu:.2f} s" for verb, cpu in zip(VERBS, medians))


def measure(options, folder):
    tool = options.tool or build()
    sources = [path.resolve() for path in options.source or [pathlib.Path("/usr/lib"), pathlib.Path("/usr/share")]]
    registry = Registry(folder)
    try:
        # In a process of its own: a command's peak memory begins with what this process holds when it is started.
        with multiprocessing.get_context("fork").Pool(1) as pool:
            sizes = options.base * 1_000_000, options.layer * 1_000_000
            base, count, size = pool.apply(prepare, (folder, registry.host, sources, *sizes))
        content = folder / "content"
        bench = Bench(tool, folder, registry.host, base, content, options.storage_driver)
        bench.pull()
        runs, before = {case: [] for case in CASES}, os.getloadavg()[0]
        # The first round warms the page cache and fills our own cache.
        for turn in range(options.rounds + 1):
            for case in CASES:
                # Both of the cold cases are compared with the same run of buildah.
                theirs = runs["cold"][-1][1] if case == "cold, layers kept" else bench.theirs(case)
                pair = bench.ours(case), theirs
                runs[case].append(pair)
                print(f"  round {turn}, {case}: {pair[0].cpu:.2f} and {pair[1].cpu:.2f} CPU seconds", file=sys.stderr)
    finally:
        registry.stop()
    measured = [run for pairs in runs.values() for run in pairs[-1]]
    print(f"base: {count:,} files, {size / 1e6:.0f} MB, {sum(layer['size'] for layer in bench.base_layers) / 1e6:.0f} MB "
          f"compressed; layer: {sum(path.stat().st_size for path in content.rglob('*') if path.is_file()) / 1e6:.0f} MB, "
          f"compressed {measured[0].size:.1f} MB by us and {measured[1].size:.1f} MB by buildah; {options.rounds} rounds, "
          f"{options.storage_driver}, {os.cpu_count()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f}\n")
    print("| | ours | buildah | ratio, median (range) | aim |")
    print("|---|---|---|---|---|")
    for case, pairs in runs.items():
        print(table(case, [pair[0] for pair in pairs[1:]], [pair[1] for pair in pairs[1:]]))
    print()
    for case in ("warm", "cold"):
        print(steps(case, [pair[1] for pair in runs[case][1:]]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=int, default=200, help="MB of files in the base (default 200)")
    parser.add_argument("--layer", type=int, default=30, help="MB of files in the layer (default 30)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--storage-driver", choices=("vfs", "overlay"), default="vfs", help="buildah's (default vfs)")
    parser.add_argument("--source", type=pathlib.Path, action="append",
                        help="a folder to take files from, instead of /usr/lib and /usr/share; several times")
    parser.add_argument("--tool", type=pathlib.Path, help="a built example `append_layer`, instead of building it")
    options = parser.parse_args()
    for program in ("docker-registry", "buildah", "unshare", "mount", "gzip"):
        if not shutil.which(program):
            raise Failed(f"{program} is not installed")
    if os.geteuid():
        raise Failed("run it as root")
    if INSIDE not in os.environ:
        # In a mount namespace, where buildah's own folder can be another one; mounts of its go when it ends.
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix="slipway-append-", ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        CONTAINERS.mkdir(parents=True, exist_ok=True)
        (folder / "containers").mkdir()
        subprocess.run(["mount", "--bind", folder / "containers", CONTAINERS], check=True)
        try:
            measure(options, folder)
        finally:
            # Overlays that buildah left mounted below the folder.
            for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
                if line.split()[1].startswith(f"{name}/"):
                    subprocess.run(["umount", "-l", line.split()[1]], check=False)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"{failed}")
