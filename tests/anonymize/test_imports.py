"""Loading the room is cheap: models and Presidio come with the first scrubber."""

import subprocess
import sys


def test_importing_the_public_modules_loads_no_model_library() -> None:
    code = (
        "import sys, anonymize.settings, anonymize.scrub, anonymize.report;"
        "print([m for m in ('spacy', 'presidio_analyzer', 'presidio_anonymizer', 'onnxruntime', 'wordfreq') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
