"""Runs the scripts here, one process each, and collects their JSON lines; `--table FILE` prints such a file as Markdown."""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ALL = ["numpy", "torch", "jax"]


def grid(script, **options):
    """Every combination of the options, those that vary last fastest."""
    for values in itertools.product(*options.values()):
        yield script, dict(zip(options, values))


RUNS = [
    *grid("rbm_annealing", shape=["784x500"], chains=[64, 256, 1000], threads=[1, 2], library=ALL),
    *grid("rbm_annealing", shape=["784x500"], chains=[256], threads=[1, 2], library=["torch.compile"]),
    *grid("rbm_annealing", shape=["4096x2048"], chains=[64, 256, 1000], threads=[1, 2], library=ALL),
    *grid("ising", side=[64, 256], threads=[1, 2], library=ALL),
    *grid("boltzmann", dim=[100], threads=[1, 2], library=ALL),
    *grid("hmc_gaussian", dtype=["float32"], chains=[64], threads=[1, 2], library=ALL),
    *grid("hmc_gaussian", dtype=["float32", "float64"], chains=[256], threads=[1, 2], library=ALL),
    *grid("exact_rbm", method=["products", "factors"], threads=[1, 2], library=ALL, rounds=[2]),
    *grid("mbar", states=[50], samples=[2000], threads=[1, 2], library=["numpy", "jax"], rounds=[3]),
    *grid("mbar", states=[200], samples=[1000], threads=[1, 2], library=["numpy", "jax"], rounds=[2]),
]
CHECKS = [
    *grid("rbm_annealing", library=[*ALL, "torch.compile"]),
    *grid("ising", library=ALL),
    *grid("boltzmann", library=ALL),
    *grid("hmc_gaussian", dtype=["float32", "float64"], library=ALL),
    *grid("exact_rbm", method=["products", "sums", "factors"], library=ALL),
    *grid("mbar", library=["numpy", "jax"]),
]


def call(script, options, extra=()):
    command = [sys.executable, str(HERE / f"{script}.py"), *extra]
    for name, value in options.items():
        command += ["--" + name, str(value)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True)


def figures(number):
    """Three significant figures, without an exponent."""
    return f"{float(f'{number:.3g}'):,.{0 if number >= 100 else 1 if number >= 10 else 2}f}"


def table(lines):
    """Rates by the wall and, on one thread, by the processor's time, which other work on the machine disturbs less."""
    print("| work | shape | chains | | threads | library | wall | processor | unit |")
    print("|---|---|---|---|---|---|---|---|---|")
    for line in lines:
        variant = " ".join(str(line[key]) for key in ["method", "dtype"] if key in line)
        processor = ""
        if line["threads"] == 1:  # with more, waiting threads count
            processor = figures(line["rate"] * line["seconds"] / line["processor_seconds"])
        cells = [line["work"], line["shape"], line.get("chains", ""), variant, line["threads"], line["library"]]
        cells += [figures(line["rate"]), processor, line["unit"]]
        print("| " + " | ".join(map(str, cells)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of scripts")
    parser.add_argument("--libraries", nargs="+")
    parser.add_argument("--threads", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", help="append the lines to this file, as each run ends")
    parser.add_argument("--check", action="store_true", help="compare with known values instead of measuring")
    parser.add_argument("--table", help="print the lines of this file as a Markdown table")
    chosen = parser.parse_args()
    if chosen.table:
        table([json.loads(line) for line in Path(chosen.table).read_text().splitlines()])
        return
    failed = 0
    for script, options in CHECKS if chosen.check else RUNS:
        skip = chosen.only and script not in chosen.only
        skip |= bool(chosen.libraries) and options["library"] not in chosen.libraries
        skip |= bool(chosen.threads) and options.get("threads", 1) not in chosen.threads
        if skip:
            continue
        extra = ["--check"] if chosen.check else []
        options = options if chosen.check else {"rounds": chosen.rounds} | options
        done = call(script, options, extra)
        print(done.stdout, end="", flush=True)
        if done.returncode != 0:
            failed += 1
            print(f"{script} {options}: status {done.returncode}", file=sys.stderr)
        elif chosen.out and not chosen.check:
            with open(chosen.out, "a") as out:
                out.write(done.stdout)
    if failed:
        sys.exit(f"{failed} runs failed")


if __name__ == "__main__":
    main()
