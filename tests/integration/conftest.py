"""What integration tests need that may not be there yet."""

from pathlib import Path

#: The trained model lists its words; as long as `make` builds one with random weights there is
#: nothing to judge.
_TRAINED = Path(__file__).resolve().parents[2] / "models/demo/vocabulary.txt"
collect_ignore = [] if _TRAINED.exists() else ["test_demo_model.py"]
