#!/usr/bin/env python3
"""Measures packing a tree of Python packages against `zip -r -q`, and prints a Markdown table with ratios.

In: cargo, zip and uv (or a tree that an earlier run made). Out: CPU seconds, wall time, size and peak memory of both,
run in alternating pairs, so that a load that comes and goes meets both sides; and the ratios against their aims.

    benches/pack.py --tree /tmp/tree          # makes the tree there, once; the next run uses it again
    benches/pack.py --tree /tmp/tree --layer  # the same tree as an image layer, against `tar | gzip -6 -n`

The packer is the example `pack` of the crate slipway-archive, built as the tool is. Exit: 0 measured (whatever the
verdicts), 1 a command failed; the end of its output is printed.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The packages of the published figures; scipy brings the tree to 200 MB.
PACKAGES = ("numpy==2.2.6", "pandas==2.2.3", "boto3==1.35.99", "pydantic==2.10.6", "scipy==1.15.3")
# Slipway leaves these out: they depend on where and when the tree was installed.
NOISE = (".lock", "bin", "*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED",
         "*.dist-info/direct_url.json", "*.dist-info/uv_cache.json")
AIMS = {"CPU seconds": 0.5, "wall seconds": 0.4, "size": 1.0}
MEMORY = 100  # MB, whatever the tree's size


class Failed(Exception):
    """A command failed."""


class Run:
    """One run of a packer: its cost and the size of the archive."""

    def __init__(self, command, archive, cwd):
        archive.unlink(missing_ok=True)
        before, clock = os.times(), time.perf_counter()
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            self.wall = time.perf_counter() - clock
            if child.returncode:
                said.seek(0)
                words = said.read()[-3000:].decode(errors="replace")
                raise Failed(f"{' '.join(map(str, command))}: exit {child.returncode}\n{words}")
        after = os.times()
        # A shell's pipe has children of its own: count all that were waited for since.
        self.cpu = after.children_user + after.children_system - before.children_user - before.children_system
        self.memory = usage.ru_maxrss / 1000
        self.size = archive.stat().st_size / 1e6


def make_tree(tree, uv, packages):
    """Installs wheels for Lambda's x86_64, once; nothing is built or run."""
    done = tree / ".slipway-bench"
    wanted = " ".join(packages)
    if done.exists() and done.read_text() == wanted:
        return
    shutil.rmtree(tree, ignore_errors=True)
    command = (uv, "pip", "install", "--quiet", "--target", tree, "--python-platform", "x86_64-manylinux_2_28",
               "--python-version", "3.13", "--only-binary", ":all:", *packages)
    print(f"preparing: {wanted}", file=sys.stderr)
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        raise Failed(f"uv: exit {ended.returncode}\n{ended.stdout[-3000:]}")
    for pattern in NOISE:
        for path in tree.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    done.write_text(wanted)


def build():
    """Builds the packer in the profile of the tool; returns its path."""
    command = ("cargo", "build", "--quiet", "--locked", "--package", "slipway-archive", "--example", "pack",
               "--message-format", "json")
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise Failed(f"cargo: exit {ended.returncode}")
    messages = (json.loads(line) for line in ended.stdout.splitlines())
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "pack" and m.get("executable"))


def measure(options, packer, folder):
    """Runs both in turn; the first of each fills the caches."""
    ours_to, theirs_to = folder / "ours", folder / "theirs.zip"
    kind = "layer" if options.layer else "zip"
    ours_command = (packer, kind, options.tree, ours_to)
    if options.layer:
        pipe = 'tar --sort=name --owner=0 --group=0 --mtime=@0 -c . | gzip -6 -n > "$1"'
        theirs_command = ("sh", "-c", pipe, "sh", theirs_to)
    else:
        theirs_command = ("zip", "-r", "-q", theirs_to, ".")
    ours, theirs = [], []
    for pair in range(options.pairs + 1):
        ours.append(Run(ours_command, ours_to, None))
        theirs.append(Run(theirs_command, theirs_to, options.tree))
        print(f"  pair {pair}: {ours[-1].cpu:.2f} and {theirs[-1].cpu:.2f} CPU seconds", file=sys.stderr)
    return ours[1:], theirs[1:]


def table(ours, theirs, names, aims, memory_is_comparable):
    lines = [f"| | {names[0]} | {names[1]} | Ratio, median | Range | Goal | Verdict |", "|---|---|---|---|---|---|---|"]
    for title, member in (("CPU seconds", "cpu"), ("wall seconds", "wall"), ("size", "size")):
        one, other = ([getattr(run, member) for run in runs] for runs in (ours, theirs))
        ratios = [a / b for a, b in zip(one, other)]
        median, aim, unit = statistics.median(ratios), aims.get(title), " MB" if member == "size" else ""
        verdict = "" if aim is None else ("met" if median <= aim else "missed")
        lines.append(f"| {title} | {statistics.median(one):.2f}{unit} | {statistics.median(other):.2f}{unit} | {median:.2f} "
                     f"| {min(ratios):.2f} – {max(ratios):.2f} | {'' if aim is None else aim} | {verdict} |")
    peak = max(run.memory for run in ours)
    other = f"{max(run.memory for run in theirs):.0f} MB" if memory_is_comparable else ""
    lines.append(f"| peak memory | {peak:.0f} MB | {other} | | | {MEMORY} MB | {'met' if peak < MEMORY else 'missed'} |")
    return "\n".join(lines)


def load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def find_uv():
    tools = pathlib.Path(os.environ.get("SLIPWAY_TOOLS", ROOT / "target/slipway/tools"))
    kept = sorted(path for path in tools.glob("uv-*/**/uv") if path.is_file()) if tools.is_dir() else []
    return kept[-1] if kept else pathlib.Path("uv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=pathlib.Path, required=True, help="the folder of the tree; made where it is missing")
    parser.add_argument("--package", action="append", help=f"instead of {', '.join(PACKAGES)}; several times")
    parser.add_argument("--uv", type=pathlib.Path, default=find_uv(), help="the uv that installs the tree")
    parser.add_argument("--packer", type=pathlib.Path, help="a built example `pack`, instead of building it")
    parser.add_argument("--pairs", type=int, default=5, help="pairs that count (default 5)")
    parser.add_argument("--layer", action="store_true", help="an image layer, against tar and gzip")
    options = parser.parse_args()
    options.tree = options.tree.resolve()
    try:
        make_tree(options.tree, options.uv, options.package or PACKAGES)
        packer = options.packer.resolve() if options.packer else build()
        files = [path for path in options.tree.rglob("*") if path.is_file()]
        before = load()
        with tempfile.TemporaryDirectory(prefix="slipway-pack-") as folder:
            ours, theirs = measure(options, packer, pathlib.Path(folder))
    except (Failed, OSError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    names = ("`write_layer`", "`tar \\| gzip -6`") if options.layer else ("`write_zip`", "`zip -r -q`")
    print(f"\n{len(files):,} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB; {os.cpu_count()} cores; "
          f"{options.pairs} pairs; load average {before} before, {load()} after (1, 5, 15 minutes)\n")
    print(table(ours, theirs, names, {} if options.layer else AIMS, not options.layer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
