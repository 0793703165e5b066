"""What the tiny models of all families are made of: sizes, a tokenizer, a chat template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tiny

SIDE, PATCH, WIDTH = 32, 8, 32
VISION = {
    **{"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "image_size": SIDE, "patch_size": PATCH},
}
TEXT = {
    **{"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
SPECIAL = {
    "image_token": "<image>",
    "video_token": "<video>",
    **{"boi_token": "<boi>", "eoi_token": "<eoi>"},
    **{"start_image_token": "<img>", "end_image_token": "</img>"},
    "context_image_token": "<image>",
    **{"vision_start_token": "<vision>", "vision_end_token": "</vision>"},
    **{"image_boundary_token": "<fake_token_around_image>", "fake_image_token": "<fake>"},
}
MORE = ("<end_of_utterance>", "<global-img>", "<fake_token_around_image>", "<|python_tag|>")
TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
FILES = ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
Build = Callable[[], tuple[Any, Any]]
FAMILIES: dict[str, Build] = {}


def family(build: Build) -> Build:
    FAMILIES[build.__name__] = build
    return build


def tokenizer(named: bool = True) -> Any:
    """A byte-level BPE tokenizer with every family's special tokens.

    Some processors find them by attributes of the tokenizer; others want it without (`named`).
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokens = dict.fromkeys([*SPECIAL.values(), *MORE])
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>", *tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(tiny.CORPUS, trainer)
    made.post_processor = processors.TemplateProcessing(single="$A", pair="$A:0 $B:1")
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=SPECIAL if named else {},
        padding_side="left",
        model_max_length=512,
    )


def template(image: str = "<image>") -> str:
    return TEMPLATE.replace("IMAGE", image)


def text(words: Any, model_type: str = "llama", **more: Any) -> dict[str, Any]:
    return {**TEXT, "model_type": model_type, "vocab_size": len(words), **more}


def ids(words: Any, **names: str) -> dict[str, int]:
    return {key: words.convert_tokens_to_ids(token) for key, token in names.items()}


def finish(model: Any, words: Any) -> Any:
    settings = model.generation_config
    settings.eos_token_id, settings.pad_token_id = words.eos_token_id, words.pad_token_id
    settings.bos_token_id = words.bos_token_id
    return model
