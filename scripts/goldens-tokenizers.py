"""Golden ids, texts and chats of Hugging Face's tokenizers, of small ones that are trained here.

    python scripts/goldens-tokenizers.py                        # writes test/golden/tokenizers
    python scripts/goldens-tokenizers.py --random 3000 FOLDER   # random texts and ids, for compare-tokenizers.ts
    python scripts/goldens-tokenizers.py --real FOLDER          # of ../shared/models: ids of our own texts only

test/golden/tokenizers/<name>/ has tokenizer.json, tokenizer_config.json and expected.json. A tokenizer that is there is kept,
since the trainers of Unigram and WordPiece do not come out the same twice; remove its folder to train it anew. steps.json has normalizers,
pre-tokenizers and decoders by themselves, chats.json has templates and what transformers renders.
"""

import base64
import json
import random
import struct
import sys
from collections import Counter
from pathlib import Path

import tokenizers
import transformers
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

ROOT = Path(__file__).resolve().parent.parent
SEED = 7

TRAINING = """
Once upon a time there was a little girl who liked to read books about the sea and the stars.
She didn't know that the old man had read 1,234 of them; he'd never told her, and they're all gone now.
The quick brown fox jumps over the lazy dog. The dog doesn't mind, it's asleep! Isn't it?
Der alte Mann saß am Fluß und las über Größe, Äpfel und Übermut; schön war es dort im Frühling.
Die Größe der Bücher änderte nichts daran, dass sie gelesen wurden.
我喜欢看电影。你好,世界!今天天气很好,我们去看书吧。
مرحبا بالعالم، كيف حالك اليوم؟ الكتاب على الطاولة.
for (let i = 0; i < items.length; i++) { total += items[i].price * 1.19; }
def main():
    return [x for x in range(100) if x % 2 == 0]
user@example.com https://example.com/path?query=1&other=two#top
I gave the film 4 of 5 stars; the book gets 3. It was released in 1999, 2004 and 2023.
""".strip().split("\n") * 3

TEXTS = [
    "",
    " ",
    "a",
    "Hello, world!",
    "Once upon a time there was a little girl.",
    "  two spaces  before,   between and after  ",
    "\ttab\nline\r\nwindows\n\n\nmany   \n  mixed \t ",
    "The dog DIDN'T mind; they'Re, I'LL, we'VE, he'd, it'S, 'tis, o'clock 'ſ it'ſ IT'ſx",
    "Größe, Äpfel, STRASSE, ÜBER, ﬁn, ΟΔΟΣ Σίσυφος, İstanbul, ŒUVRE",
    "Zalgo: e\u0301 o\u0308 \u0061\u030a\u0323 가 \u1100\u1161",
    "我喜欢看电影。你好,世界! 𠀀𪚥 ㄅ",
    "مرحبا بالعالم، كيف حالك؟ الْعَرَبِيَّة ١٢٣",
    "שלום עולם हिन्दी में ไทย",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ 🏴\U000e0067\U000e0062\U000e007f 1️⃣",
    "for (let i = 0; i < n; i++) { x[i] += y[i] ** 2; } // done",
    "def f(x):\n    return x if x else None\n\n\n\tprint('x')",
    "0 1 12 123 1234 12345 3.14159 1,000,000 1e-10 ½ Ⅷ ² ໑",
    "https://example.com/a-b_c?d=%20&e=f#g user@example.com",
    "control: \u0000 \u0001 \u0007 \u001f \u007f \u0085 \u00ad \u200b \u200d \u200e \u2028 \u2029 \ufeff \ufffd \ufffe",
    "nbsp\u00a0thin\u2009ideographic\u3000ogham\u1680end\u202f",
    "!!! ... ??? --- ___ ~~~ ``` \"\"\" ''' ((())) «» “” ‘’ „“ — –",
    "▁ ▁▁ a▁b ▁c Ġ Ċ <0x0A> <0xZZ> <unk> [UNK] ## ##ing",
    "<s> a <|endoftext|>b </s><tool>c </tool> xwordx word  word\u00a0left   right   ",
    "CamelCaseIdentifier snake_case_identifier kebab-case-identifier SCREAMING_CASE",
    "supercalifragilisticexpialidocious " * 3,
    "x" * 150,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbb",
    "Don ' t stop . Really ? Yes ! we 've , they 're n't 's 'm",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α∧¬β = ¬(¬α∨β), ℕ ⊆ ℤ ⊂ ℚ",
    "\u1f600 Ǆ ǅ ß ẞ ŉ ﷺ ㎏ Å ① ｆｕｌｌ　ｗｉｄｔｈ ﾊﾝｶｸ",
]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
OTHER = r"\p{Lu}?\p{Ll}+|\d+|\w+|[^\w\s]|\s+"
FREQUENT = [letter for letter, _ in sorted(Counter("".join(TRAINING)).items(), key=lambda pair: (-pair[1], pair[0]))][:90]
FREQUENT[FREQUENT.index(" ")] = "▁"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def special(content, **flags):
    return AddedToken(content, special=True, normalized=False, **flags)


