#!/usr/bin/env python3
"""Measures pushing one large layer to docker-registry on loopback: ours against `skopeo copy`, in alternating pairs.

In: docker-registry and skopeo on PATH, and the example `push_blob`, which is built. Out: a Markdown table with the CPU
seconds, peak memory and wall time of both, medians and range, and the ratio of each pair. Each push goes to a
repository of its own, or the registry would have the layer. The layer's bytes do not compress; skopeo is given an
image whose layers are said to be compressed already, so that it does not compress them either.

    benches/push.py                            # 200 MB, 7 pairs
    benches/push.py --megabytes 50 --pairs 3

Exit: 0 measured (whatever the verdicts), 1 a command failed; the end of its output is printed.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
AIM_CPU, AIM_MEMORY_MB = 0.6, 40
PIECE = 1 << 20


class Failed(Exception):
    """A command failed."""


def measure(*command, cwd=None):
    """Runs a command, which must succeed; returns CPU seconds, peak memory in MB and wall seconds."""
    with tempfile.TemporaryFile() as said:
        clock = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdout=said, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - clock
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace")[-3000:]
            raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{words}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, wall


def build():
    """Builds the example in the profile of the tool; returns its path."""
    command = ["cargo", "build", "--locked", "-q", "-p", "slipway-cloud", "--example", "push_blob",
               "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        raise Failed("the example can't be built")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "push_blob":
            return message["executable"]
    raise Failed("cargo reported no executable")


class Registry:
    """A docker-registry on a free port, with its files in a folder."""

    def __init__(self, folder):
        self.store = folder / "store"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = folder / "config.yml"
        config.write_text(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {self.store}\n"
                          f"http:\n  addr: 127.0.0.1:{self.port}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.host = f"127.0.0.1:{self.port}"
        until = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if time.monotonic() > until:
                self.stop()
                raise Failed("docker-registry did not start")
            time.sleep(0.05)

    def forget(self):
        """Deletes what was pushed, so that the disk does not fill up."""
        shutil.rmtree(self.store, ignore_errors=True)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def image(folder, size):
    """Writes an OCI layout with one layer of random bytes; returns the layer's path."""
    blobs = folder / "layout/blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    # In pieces: a child's peak memory begins with what this process holds when it is started.
    hasher, unnamed = hashlib.sha256(), blobs / "layer"
    with unnamed.open("wb") as file:
        for begin in range(0, size, PIECE):
            piece = os.urandom(min(PIECE, size - begin))
            hasher.update(piece)
            file.write(piece)
    unnamed.rename(blobs / hasher.hexdigest())
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{hasher.hexdigest()}",
             "size": size}
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                              "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(),
                  "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).encode(), kind)
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "layout/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return blobs / layer["digest"].removeprefix("sha256:")


def table(ours, theirs):
    def cell(values, unit):
        return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"

    print("| | ours | `skopeo copy` | ratio, median (range) | aim |")
    print("|---|---|---|---|---|")
    for at, (name, unit) in enumerate([("CPU", "s"), ("peak memory", "MB"), ("wall", "s")]):
        one, other = [run[at] for run in ours], [run[at] for run in theirs]
        ratios = [a / b for a, b in zip(one, other)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        met = "missed"
        if name == "CPU":
            aim = f"≤ {AIM_CPU}: {'met' if statistics.median(ratios) <= AIM_CPU else met}"
        elif name == "peak memory":
            aim = f"< {AIM_MEMORY_MB} MB: {'met' if max(one) < AIM_MEMORY_MB else met}"
        else:
            aim = ""
        print(f"| {name} | {cell(one, unit)} | {cell(other, unit)} | {ratio} | {aim} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    for program in ("docker-registry", "skopeo"):
        if not shutil.which(program):
            raise Failed(f"{program} is not installed")
    tool = build()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        layer = image(folder, options.megabytes * 1_000_000)
        registry = Registry(folder)
        try:
            ours, theirs = [], []
            for pair in range(options.pairs + 1):
                one = measure(tool, registry.host, f"ours{pair}", layer)
                registry.forget()
                other = measure("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{folder}/layout:1",
                                f"docker://{registry.host}/theirs{pair}:1", cwd=folder)
                registry.forget()
                # The first pair warms the page cache.
                if pair:
                    ours.append(one)
                    theirs.append(other)
        finally:
            registry.stop()
    print(f"{options.megabytes} MB, {options.pairs} pairs, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    table(ours, theirs)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"{failed}")
