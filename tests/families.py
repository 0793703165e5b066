"""A tiny random model and its processor for every family, built offline.

    model, processor = families.build("qwen2_vl")

Sizes are as small as they can be; weights are random, so the models know nothing. Two blocks of
vision, two of W; pictures of 32 pixels, patches of 8.
"""

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


def build(name: str, seed: int = 0) -> tuple[Any, Any]:
    """A model in eval mode, fp32, and its processor."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, processor = FAMILIES[name]()
        for parameter in model.parameters():  # what starts at zero would have no gradient beside it
            if not parameter.detach().any():
                torch.nn.init.normal_(parameter, std=0.02)
    return model.eval(), processor


def tokenizer(**special: str) -> Any:
    """A byte-level BPE tokenizer with every family's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokens = dict.fromkeys([*SPECIAL.values(), *MORE, *special.values()])
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
        extra_special_tokens={**SPECIAL, **special},
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


def visual_tokens(model: Any, batch: Any, read: Any) -> Any:
    """What W reads of the pictures, [B, T, D], from the arguments of its forward pass."""
    import torch

    seen = batch["input_ids"] == image_token_id(model.config)
    embedded = read["inputs_embeds"][seen]
    deep = read.get("deepstack_visual_embeds") or []
    return torch.cat([embedded, *deep], dim=-1).unflatten(0, (len(seen), -1))


def image_token_id(config: Any) -> int:
    return getattr(config, "image_token_id", None) or config.image_token_index


@family
def llava() -> tuple[Any, Any]:
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tokenizer()
    config = LlavaConfig(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config=text(words),
        image_token_index=words.image_token_id,
        vision_feature_layer=-2,
    )
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = LlavaProcessor(
        pictures,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return finish(LlavaForConditionalGeneration(config), words), processor


@family
def llava_next() -> tuple[Any, Any]:
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    words = tokenizer()
    grid = [[2 * SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaNextConfig(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config=text(words),
        image_token_index=words.image_token_id,
        image_grid_pinpoints=grid,
    )
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=grid,
    )
    processor = LlavaNextProcessor(
        pictures,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return finish(LlavaNextForConditionalGeneration(config), words), processor


@family
def llava_onevision() -> tuple[Any, Any]:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionProcessor,
    )
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    from unsee.processors import without_video

    words = tokenizer()
    grid = [[SIDE, SIDE], [2 * SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaOnevisionConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model"},
        text_config=text(words, "qwen2"),
        image_token_index=words.image_token_id,
        image_grid_pinpoints=grid,
    )
    pictures = LlavaOnevisionImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=grid
    )
    processor = without_video(LlavaOnevisionProcessor)(
        pictures,
        words,
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=template(),
    )
    return finish(LlavaOnevisionForConditionalGeneration(config), words), processor


@family
def internvl() -> tuple[Any, Any]:
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    from unsee.processors import without_video

    words = tokenizer()
    config = InternVLConfig(
        vision_config={**VISION, "image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        text_config=text(words, "qwen2", tie_word_embeddings=True),
        image_token_id=words.image_token_id,
        downsample_ratio=0.5,
        tie_word_embeddings=True,
    )
    pictures = GotOcr2ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = without_video(InternVLProcessor)(
        pictures, words, image_seq_length=(SIDE // PATCH) ** 2 // 4, chat_template=template()
    )
    return finish(InternVLForConditionalGeneration(config), words), processor


@family
def paligemma() -> tuple[Any, Any]:
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    words = tokenizer()
    pictures = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    pictures.image_seq_length = (SIDE // PATCH) ** 2
    processor = PaliGemmaProcessor(pictures, words)  # adds a thousand tokens of its own
    config = PaliGemmaConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model", "projection_dim": WIDTH},
        text_config=text(words, "gemma"),
        projection_dim=WIDTH,
        image_token_index=words.image_token_id,
    )
    return finish(PaliGemmaForConditionalGeneration(config), words), processor


@family
def gemma3() -> tuple[Any, Any]:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    words = tokenizer()
    seen = (SIDE // PATCH) ** 2 // 4
    config = Gemma3Config(
        vision_config=VISION,
        text_config=text(words, "gemma3_text", sliding_window=64, query_pre_attn_scalar=8),
        mm_tokens_per_image=seen,
        **ids(words, image_token_index="<image>", boi_token_index="<boi>", eoi_token_index="<eoi>"),
    )
    pictures = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = Gemma3Processor(
        pictures, words, image_seq_length=seen, chat_template=template("<boi>")
    )
    return finish(Gemma3ForConditionalGeneration(config), words), processor