def byte_level_bpe(pre_tokenizer, specials, size=380, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.add_special_tokens([special(token) if isinstance(token, str) else token for token in specials])
    return tokenizer


def begins_with(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))]
    )


def split(pattern):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def gpt2():
    tokenizer = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}


def prefixed():
    """As RoBERTa's: a space before every text, a frame of special tokens, and tokens of all kinds of flags."""
    tokenizer = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=True), ["<s>", "</s>"])
    tokenizer.add_special_tokens([special("left", lstrip=True), special("right", rstrip=True)])
    tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("<tool>", lstrip=True, rstrip=True)])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*ids)
    return tokenizer, {"bos_token": "<s>", "eos_token": {"__type": "AddedToken", "content": "</s>"}}


def llama3():
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = byte_level_bpe(split(LLAMA3), names, ignore_merges=True)
    begins_with(tokenizer, names[0])
    return tokenizer, {"bos_token": names[0], "eos_token": names[4]}


def qwen2():
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = byte_level_bpe(split(QWEN2), names, normalizer=normalizers.NFC())
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("</tool>", normalized=True)])
    extra = {"additional_special_tokens": names[1:], "clean_up_tokenization_spaces": True}
    return tokenizer, {"eos_token": names[2], "pad_token": names[0], **extra}


def other_pattern():
    """A pattern that is nobody's, so it runs under the time limit."""
    return byte_level_bpe(split(OTHER), ["<|endoftext|>"]), {"eos_token": "<|endoftext|>"}


def sentencepiece_bpe(normalizer, pre_tokenizer, decoder, train_with=None):
    """Of characters, with the bytes of those it does not know."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    first = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=560,
        special_tokens=first + BYTES,
        initial_alphabet=FREQUENT,
        limit_alphabet=len(FREQUENT),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in first]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    begins_with(tokenizer, "<s>")
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": None}


def without_normalizer(tokenizer):
    data = json.loads(tokenizer.to_str())
    data["normalizer"] = None
    return Tokenizer.from_str(json.dumps(data))


def llama2():
    return sentencepiece_bpe(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        pre_tokenizers.Sequence([]),
        decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        ),
    )


def metaspace():
    tokenizer, config = sentencepiece_bpe(
        normalizers.Sequence([]),
        pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        ),
    )
    return without_normalizer(tokenizer), config


def gemma():
    tokenizer, config = sentencepiece_bpe(
        normalizers.Replace(" ", "▁"),
        pre_tokenizers.Split(" ", "merged_with_previous"),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
    )
    tokenizer.add_special_tokens([special("<start_of_turn>"), special("<end_of_turn>")])
    return tokenizer, config


def unigram(byte_fallback=False):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(character_map()), normalizers.Strip(left=False, right=True)]
        + [normalizers.Replace(Regex(" {2,}"), "▁")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace()
    tokens = ["<pad>", "</s>", "<unk>"] + (BYTES if byte_fallback else [])
    trainer = trainers.UnigramTrainer(
        vocab_size=len(tokens) + 260, special_tokens=tokens, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    if byte_fallback:
        data = json.loads(tokenizer.to_str())
        data["model"]["byte_fallback"] = True
        data["added_tokens"] = data["added_tokens"][:3]
        tokenizer = Tokenizer.from_str(json.dumps(data))
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=60))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=tokens, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roles = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return tokenizer, {**roles, "mask_token": "[MASK]", "clean_up_tokenization_spaces": True}


def suffixed():
    """As GPT-1's and CLIP's: the last character of a word is marked; unknown characters stay apart."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>"],
        end_of_word_suffix="</w>",
        initial_alphabet=FREQUENT[:60],
        limit_alphabet=60,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer, {"unk_token": "<unk>"}


