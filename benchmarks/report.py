"""Run all benchmarks and write what they print into docs/benchmarks.md.

    make benchmarks                      # all of them
    python benchmarks/report.py fc6.py   # one anew; each says which machine made it

Takes about an hour on two cores; nothing else should run meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPORT = HERE.parent / "docs" / "benchmarks.md"
# Every script first prints the machine and the versions.
MACHINE_LINES = 2


@dataclass(frozen=True)
class Section:
    """A script, and what its figures mean; ``plain`` output is columns, not Markdown."""

    title: str
    script: str
    meaning: str
    plain: bool = False


SECTIONS = (
    Section(
        "From Enter to the prompt",
        "start.py",
        "Whole processes, from start to end, in turn. `heatmap run` scores a photo of 640 x 480 px "
        "at three scales, confirms what it finds by cropping, and writes all files, with default "
        "settings. *First* is without a prepared network, which is kept from then on. The rest "
        "are ten processes each, after two of which nothing is counted: all files are in the page "
        "cache.",
    ),
    Section(
        "Scoring over the bare network",
        "scoring.py",
        "`Scorer.score` from uint8 pixels to the score grid, at scale 1, beside the converted "
        "network by itself: it gets the photo as a float32 tensor, already extended and "
        "preprocessed, and gives scores. ONNX Runtime and OpenVINO run the file that `heatmap "
        "export` writes, ONNX Runtime with default options, OpenVINO compiled for latency in "
        "float32; torch runs what `heatmap.convert` gives, in inference mode and channels_last. "
        "All with as many threads, in one warm process, in turn, with a pause before each, since "
        "ONNX Runtime's default threads spin on after a run; best of several rounds. Scores were "
        "compared before (1e-4 relative). Weights are random but for EfficientNet-Lite0; no "
        "activations vanish. OpenVINO is shown, targets are over the faster of the other two.",
    ),
    Section(
        "A run over the bare network",
        "run.py",
        "`heatmap.run` with EfficientNet-Lite0 in one process that has prepared the network, on "
        "one JPEG of 1024 x 1024 px: decoded, scored at three scales, objects found, the picture "
        "drawn, all files written; nothing is confirmed by cropping. Beside it the bare network "
        "on the same three scales, already resized; best of several rounds in turn.",
    ),
    Section(
        "Batch over the bare network",
        "batch.py",
        "`heatmap batch` over 200 photos of 640 x 480 px with EfficientNet-Lite0, nothing "
        "confirmed by cropping: from the first photo to the last file, grids, objects, overlays, "
        "thumbnails, table and contact sheet included. Beside it the bare network on the same "
        "scales of the first 25 of them, decoded, resized and preprocessed before the clock "
        "starts; its scores are thrown away. Each in a process of its own, in turn; median of "
        "three.",
    ),
    Section(
        "Sliding and cropping",
        "speed.py",
        "One 1024 x 1024 photo, float32, in a warm process; best of several rounds in turn. `× "
        "score` is how many times as long a way takes as `Scorer.score` at the same stride. Ways "
        "that crop were timed on 64 windows and **extrapolated** to all of them: their time does "
        "not depend on the stride, only on the number of windows. Before timing, their scores "
        "were compared (1e-4 relative). MONAI and SAHI cut the windows, and the original network "
        "scores them in torch. torchcam answers a different question: one class's activation map, "
        "in one pass, with no scores of windows.",
    ),
    Section(
        "Speed of local statistics",
        "local.py",
        "Networks that look at their whole input, with random weights, over a photo of 1024 x "
        "1024 px at their native stride: `--statistics local` against their crops, both in torch, "
        "in one process, best of three rounds in turn. Crops were timed on 64 windows and "
        "**extrapolated** to all. *Cut from whole*: largest difference between the scores in low "
        "bands and in one pass / the largest score.",
    ),
    Section(
        "Local statistics",
        "local_statistics.py",
        "Small networks with layers that look at their whole input, each beside the same without "
        "such layers, trained for minutes on handwritten digits over photos, and measured on "
        "photos of other digits and other backgrounds. *Validation* is the share of windows named "
        "right. *Agreement*: windows whose top class is that of the crop; *inner*: of those not at "
        "an edge of the grid; *digits*: of those whose crop shows one. *Probability*: mean "
        "difference of that of the crop's top class. Average precision at two IoUs and of "
        "pointing, of `heatmap.evaluate` at scale 1. *s*: for one photo of 600 x 400 px, best of "
        "two in turn. Below, agreement of all windows / of those "
        "that show a digit, for other forms of local statistics, in one pass over the photo or "
        "more.",
    ),
    Section(
        "Growth",
        "growth.py",
        "EfficientNet-Lite0 with `--memory 1GB`, each photo in a process of its own; the peak is "
        "of the whole process, Python, libraries and weights included. A flat column of seconds a "
        "megapixel means that a photo may be of any size. Photos up to 17 megapixels: median of "
        "three. *Memory given back*: as it would be without `heatmap/memory.py`, which keeps "
        "freed memory from one band to the next. EfficientNet-B0 looks at its whole input: it "
        "slides with local statistics, under `--memory 2GB`, with random weights.",
    ),
    Section(
        "Memory",
        "memory.py",
        "EfficientNet-Lite0 over 200 photos of different sizes in one process, the largest (1280 "
        "x 960 px) first: what the peak grows by afterwards is memory that was kept. Below, what "
        "a photo is predicted to take beyond the loaded network, and what it took.",
    ),
    Section(
        "Band height",
        "bands.py",
        "Seconds a megapixel, photos 1024 px high, native stride. Low bands keep activations in "
        "the cache, very low ones pay for each operation's start; the height changes no score.",
    ),
    Section(
        "fc6: which form of a large fully connected layer",
        "fc6.py",
        "VGG16's first fully connected layer over a grid of outputs: the forms it can be computed "
        "in, by number of outputs. The converted head takes the fastest.",
        plain=True,
    ),
    Section(
        "3 x 3 convolutions by Winograd's form",
        "conv.py",
        "Which convolutions of the trunk the bands compute in another form: from that many "
        "outputs and channels on it is faster, and rounds no more than conv2d does.",
        plain=True,
    ),
    Section(
        "Crop engine: windows a forward pass",
        "cropping.py",
        "Seconds a window of VGG16 by batch and memory format: what `verify` and the table of "
        "speed call cropping is the best of these.",
        plain=True,
    ),
)


def main() -> None:
    wanted = sys.argv[1:] or [section.script for section in SECTIONS]
    if unknown := set(wanted) - {section.script for section in SECTIONS}:
        raise SystemExit(f"no section is made by {', '.join(sorted(unknown))}")
    # Networks are prepared by this version, and nothing is left in the user's cache.
    with tempfile.TemporaryDirectory() as cache:
        for section in SECTIONS:
            if section.script in wanted:
                # At once: what follows takes long, and may be interrupted.
                write_report(section, run(section, Path(cache)))
    print(f"{REPORT} written")


def write_report(made: Section, output: list[str]) -> None:
    """Put what a script printed into the report, in place of what it printed earlier."""
    sections = read_sections()
    machine, versions, *_ = output
    origin = f"On {machine}, with {versions}."
    sections[made.title] = [made.meaning, "", origin, "", *as_markdown(made, output)]
    lines = [
        "# Benchmarks",
        "",
        "Made by `make benchmarks`, with nothing else running; do not edit. Each section says on "
        "which machine: processor, instruction set that torch uses, threads.",
    ]
    for section in SECTIONS:
        own = sections.get(section.title, ["Not measured yet."])
        lines += ["", f"## {section.title}", "", *own]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_sections() -> dict[str, list[str]]:
    """The report as it stands: lines by title."""
    _, *sections = REPORT.read_text(encoding="utf-8").strip().split("\n\n## ")
    lines_by_title = {}
    for section in sections:
        title, _, rest = section.partition("\n\n")
        lines_by_title[title] = rest.splitlines()
    return lines_by_title


def run(section: Section, cache: Path) -> list[str]:
    """What a script prints; its progress goes on to the terminal."""
    command = [sys.executable, str(HERE / section.script)]
    environment = {**os.environ, "HEATMAP_CACHE": str(cache)}
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    print(f"{section.script}: {(time.perf_counter() - started) / 60:.1f} min", file=sys.stderr)
    return done.stdout.strip().splitlines()


def as_markdown(section: Section, output: list[str]) -> list[str]:
    """What a script printed, without the machine and the versions."""
    printed = output[MACHINE_LINES:]
    if section.plain:
        return ["```", *printed, "```"]
    return "\n".join(printed).strip().splitlines()


if __name__ == "__main__":
    main()
