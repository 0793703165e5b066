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


def visual_tokens(model: Any, batch: Any, read: Any) -> Any:
    """What W reads of the pictures, [B, T, D], from the arguments of its forward pass."""
    import torch

    if read.get("cross_attention_states") is not None:
        return (
            read["cross_attention_states"].flatten(0, -2).unflatten(0, (len(batch["labels"]), -1))
        )
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


def qwen(name: str, vision: dict[str, Any]) -> tuple[Any, Any]:
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from unsee.processors import without_video

    words = tokenizer()
    places = ids(words, image_token_id="<image>", video_token_id="<video>")
    places |= ids(words, vision_start_token_id="<vision>", vision_end_token_id="</vision>")
    rotary = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    written = text(words, rope_parameters=rotary)
    del written["model_type"]
    config = getattr(transformers, f"{name}Config")(
        vision_config={"num_heads": 4, "patch_size": PATCH, **vision}, text_config=written, **places
    )
    pictures = Qwen2VLImageProcessorPil(
        patch_size=PATCH, size={"shortest_edge": 16 * PATCH**2, "longest_edge": 64 * PATCH**2}
    )
    processor = without_video(getattr(transformers, f"{name}Processor"))(
        pictures, words, chat_template=template("<vision><image></vision>")
    )
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    return finish(model, words), processor


@family
def qwen2_vl() -> tuple[Any, Any]:
    return qwen("Qwen2VL", {"depth": 2, "embed_dim": WIDTH, "hidden_size": WIDTH, "mlp_ratio": 2})


@family
def qwen2_5_vl() -> tuple[Any, Any]:
    sizes = {"depth": 2, "hidden_size": WIDTH, "out_hidden_size": WIDTH, "intermediate_size": 64}
    return qwen("Qwen2_5_VL", {**sizes, "window_size": 4 * PATCH, "fullatt_block_indexes": [1]})


@family
def qwen3_vl() -> tuple[Any, Any]:
    sizes = {"depth": 3, "hidden_size": WIDTH, "out_hidden_size": WIDTH, "intermediate_size": 64}
    deep = {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 16}
    return qwen("Qwen3VL", {**sizes, **deep})


@family
def idefics2() -> tuple[Any, Any]:
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration, Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import (
        Idefics2ImageProcessorPil,
    )

    words = tokenizer()
    latents = 4
    perceiver = {"resampler_n_latents": latents, "resampler_depth": 1, "resampler_n_heads": 4}
    perceiver |= {"hidden_size": WIDTH, "num_key_value_heads": 2, "resampler_head_dim": 8}
    config = Idefics2Config(
        vision_config=VISION,
        perceiver_config=perceiver,
        text_config=text(words, "mistral"),
        image_token_id=words.image_token_id,
        tie_word_embeddings=True,
    )
    pictures = Idefics2ImageProcessorPil(size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    processor = Idefics2Processor(pictures, words, image_seq_len=latents, chat_template=template())
    return finish(Idefics2ForConditionalGeneration(config), words), processor


def tiled(name: str, pictures: Any, processor_class: Any) -> tuple[Any, Any]:
    import transformers

    words = tokenizer()
    config = getattr(transformers, f"{name}Config")(
        vision_config=VISION,
        text_config=text(words),
        scale_factor=2,
        image_token_id=words.image_token_id,
        pad_token_id=0,
    )
    processor = processor_class(
        pictures, words, image_seq_len=(SIDE // PATCH) ** 2 // 4, chat_template=template()
    )
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    return finish(model, words), processor


@family
def idefics3() -> tuple[Any, Any]:
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    edge = {"longest_edge": SIDE}
    pictures = Idefics3ImageProcessorPil(size={"longest_edge": 2 * SIDE}, max_image_size=edge)
    return tiled("Idefics3", pictures, Idefics3Processor)


@family
def smolvlm() -> tuple[Any, Any]:
    from transformers import SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    from unsee.processors import without_video

    edge = {"longest_edge": SIDE}
    pictures = SmolVLMImageProcessorPil(size={"longest_edge": 2 * SIDE}, max_image_size=edge)

    def processor(pictures: Any, words: Any, **options: Any) -> Any:
        return without_video(SmolVLMProcessor)(pictures, words, None, **options)

    return tiled("SmolVLM", pictures, processor)


@family
def mllama() -> tuple[Any, Any]:
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    words = tokenizer()
    ratios = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
    vision = {"hidden_size": WIDTH, "intermediate_size": 64, "attention_heads": 4}
    vision |= {"num_hidden_layers": 3, "num_global_layers": 1, "vision_output_dim": 3 * WIDTH}
    vision |= {"intermediate_layers_indices": [1, 2], "supported_aspect_ratios": ratios}
    config = MllamaConfig(
        vision_config={**vision, "image_size": SIDE, "patch_size": PATCH, "max_num_tiles": 4},
        text_config={**text(words, "mllama_text_model"), "cross_attention_layers": [1]},
        image_token_index=words.image_token_id,
    )
    pictures = MllamaImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_image_tiles=4)
    processor = MllamaProcessor(pictures, words, chat_template="<s>" + template())
    return finish(MllamaForConditionalGeneration(config), words), processor


QFORMER = {
    **{"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 64, "encoder_hidden_size": WIDTH},
}


@family
def blip_2() -> tuple[Any, Any]:
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = tokenizer(named=False)
    written = {"hidden_size": WIDTH, "ffn_dim": 64, "num_hidden_layers": 2, "model_type": "opt"}
    written |= {"num_attention_heads": 4, "word_embed_proj_dim": WIDTH, "vocab_size": len(words)}
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={**QFORMER, "vocab_size": len(words)},
        text_config={**written, "max_position_embeddings": 512, "pad_token_id": 0},
        num_query_tokens=4,
        **ids(words, image_token_index="<image>"),
    )
    pictures = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = Blip2Processor(pictures, words, num_query_tokens=4)
    return finish(Blip2ForConditionalGeneration(config), words), processor


@family
def instructblip() -> tuple[Any, Any]:
    from transformers import (
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    )
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = tokenizer(named=False)
    config = InstructBlipConfig(
        vision_config=VISION,
        qformer_config={**QFORMER, "vocab_size": len(words)},
        text_config=text(words),
        num_query_tokens=4,
        **ids(words, image_token_index="<image>"),
    )
    pictures = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = InstructBlipProcessor(pictures, words, tokenizer(named=False), num_query_tokens=4)
    return finish(InstructBlipForConditionalGeneration(config), words), processor