def word_level():
    words = sorted({word for line in TRAINING for word in line.split()})[:150]
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, **{word: i + 1 for i, word in enumerate(words)}}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer, {"unk_token": "<unk>"}


def character_map():
    """A table as SentencePiece compiles it: the double array of a trie, and replacements."""
    entries = {"ﬁ": "fi", "①": "1", "Å": "Å", "\u3000": " ", "\t": " ", "\n": " ", "ﷺ": "صلى الله", "㎏": "kg"}
    entries |= {"e\u0301": "é", "\u0000": "", "\u200b": "", "가": "가", "\u0301": ""}
    entries |= {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    children = [{}]  # byte -> node; 0 is the end of an entry
    values = {}
    text = b""
    for key, value in entries.items():
        node = 0
        for byte in key.encode() or b"\0":
            node = children[node].setdefault(byte, len(children))
            if node == len(children):
                children.append({})
        values[node] = len(text)
        text += value.encode() + b"\0"
    units = [0] * (1 << 14)
    used = {0}

    def place(node, position, leaf_bit=0):
        labels = ([0] if node in values else []) + sorted(children[node])
        if not labels:
            return
        base = next(
            offset
            for offset in range(1, 1 << 13)
            if all((position ^ offset ^ label) not in used for label in labels)
            and all((position ^ offset ^ label) < len(units) for label in labels)
        )
        units[position] |= base << 10
        if node in values:
            units[position] |= 1 << 8
        for label in labels:
            used.add(position ^ base ^ label)
        for label in labels:
            child = position ^ base ^ label
            if label == 0 and node in values:
                units[child] = values[node] | 1 << 31
            else:
                units[child] |= label
        for label in labels:
            if not (label == 0 and node in values):
                place(children[node][label], position ^ base ^ label)

    place(0, 0)
    units = units[: max(used) + 1]
    blob = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(blob)) + blob + text


ALL = {
    "gpt2": gpt2,
    "prefixed": prefixed,
    "llama3": llama3,
    "qwen2": qwen2,
    "other-pattern": other_pattern,
    "llama2": llama2,
    "metaspace": metaspace,
    "gemma": gemma,
    "unigram": unigram,
    "unigram-bytes": lambda: unigram(byte_fallback=True),
    "word-piece": word_piece,
    "suffixed": suffixed,
    "word-level": word_level,
}


def load(folder):
    return transformers.TokenizersBackend.from_pretrained(folder)


def random_ids(random_numbers, tokenizer, count, most=24):
    size = len(tokenizer)
    return [[random_numbers.randrange(size) for _ in range(random_numbers.randrange(most))] for _ in range(count)]


def expected(tokenizer, texts, id_lists):
    return {
        "texts": [
            {
                "text": text,
                "ids": tokenizer(text).input_ids,
                "plain": tokenizer(text, add_special_tokens=False).input_ids,
                "decoded": tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True),
            }
            for text in texts
        ],
        "decodes": [
            {
                "ids": ids,
                "skipped": tokenizer.decode(ids, skip_special_tokens=True),
                "kept": tokenizer.decode(ids, skip_special_tokens=False),
            }
            for ids in id_lists
        ],
    }


NORMALIZERS = [
    normalizers.NFC(),
    normalizers.NFD(),
    normalizers.NFKC(),
    normalizers.NFKD(),
    normalizers.Lowercase(),
    normalizers.Strip(),
    normalizers.Strip(left=True, right=False),
    normalizers.StripAccents(),
    normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
    normalizers.Nmt(),
    normalizers.Prepend("▁"),
    normalizers.ByteLevel(),
    normalizers.Replace("a", "$&"),
    normalizers.Replace(Regex(r"\s+"), " "),
    normalizers.Replace(Regex(r"[[:punct:]&&[^.]]|\h"), "_"),
    normalizers.BertNormalizer(),
    normalizers.BertNormalizer(lowercase=False),
    normalizers.BertNormalizer(lowercase=True, strip_accents=False, handle_chinese_chars=False, clean_text=False),
    normalizers.Precompiled(character_map()),
]

BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
PRE_TOKENIZERS = [
    pre_tokenizers.BertPreTokenizer(),
    pre_tokenizers.ByteLevel(add_prefix_space=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    pre_tokenizers.CharDelimiterSplit("a"),
    pre_tokenizers.Digits(individual_digits=True),
    pre_tokenizers.Digits(individual_digits=False),
    pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
    pre_tokenizers.Metaspace(prepend_scheme="never", split=True),
    pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
    *[pre_tokenizers.Punctuation(behavior) for behavior in BEHAVIORS],
    *[pre_tokenizers.Split(" ", behavior) for behavior in BEHAVIORS],
    *[pre_tokenizers.Split(Regex(r"\d|[A-Z]"), behavior, invert=True) for behavior in BEHAVIORS],
    pre_tokenizers.Split(Regex(r"a*"), "isolated"),
    pre_tokenizers.Split(Regex(LLAMA3), "removed", invert=True),
    pre_tokenizers.Split(Regex(QWEN2), "isolated"),
    pre_tokenizers.Split(Regex(CL100K), "isolated"),
    pre_tokenizers.Split(Regex(O200K), "isolated"),
    pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"),
    pre_tokenizers.Split(Regex(r"\++[*+]+|\p{N}{1,3}+|[a-z]+?x"), "isolated"),
    pre_tokenizers.Split(Regex(OTHER), "isolated"),
    pre_tokenizers.Whitespace(),
    pre_tokenizers.WhitespaceSplit(),
    pre_tokenizers.FixedLength(3),
    pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True)]),
]

DECODERS = [
    decoders.ByteLevel(),
    decoders.WordPiece(cleanup=True),
    decoders.WordPiece(prefix="@@", cleanup=False),
    decoders.Metaspace(),
    decoders.Metaspace(prepend_scheme="never"),
    decoders.BPEDecoder(),
    decoders.BPEDecoder(suffix="a"),
    decoders.ByteFallback(),
    decoders.Fuse(),
    decoders.Strip(" ", 1, 0),
    decoders.Strip("▁", 2, 1),
    decoders.Strip("b", 0, 1),
    decoders.Replace("▁", " "),
    decoders.Replace(Regex("[ab]+"), "<"),
    decoders.Sequence([decoders.Fuse(), decoders.Strip("▁", 2, 1)]),
    decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("ab", "x")]),
    decoders.Sequence([decoders.Fuse(), decoders.Metaspace()]),
    decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
]
PIECES = [
    ["▁Hello", ",", "▁world", "▁▁", "!"],
    ["<0xE4>", "<0xBD>", "<0xA0>", "a", "<0xE4>", "<0xBD>", "b", "<0xFF>"],
    ["▁▁▁a", "b▁", "▁▁"],
    ["ab", "ba", "##ab", "@@b", "a</w>", "b</w>"],
    ["Ġa", "Ċ", "ä½", "ł", "你", "a b", "Ã"],
    [" .", "do", "n't", " not", "'s", "##'s", " do not"],
    ["▁", "▁", "a▁▁▁▁b"],
    [" a", "", " ", "b "],
    ["<0x41>", "<0x42>"],
]


def steps():
    return {
        "normalizers": [
            {"config": state(each), "cases": [{"text": text, "result": each.normalize_str(text)} for text in TEXTS]}
            for each in NORMALIZERS
        ],
        "preTokenizers": [
            {
                "config": state(each),
                "cases": [
                    {"text": text, "result": [piece for piece, _ in each.pre_tokenize_str(text)]}
                    for text in TEXTS
                    if text
                ],
            }
            for each in PRE_TOKENIZERS
        ],
        "decoders": [
            {"config": state(each), "cases": list(decoded(each))}
            for each in DECODERS
        ],
    }


def decoded(decoder):
    for tokens in PIECES:
        try:
            yield {"tokens": tokens, "result": decoder.decode(tokens)}
        except BaseException:  # Strip panics on tokens that are shorter than what it takes away
            pass


def state(step):
    return json.loads(step.__getstate__())


