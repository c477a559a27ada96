"""The tokenizer of tokenizer.json, for AutoTokenizer of transformers 5.

Without it AutoTokenizer takes Qwen2's own byte-level tokenizer for every model that is a Qwen2, whatever
tokenizer_config.json says, and its ids are others. `auto_map` there names this class, so that the file counts.
"""
from transformers import PreTrainedTokenizerFast


class FileTokenizer(PreTrainedTokenizerFast):
    pass