CHATML = (
    "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- if messages[0].role == 'system' %}\n"
    "        {{- messages[0].content + '\\n\\n' }}\n    {%- endif %}\n"
    '    {{- "# Tools\\n\\n<tools>" }}\n    {%- for tool in tools %}\n        {{- "\\n" }}\n'
    "        {{- tool | tojson }}\n    {%- endfor %}\n"
    '    {{- "\\n</tools><|im_end|>\\n" }}\n{%- elif messages[0].role == \'system\' %}\n'
    "    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}\n{%- endif %}\n"
    "{%- for message in messages %}\n"
    '    {%- if (message.role == "user") or (message.role == "system" and not loop.first) '
    'or (message.role == "assistant" and not message.tool_calls) %}\n'
    "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
    '    {%- elif message.role == "assistant" %}\n        {{- \'<|im_start|>\' + message.role }}\n'
    "        {%- if message.content %}\n            {{- '\\n' + message.content }}\n        {%- endif %}\n"
    "        {%- for tool_call in message.tool_calls %}\n"
    "            {%- if tool_call.function is defined %}\n"
    "                {%- set tool_call = tool_call.function %}\n            {%- endif %}\n"
    "            {{- '\\n<tool_call>\\n{\"name\": \"' }}\n            {{- tool_call.name }}\n"
    "            {{- '\", \"arguments\": ' }}\n            {{- tool_call.arguments | tojson }}\n"
    "            {{- '}\\n</tool_call>' }}\n        {%- endfor %}\n        {{- '<|im_end|>\\n' }}\n"
    '    {%- elif message.role == "tool" %}\n'
    "        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}\n"
    "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
    "    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n"
)
LLAMA3_CHAT = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}"
    "{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
MISTRAL_CHAT = (
    "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content'] %}\n"
    "    {%- set loop_messages = messages[1:] %}\n{%- else %}\n    {%- set loop_messages = messages %}\n{%- endif %}\n\n"
    "{{- bos_token }}\n{%- for message in loop_messages %}\n"
    "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{- raise_exception('After the optional system message, conversation roles must alternate') }}\n"
    "    {%- endif %}\n    {%- if message['role'] == 'user' %}\n"
    "        {%- if loop.first and system_message is defined %}\n"
    "            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}\n"
    "        {%- else %}\n            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n        {%- endif %}\n"
    "    {%- elif message['role'] == 'assistant' %}\n        {{- ' ' + message['content'] + eos_token}}\n"
    "    {%- else %}\n        {{- raise_exception('Only user and assistant roles are supported') }}\n"
    "    {%- endif %}\n{%- endfor %}\n"
)
ZEPHYR_CHAT = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
LLAMA31_CHAT = (
    "{{- bos_token }}\n{%- if custom_tools is defined %}\n    {%- set tools = custom_tools %}\n{%- endif %}\n"
    "{%- if not tools_in_user_message is defined %}\n    {%- set tools_in_user_message = true %}\n{%- endif %}\n"
    '{%- if not date_string is defined %}\n    {%- set date_string = "26 Jul 2024" %}\n{%- endif %}\n'
    "{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n\n"
    "{#- This block extracts the system message, so we can slot it into the right place. #}\n"
    "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n"
    '    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = "" %}\n{%- endif %}\n\n'
    "{#- System message + builtin tools #}\n"
    '{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}\n'
    "{%- if builtin_tools is defined or tools is not none %}\n"
    '    {{- "Environment: ipython\\n" }}\n{%- endif %}\n'
    "{%- if builtin_tools is defined %}\n    {{- \"Tools: \" + builtin_tools | reject('equalto', 'code_interpreter')"
    ' | join(", ") + "\\n\\n"}}\n{%- endif %}\n'
    '{{- "Today Date: " + date_string + "\\n\\n" }}\n'
    "{%- if tools is not none and not tools_in_user_message %}\n"
    "    {%- for t in tools %}\n        {{- t | tojson(indent=4) }}\n"
    '        {{- "\\n\\n" }}\n    {%- endfor %}\n{%- endif %}\n{{- system_message }}\n{{- "<|eot_id|>" }}\n\n'
    "{%- if tools_in_user_message and not tools is none %}\n    {%- if messages | length != 0 %}\n"
    "        {%- set first_user_message = messages[0]['content']|trim %}\n"
    "        {%- set messages = messages[1:] %}\n    {%- else %}\n"
    '        {{- raise_exception("Cannot put tools in the first user message when there\'s no first user message!") }}\n'
    "    {%- endif %}\n    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}\n"
    "    {%- for t in tools %}\n        {{- t | tojson(indent=4) }}\n"
    '        {{- "\\n\\n" }}\n    {%- endfor %}\n    {{- first_user_message + "<|eot_id|>"}}\n{%- endif %}\n\n'
    "{%- for message in messages %}\n"
    "    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}\n"
    "        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim"
    " + '<|eot_id|>' }}\n    {%- elif 'tool_calls' in message %}\n"
    "        {%- if not message.tool_calls|length == 1 %}\n"
    '            {{- raise_exception("This model only supports single tool-calls at once!") }}\n        {%- endif %}\n'
    "        {%- set tool_call = message.tool_calls[0].function %}\n"
    "        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}\n"
    "        {{- '{\"name\": \"' + tool_call.name + '\", ' }}\n        {{- '\"parameters\": ' }}\n"
    '        {{- tool_call.arguments | tojson }}\n        {{- "}" }}\n        {{- "<|eot_id|>" }}\n'
    '    {%- elif message.role == "tool" or message.role == "ipython" %}\n'
    '        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}\n'
    "        {%- if message.content is mapping or message.content is iterable %}\n"
    "            {{- message.content | tojson }}\n        {%- else %}\n"
    '            {{- message.content }}\n        {%- endif %}\n        {{- "<|eot_id|>" }}\n'
    "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n"
)
DOCUMENTS_CHAT = (
    "{%- macro heading(title, level=2) -%}\n{{ '#' * 1 if false else '##' }} {{ title | upper }}\n{%- endmacro -%}\n"
    "{%- set state = namespace(count=0) -%}\n"
    "{%- for document in documents or [] %}\n{%- set state.count = state.count + 1 %}\n"
    "{{ heading(document.title) }} ({{ state.count }} of {{ documents | length }})\n{{ document.text | trim }}\n"
    "{% endfor -%}\n"
    "{%- for role, group in [['user', messages | selectattr('role', 'equalto', 'user') | list]] %}"
    "{{ role }}: {{ group | map(attribute='content') | join(' | ') }}{% endfor %}"
    "{%- for key, value in options.items() %}{{ '\n' ~ key ~ '=' ~ value }}{% endfor %}"
    "{{ '\n' if add_generation_prompt else '' }}"
)

QUESTION = {"role": "user", "content": "  What's 2 + 2?  "}
ANSWER = {"role": "assistant", "content": "It's 4.\nAlways \"4\" — 四 👍"}
SYSTEM = {"role": "system", "content": "Be brief & kind <b>."}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a place, e.g. Köln & <around>",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"place": "Köln", "days": 2}}}],
}
DOCUMENTS = [{"title": "Seas", "text": " Deep. "}, {"title": "Größe", "text": "Tall."}]

CONVERSATIONS = [
    {"messages": [QUESTION]},
    {"messages": [QUESTION], "addGenerationPrompt": True},
    {"messages": [SYSTEM, QUESTION], "addGenerationPrompt": True},
    {"messages": [QUESTION, ANSWER, QUESTION], "addGenerationPrompt": True},
    {"messages": [SYSTEM, QUESTION, ANSWER]},
    {"messages": [QUESTION, ANSWER], "continueFinalMessage": True},
    {"messages": [QUESTION, {"role": "assistant", "content": "The answer is "}], "continueFinalMessage": True},
    {"messages": [ANSWER]},
    {"messages": [QUESTION, QUESTION]},
    {"messages": [SYSTEM, QUESTION], "tools": [TOOL], "addGenerationPrompt": True},
    {"messages": [QUESTION, CALL, {"role": "tool", "content": "Rain"}], "tools": [TOOL]},
    {"messages": [QUESTION], "documents": DOCUMENTS, "values": {"options": {"style": "short", "depth": 3}}},
]

TEMPLATES = {
    "chatml": (CHATML, "qwen2", CONVERSATIONS),
    "llama3": (LLAMA3_CHAT, "llama3", CONVERSATIONS[:9]),
    "llama31": (LLAMA31_CHAT, "llama3", CONVERSATIONS[:11]),
    "gemma": (GEMMA_CHAT, "gemma", CONVERSATIONS[:9]),
    "mistral": (MISTRAL_CHAT, "llama2", CONVERSATIONS[:9]),
    "zephyr": (ZEPHYR_CHAT, "llama2", CONVERSATIONS[:9]),
    "documents": (DOCUMENTS_CHAT, "llama2", CONVERSATIONS[11:]),
}


def chats(folder):
    results = []
    for name, (template, of, conversations) in TEMPLATES.items():
        tokenizer = load(folder / of)
        cases = [{**each, **rendered(tokenizer, template, each)} for each in conversations]
        results.append({"name": name, "tokenizer": of, "template": template, "cases": cases})
    return results


def rendered(tokenizer, template, conversation):
    options = {
        "add_generation_prompt": conversation.get("addGenerationPrompt", False),
        "continue_final_message": conversation.get("continueFinalMessage", False),
        "tools": conversation.get("tools"),
        "documents": conversation.get("documents"),
        **conversation.get("values", {}),
    }
    try:
        text = tokenizer.apply_chat_template(
            conversation["messages"], chat_template=template, tokenize=False, **options
        )
        return {"text": text}
    except Exception as error:
        return {"error": str(error)}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_goldens(folder):
    random_numbers = random.Random(SEED)
    versions = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__, "seed": SEED}
    for name, make in ALL.items():
        if (folder / name / "tokenizer.json").exists():
            continue
        tokenizer, config = make()
        write(folder / name / "tokenizer.json", json.loads(tokenizer.to_str()))
        # The class that takes tokenizer.json as it is: those of single models rebuild it from the vocabulary.
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
        write(folder / name / "tokenizer_config.json", config)
    (folder / "qwen2" / "chat_template.jinja").write_text(CHATML)
    for name in ALL:
        backend = load(folder / name)
        lists = random_ids(random_numbers, backend, 20)
        write(folder / name / "expected.json", {**versions, **expected(backend, TEXTS, lists)})
    write(folder / "steps.json", {**versions, **steps()})
    write(folder / "chats.json", {**versions, "templates": chats(folder)})


ALPHABETS = [
    "abcdefghij ",
    "aAbBſK 'sStT'rReE\n",
    " \t\n\r\u00a0\u0085\u2009\ufeff\u200b",
    "0123456789.,½Ⅷ²",
    "äöüÄÖÜßéè́̈",
    "我喜欢看电影你好,世界𠀀",
    "مرحباْ َ١٢٣ שלום हिन्दी",
    "👩👧‍🏽🇩🇪❤️",
    "!?.,;:'\"()[]{}<>|/\\@#$%^&*-_=+~`",
    "▁Ġ<0xE4>▁<s></s><unk>",
    "".join(chr(code) for code in range(0x20)),
]
WORDS = "the girl didn't read Größe 电影 مرحبا <|endoftext|> <s> word left right <tool> [CLS] n't 's . ! 12 ' we 've".split()


def random_text(random_numbers):
    def part():
        kind = random_numbers.randrange(4)
        if kind == 0:
            return random_numbers.choice(WORDS) + random_numbers.choice(["", " ", "  "])
        if kind == 1:
            code = random_numbers.choice([0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000])
            code = random_numbers.randrange(code)
            return "" if 0xD800 <= code < 0xE000 else chr(code)
        alphabet = random_numbers.choice(ALPHABETS)
        return "".join(random_numbers.choices(alphabet, k=random_numbers.randrange(8)))

    return "".join(part() for _ in range(random_numbers.randrange(12)))


def write_random(count, goldens, folder):
    random_numbers = random.Random(SEED)
    shared = ROOT.parent / "shared" / "models"
    real = [path.parent for path in shared.glob("*/tokenizer.json")]
    for source in [goldens / name for name in ALL] + real:
        tokenizer = load_real(source) if source in real else load(source)
        texts = [random_text(random_numbers) for _ in range(count)]
        value = {"folder": str(source), **expected(tokenizer, texts, random_ids(random_numbers, tokenizer, count))}
        write(folder / f"{source.name}.json", value)


def load_real(folder):
    """tokenizer.json as it is, under the settings of tokenizer_config.json that do not rebuild it."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    names = {key: value for key, value in config.items() if key.endswith("_token") and isinstance(value, str)}
    return transformers.TokenizersBackend(tokenizer_file=str(folder / "tokenizer.json"), **names)


def write_real(goldens, folder):
    for name in ("gpt2-tokenizer", "tinystories-656k-hf", "tinystories-instruct-3m-hf"):
        tokenizer = load_real(folder / name)
        ids = [tokenizer(text).input_ids for text in TEXTS]
        write(goldens / "real" / f"{name}.json", {"texts": TEXTS, "ids": ids})


if __name__ == "__main__":
    goldens = ROOT / "test" / "golden" / "tokenizers"
    if sys.argv[1:2] == ["--random"]:
        write_random(int(sys.argv[2]), goldens, Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--real"]:
        write_real(goldens, Path(sys.argv[2]))
    else:
        write_goldens(goldens)
